"""Pareto smoothing: the shape is found, heavy tails are told, and estimates get better."""

from __future__ import annotations

import math

import numpy as np
import pytest

from posterior.refine.psis import fit_pareto, largest_good_shape, pareto_quantile, smooth


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.4, 0.8, 1.2])
def test_the_fit_finds_the_shape_of_pareto_draws(shape):
    rng = np.random.default_rng(0)
    draws = np.sort(pareto_quantile(rng.uniform(size=4000), shape, 2.0))
    found, scale = fit_pareto(draws)
    # standard error (1 + k) / sqrt(M), 5 of them; the weak prior pulls by 10 / M
    assert abs(found - shape) < 5.0 * (1.0 + shape) / 4000**0.5 + 0.01
    assert scale == pytest.approx(2.0, rel=0.15)


def _gaussian_weights(std: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws of N(0, std^2) weighted to N(0, 1)."""
    x = std * np.random.default_rng(seed).normal(size=count)
    return x, -0.5 * x**2 + 0.5 * (x / std) ** 2


def test_k_is_small_for_a_wide_proposal_and_large_for_a_narrow_one():
    # The tail of these weights is Pareto with shape 1 - std^2 for std < 1, and bounded for std >= 1.
    assert smooth(_gaussian_weights(1.5, 4000)[1]).pareto_k < 0.3
    assert smooth(_gaussian_weights(0.35, 20000)[1]).pareto_k > 0.7
    assert smooth(_gaussian_weights(0.9, 20000)[1]).pareto_k < 0.5


def test_smoothed_weights_estimate_better_than_raw_ones():
    raw, tamed = [], []
    for seed in range(200):
        x, log_weights = _gaussian_weights(0.6, 400, seed)
        weights = np.exp(log_weights - log_weights.max())
        raw.append((weights * x**2).sum() / weights.sum())
        tamed.append((np.exp(smooth(log_weights).log_weights) * x**2).sum())
    errors = [np.sqrt(np.mean((np.array(values) - 1.0) ** 2)) for values in (raw, tamed)]
    assert errors[1] < errors[0]
    assert errors[1] < 0.35


def test_weights_sum_to_one_and_keep_their_order():
    log_weights = _gaussian_weights(0.7, 500)[1]
    found = smooth(log_weights)
    assert np.exp(found.log_weights).sum() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_array_equal(np.argsort(found.log_weights), np.argsort(log_weights))
    assert 1.0 <= found.effective <= 500.0


def test_equal_weights_are_all_effective():
    found = smooth(np.zeros(100))
    assert found.effective == pytest.approx(100.0)
    assert found.pareto_k == -math.inf


def test_one_weight_of_all_is_told():
    log_weights = np.zeros(100)
    log_weights[3] = 40.0
    found = smooth(log_weights)
    assert found.pareto_k > 0.7
    assert found.effective < 2.0


def test_bad_weights_are_refused():
    for bad in (np.zeros(24), np.full(30, np.nan), np.full(30, -np.inf), np.zeros((30, 2))):
        with pytest.raises(ValueError, match="expected at least 25 log-weights"):
            smooth(bad)
    assert largest_good_shape(100) == pytest.approx(0.5)
    assert largest_good_shape(10**6) == 0.7
