from __future__ import annotations

import numpy as np
import pytest

from posterior.uq import Coverage, CoverageCurve, contraction, rank, rank_coverage


def _curve(pairs, **kwargs) -> CoverageCurve:
    coverage = Coverage(**kwargs)
    for draws, truth in pairs:
        coverage.update(draws, truth)
    return coverage.curve()


@pytest.mark.parametrize("count", [2, 5, 16, 200])
def test_uniform_ranks_cover_every_level_exactly(count):
    levels = np.linspace(0.001, 0.999, 57)
    np.testing.assert_allclose(rank_coverage(count, levels).mean(axis=1), levels, rtol=0, atol=1e-14)


def test_rank_counts_draws_below():
    draws = np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
    np.testing.assert_array_equal(rank(draws, np.array([0.0, 2.5, 9.0])), [0, 2, 3])


def test_ties_are_broken_evenly_and_repeatably():
    ranks = rank(np.zeros((4, 50_000)), np.zeros(50_000), seed=3)
    np.testing.assert_array_equal(ranks, rank(np.zeros((4, 50_000)), np.zeros(50_000), seed=3))
    # Multinomial standard error of a share of 0.2 in 5e4 trials: 0.0018; four of them.
    np.testing.assert_allclose(np.bincount(ranks) / ranks.size, np.full(5, 0.2), atol=0.0072)


# 40 pairs x 64 independent cells: the standard error of coverage is at most sqrt(0.25 / 2560) = 0.0099;
# four of them.
@pytest.mark.parametrize("count", [8, 50])
@pytest.mark.parametrize("shape", [(64,), (8, 8), (4, 4, 4)])
def test_a_right_posterior_covers_what_it_claims(gaussian, count, shape):
    curve = _curve(gaussian(40, draws=count, shape=shape))
    np.testing.assert_allclose(curve.pooled, curve.levels, rtol=0, atol=0.04)
    assert curve.at(0.9)[1] < 0.01
    assert curve.error < 0.02


# Coverage of the 90 % interval: 2 Phi(1.645 x 0.6) - 1 = 0.676; 2 Phi(1.645 x 1.6) - 1 = 0.9915;
# Phi(1.645 - 0.7) - Phi(-1.645 - 0.7) = 0.818. Tolerance: four standard errors, sqrt(0.22 / 2560) at worst.
@pytest.mark.parametrize(("kind", "expected"), [("narrow", 0.676), ("wide", 0.9915), ("shifted", 0.818)])
def test_a_wrong_posterior_is_caught(gaussian, kind, expected):
    coverage, error = _curve(gaussian(40, draws=200, kind=kind)).at(0.9)
    assert coverage == pytest.approx(expected, abs=0.037)
    assert abs(coverage - 0.9) > 4.0 * error


def test_map_finds_where_the_error_bars_are_wrong(gaussian):
    coverage = Coverage(map_level=0.9)
    where = np.ones((8, 8), dtype=bool)
    where[:, 0] = False
    for draws, truth in gaussian(200, draws=50):
        centre = draws.mean(axis=0)
        draws[:, 4:] = centre[4:] + 0.5 * (draws[:, 4:] - centre[4:])  # too narrow in the right half only
        coverage.update(draws, truth, where)
    assert np.isnan(coverage.map()[:, 0]).all()
    # 200 pairs a cell, 28 cells: standard error 0.004, against 0.59 = 2 Phi(0.82) - 1 on the right.
    assert coverage.map()[:4, 1:].mean() == pytest.approx(0.9, abs=0.016)
    assert coverage.map()[4:, 1:].mean() == pytest.approx(0.59, abs=0.027)


def test_cells_that_do_not_count_change_nothing(gaussian):
    where = np.zeros((8, 8), dtype=bool)
    where[2:] = True
    plain, masked = Coverage(), Coverage()
    for draws, truth in gaussian(3):
        plain.update(draws[:, 2:], truth[2:])
        masked.update(draws, np.where(where, truth, 1e6), where)
    np.testing.assert_array_equal(plain.curve().pairs, masked.curve().pairs)
    np.testing.assert_array_equal(masked.curve().cells, [48, 48, 48])


def test_curve_weighs_pairs_by_their_cells():
    curve = CoverageCurve(np.array([0.5, 0.9]), np.array([[0.4, 0.8], [0.7, 1.0]]), np.array([1, 2]))
    np.testing.assert_allclose(curve.pooled, [0.6, 2.8 / 3], rtol=1e-15)
    assert curve.at(0.7)[0] == pytest.approx((0.6 + 2.8 / 3) / 2)
    np.testing.assert_allclose(curve.percentiles(0, 100), [[0.4, 0.8], [0.7, 1.0]])


def test_standard_error_is_that_of_a_mean_for_equal_pairs():
    pairs = np.random.default_rng(0).uniform(size=(30, 4))
    curve = CoverageCurve(np.array([0.2, 0.4, 0.6, 0.8]), pairs, np.full(30, 64))
    np.testing.assert_allclose(curve.standard_error, pairs.std(axis=0, ddof=1) / np.sqrt(30), rtol=1e-13)
    assert np.isnan(CoverageCurve(np.array([0.5]), np.ones((1, 1)), np.ones(1)).standard_error).all()


def test_contraction_is_the_share_of_variance_removed(gaussian):
    noise = np.linspace(0.3, 1.5, 64).reshape(8, 8)
    variance = np.mean([draws.var(axis=0, ddof=1) for draws, _ in gaussian(50)], axis=0)
    # The posterior variance is noise^2/(1 + noise^2) of the prior's; 50 x 100 draws estimate it to 2 %,
    # five of them.
    expected = 1.0 / (1.0 + noise**2)
    np.testing.assert_allclose(contraction(variance, np.ones((8, 8))), expected, rtol=0, atol=0.1 * 0.7)
    assert np.isnan(contraction(np.zeros(2), np.zeros(2))).all()
    np.testing.assert_array_equal(contraction(np.array([0.0, 2.0]), np.array([1.0, 1.0])), [1.0, -1.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Coverage().curve(), "at least 1 pair for a coverage curve, got 0"),
        (lambda: Coverage(levels=[0.5, 1.0]), r"levels in \(0, 1\)"),
        (lambda: Coverage().update(np.zeros((3, 4)), np.zeros(4), np.zeros(4)), "at least one cell"),
        (lambda: Coverage().update(np.zeros((3, 4)), np.zeros(4), np.ones(5)), r"mask of shape \(4,\)"),
        (lambda: rank(np.zeros((3, 4)), np.full(4, np.nan)), "finite truth"),
        (lambda: contraction(np.zeros(2), np.zeros(3)), r"variances of one shape, got \(2,\) and \(3,\)"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_pairs_must_share_a_shape():
    coverage = Coverage()
    coverage.update(np.zeros((3, 4)), np.zeros(4))
    with pytest.raises(ValueError, match=r"pairs of shape \(4,\), like those before, got \(5,\)"):
        coverage.update(np.zeros((3, 5)), np.zeros(5))
    with pytest.raises(ValueError, match=r"a level in \[0.01, 0.99\], got 0.995"):
        coverage.curve().at(0.995)
