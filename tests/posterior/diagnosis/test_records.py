"""Scores from records: the noise in them, and what a posterior leaves unexplained."""

from __future__ import annotations

import numpy as np
import pytest

from posterior.diagnosis import before_first, data_chi_square, noise_level


def shots(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and a strong wave from offset / 2000 m/s on; samples before the wave."""
    rng = np.random.default_rng(seed)
    offsets, times = np.abs(rng.uniform(-800.0, 800.0, (4, 30))), 0.004 * np.arange(100)
    quiet = before_first(offsets, times, velocity=2000.0)
    return 50.0 * ~quiet + noise * rng.standard_normal(quiet.shape), quiet


def test_noise_level_is_the_log_of_the_ratio_of_std_either_way():
    # About 6000 quiet samples: standard error of the log 0.009; three of them.
    for ratio in (1.0, 2.0, 0.5, 8.0):
        records, quiet = shots(0.3 * ratio)
        assert noise_level(records, quiet, 0.3) == pytest.approx(abs(np.log(ratio)), abs=0.03)
    by_shot = np.array([0.1, 0.2, 0.3, 0.4])[:, None, None]
    records, quiet = shots(1.0)
    assert noise_level(records * by_shot, quiet, by_shot) == pytest.approx(0.0, abs=0.03)


def test_samples_before_the_first_arrival_are_those_that_no_wave_reaches():
    quiet = before_first([[0.0, 100.0]], [0.0, 0.02, 0.04, 0.06], velocity=2500.0, onset=0.01)
    np.testing.assert_array_equal(quiet[0].T, [[True, False, False, False], [True, True, True, False]])
    with pytest.raises(ValueError, match="expected a positive velocity"):
        before_first([[1.0]], [0.0], velocity=0.0)


def test_records_without_quiet_samples_or_noise_are_told():
    records, quiet = shots(1.0)
    assert noise_level(np.zeros_like(records), quiet, 1.0) == np.inf
    with pytest.raises(ValueError, match="expected quiet samples"):
        noise_level(records, np.zeros_like(quiet), 1.0)
    with pytest.raises(ValueError, match="expected quiet samples"):
        noise_level(records, quiet[0], 1.0)
    with pytest.raises(ValueError, match="expected positive noise_std"):
        noise_level(records, quiet, 0.0)


def test_data_chi_square_is_one_for_a_right_posterior_and_grows_with_noise():
    rng = np.random.default_rng(0)
    forward, std = rng.standard_normal((400, 30)), 0.5

    def score(noise: float) -> float:
        covariance = np.linalg.inv(np.eye(30) + forward.T @ forward / std**2)
        data = forward @ rng.standard_normal(30) + noise * rng.standard_normal(400)
        mean = covariance @ forward.T @ data / std**2
        draws = mean + rng.standard_normal((200, 30)) @ np.linalg.cholesky(covariance).T
        return data_chi_square(draws, lambda x: x @ forward.T, data, std)

    # The mean takes up 30 of 400 data and expects to be off by 30: (1 - 30/400) / (1 + 30/400) = 0.86.
    assert np.mean([score(std) for _ in range(40)]) == pytest.approx(0.86, abs=0.03)
    assert score(4 * std) > 10.0
