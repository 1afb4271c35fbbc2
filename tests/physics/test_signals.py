"""Wavelets and their interpolation."""

import numpy as np
import pytest

from physics.errors import UnitError
from physics.wavelets import frequency_below, interpolate, interpolate_adjoint, ricker

F0, DT, NT = 15.0, 0.004, 376


def test_ricker_peaks_where_and_as_it_should():
    wavelet = ricker(F0, DT, NT)
    assert wavelet[25] == 1.0 == wavelet.max()
    assert abs(wavelet[0]) < 1e-7
    assert ricker(F0, DT, NT, delay=0.2).argmax() == 50
    spectrum = np.abs(np.fft.rfft(wavelet, 16 * NT))
    assert np.fft.rfftfreq(16 * NT, DT)[spectrum.argmax()] == pytest.approx(F0, abs=0.1)


def test_bandwidth_of_a_ricker_wavelet():
    # The energy in x = f / f0 is x^4 exp(-2 x^2): 4 x^2 follows a chi-squared law with 5 degrees of freedom.
    wavelet = ricker(F0, 0.001, 1000)
    assert frequency_below(wavelet, 0.001, 0.9) == pytest.approx(1.520 * F0, rel=0.01)
    assert frequency_below(wavelet, 0.001, 1 - 1e-6) == pytest.approx(2.995 * F0, rel=0.01)


BAD_RICKER = {
    "kHz": (UnitError, (0.015, DT, NT), "f0 in hertz, got 0.015: looks like kHz"),
    "negative": (ValueError, (-15.0, DT, NT), "positive peak frequency"),
    "above Nyquist": (ValueError, (200.0, DT, NT), "below the Nyquist frequency 125 Hz, got 200 Hz"),
    "dt in ms": (UnitError, (F0, 4.0, NT), "looks like milliseconds"),
}


@pytest.mark.parametrize(("error", "arguments", "message"), BAD_RICKER.values(), ids=BAD_RICKER.keys())
def test_bad_wavelet_is_refused(error, arguments, message):
    with pytest.raises(error, match=message):
        ricker(*arguments)


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_interpolation_is_exact_for_band_limited_signals(factor):
    fine = interpolate(ricker(F0, DT, NT), factor)
    # The wavelet's spectrum at the Nyquist frequency and its first sample are both below 1e-8.
    assert np.allclose(fine, ricker(F0, DT / factor, (NT - 1) * factor + 1), atol=1e-7)
    assert np.allclose(fine[::factor], ricker(F0, DT, NT), rtol=0, atol=1e-13)


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_interpolation_has_an_exact_adjoint(factor):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 40))
    y = rng.standard_normal((3, 39 * factor + 1))
    left, right = np.vdot(interpolate(x, factor), y), np.vdot(x, interpolate_adjoint(y, factor))
    assert left == pytest.approx(right, rel=1e-12)
