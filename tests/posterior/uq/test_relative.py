from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import hilbert

from posterior.uq.relative import coefficient_of_variation, envelope, normalised_std

DEPTH = np.arange(128) - 64.0


def test_envelope_of_a_wave_packet_is_its_amplitude():
    amplitude = np.exp(-0.5 * (DEPTH / 16.0) ** 2)
    for phase in (0.0, 0.5 * np.pi, 2.0):
        packet = amplitude * np.cos(2.0 * np.pi * DEPTH / 8.0 + phase)
        # The packet's spectrum at negative frequencies: exp(-0.5 (2 pi 16/8)^2) is nothing; its tails at the
        # ends are exp(-8) = 3e-4.
        np.testing.assert_allclose(envelope(packet), amplitude, rtol=0, atol=3e-4)


@pytest.mark.parametrize("shape", [(64,), (65,), (3, 64), (2, 3, 33)])
def test_envelope_is_that_of_the_mirrored_trace(shape):
    image = np.random.default_rng(0).standard_normal(shape)
    mirrored = np.concatenate([image, image[..., ::-1]], axis=-1)
    expected = np.abs(hilbert(mirrored, axis=-1))[..., : shape[-1]]
    np.testing.assert_allclose(envelope(image), expected, rtol=0, atol=1e-13)
    assert (envelope(image) >= np.abs(image) - 1e-13).all()
    swapped = np.moveaxis(image, -1, 0)
    np.testing.assert_array_equal(envelope(swapped, axis=0), np.moveaxis(envelope(image), -1, 0))


def test_variation_is_std_over_size():
    found = coefficient_of_variation([2.0, -4.0, 0.0], [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(found, [0.5, 0.25, np.nan])


@pytest.mark.parametrize("unit", [1.0, 1e-200, 1e150])
def test_normalised_std_has_no_zeros_of_the_wiggle_and_no_unit(unit):
    amplitude = np.exp(-0.5 * (DEPTH / 16.0) ** 2)
    mean = amplitude * np.sin(2.0 * np.pi * DEPTH / 8.0)
    found = normalised_std(unit * mean, np.full(128, 0.1 * unit), floor=0.05)
    largest = envelope(mean).max()
    expected = 0.1 * amplitude / (amplitude**2 + (0.05 * largest) ** 2)
    # The envelope is off by 3e-4 at the ends, where it is 3e-4 itself.
    np.testing.assert_allclose(found[32:96], expected[32:96], rtol=5e-3)
    assert found[[0, -1]].max() < 0.1  # nothing there: held down
    assert (found[40:88] > 0.09).all()  # 0.1 / amplitude, also where the wiggle is 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coefficient_of_variation(np.zeros(3), np.zeros(4)), r"one shape, got \(3,\) and \(4,\)"),
        (lambda: coefficient_of_variation([1.0], [-1.0]), "a std of at least 0"),
        (lambda: coefficient_of_variation([np.nan], [1.0]), "finite mean"),
        (lambda: normalised_std([0.0, 0.0], [1.0, 1.0]), "does not vanish everywhere"),
        (lambda: normalised_std([1.0, 0.0], [1.0, 1.0], floor=0.0), "positive floor, got 0.0"),
        (lambda: envelope(1.0), r"shape \(..., nz\), got \(\)"),
        (lambda: envelope([np.inf]), "values not finite"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
