"""Wavelets, noise, mutes and weights."""

import numpy as np
import pytest

from physics.errors import UnitError
from physics.geometry import Acquisition
from physics.noise import add_noise
from physics.preprocess import DepthWeight, DirectMute, WaterMute
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


def records(dtype=np.float64):
    rng = np.random.default_rng(1)
    return (rng.standard_normal((3, NT, 7)) * np.array([1.0, 50.0, 0.02])[:, None, None]).astype(dtype)


@pytest.mark.parametrize("snr_db", [-6.0, 12.0, 40.0])
def test_every_shot_has_the_stated_signal_to_noise_ratio(snr_db):
    d = records()
    noisy, noise = add_noise(d, snr_db, ricker(F0, DT, NT), np.random.default_rng(2))
    ratio = [20 * np.log10(np.linalg.norm(s) / np.linalg.norm(n)) for s, n in zip(d, noise, strict=True)]
    assert np.allclose(ratio, snr_db, rtol=0, atol=1e-9)
    assert np.array_equal(noisy, d + noise)


def test_noise_has_the_wavelets_spectrum_and_no_memory_of_the_receiver():
    wavelet = ricker(F0, DT, 360)
    _, noise = add_noise(np.ones((1, 360, 4000)), 0.0, wavelet, np.random.default_rng(3))
    power = (np.abs(np.fft.rfft(noise[0], axis=0)) ** 2).mean(axis=1)
    expected = np.abs(np.fft.rfft(wavelet)) ** 2
    loud = expected > 0.05 * expected.max()
    ratio = power[loud] / expected[loud]
    # The mean of 4000 exponential variables scatters by 1.6 %; four deviations.
    assert np.abs(ratio / ratio.mean() - 1.0).max() < 0.065
    neighbours = np.corrcoef(noise[0, :, :-1].ravel(), noise[0, :, 1:].ravel())[0, 1]
    assert abs(neighbours) < 0.02


def test_noise_follows_its_generator_and_dtype_and_spares_empty_shots():
    d = records(np.float32)
    d[1] = 0.0
    wavelet = ricker(F0, DT, NT)
    one, noise = add_noise(d, 10.0, wavelet, np.random.default_rng(4))
    same, _ = add_noise(d, 10.0, wavelet, np.random.default_rng(4))
    other, _ = add_noise(d, 10.0, wavelet, np.random.default_rng(5))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.dtype == noise.dtype == np.float32
    assert not noise[1].any()


def test_bad_noise_is_refused():
    wavelet, rng = ricker(F0, DT, NT), np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"records d of shape \(nsrc, nt, nrec\), got \(376, 7\)"):
        add_noise(np.zeros((NT, 7)), 10.0, wavelet, rng)
    with pytest.raises(ValueError, match=r"expected wavelet of shape \(376,\), got \(300,\)"):
        add_noise(records(), 10.0, wavelet[:300], rng)
    with pytest.raises(ValueError, match="finite snr_db in decibels, got inf"):
        add_noise(records(), np.inf, wavelet, rng)
    with pytest.raises(ValueError, match="wavelet that is not zero everywhere"):
        add_noise(records(), 10.0, np.zeros(NT), rng)
    with pytest.raises(ValueError, match="expected finite records d"):
        add_noise(np.full((1, NT, 2), np.nan), 10.0, wavelet, rng)


def test_water_mute_is_zero_above_one_below_and_monotonic_between():
    mute = WaterMute((3, 21), (10.0, 10.0), depth=40.0, taper=60.0, dtype="float64").weights
    assert not mute[:, :5].any()
    assert (mute[:, 10:] == 1.0).all()
    assert (np.diff(mute[0, 4:11]) > 0.0).all()
    assert mute[0, 7] == pytest.approx(0.5)


def test_water_mute_follows_the_water_bottom():
    bottom = np.array([0.0, 50.0, 200.0])
    mute = WaterMute((3, 21), (10.0, 10.0), depth=bottom, taper=0.0).weights
    assert mute.sum(axis=1).tolist() == [20.0, 15.0, 0.0]


def test_depth_weight():
    assert DepthWeight((2, 5), power=2.0).weights[0].tolist() == [0.0, 0.0625, 0.25, 0.5625, 1.0]
    assert (DepthWeight((2, 5), power=0.0).weights == 1.0).all()


def test_direct_mute_starts_after_the_direct_wave():
    survey = Acquisition(sources=[[0.0, 0.0]], receivers=[[0.0, 0.0], [300.0, 400.0]], dt=0.01, nt=101)
    mute = DirectMute(survey, velocity=1000.0, delay=0.1, taper=0.2, dtype="float64").weights[0]
    for receiver, arrival in ((0, 0.1), (1, 0.6)):
        start = round(arrival / 0.01)
        assert not mute[:start, receiver].any()
        assert mute[start + 10, receiver] == pytest.approx(0.5)
        assert (mute[start + 21 :, receiver] == 1.0).all()


def test_bad_weights_are_refused():
    with pytest.raises(ValueError, match=r"depth as a number or a map of shape \(3,\), got shape \(4,\)"):
        WaterMute((3, 21), (10.0, 10.0), depth=np.zeros(4), taper=0.0)
    with pytest.raises(ValueError, match="finite taper of at least 0, got -1"):
        WaterMute((3, 21), (10.0, 10.0), depth=0.0, taper=-1.0)
    with pytest.raises(ValueError, match="expected 2 spacings"):
        WaterMute((3, 21), (10.0,), depth=0.0, taper=1.0)
    with pytest.raises(ValueError, match="finite power of at least 0, got -1"):
        DepthWeight((3, 21), power=-1.0)
    survey = Acquisition(sources=[[0.0, 0.0]], receivers=[[0.0, 0.0]], dt=0.01, nt=11)
    with pytest.raises(ValueError, match=r"velocity of the direct wave in m/s, at least 100, got 1\.5"):
        DirectMute(survey, velocity=1.5, delay=0.0, taper=0.0)
