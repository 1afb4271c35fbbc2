from __future__ import annotations

import numpy as np
import pytest

from posterior.uq import StdRmse, StdRmseFit


def _fit(pairs, bins: int = 20) -> StdRmse:
    fit = StdRmseFit()
    for draws, truth in pairs:
        fit.update(draws, truth)
    return fit.result(bins)


# 100 pairs x 64 independent cells: the relative error of an RMSE over all is 1/sqrt(2 x 6400) = 0.9 %; four
# of them. The free line has a standard error of 0.9 % sqrt(1 + (mean s / std of s)^2) = 2.5 % here; four of
# them.
@pytest.mark.parametrize("draws", [4, 100])
def test_a_right_posterior_has_slope_one(gaussian, draws):
    result = _fit(gaussian(100, draws=draws))
    # The sampling error of std lowers the slope by up to 1 / (4 (S - 1)).
    assert 1.0 - 0.25 / (draws - 1) - 0.036 < result.slope < 1.036
    if draws == 100:
        assert result.line == pytest.approx((1.0, 0.0), abs=0.1)


# Narrow and wide: the inverse of the factor on std. Shifted: sqrt(1 + 0.7^2) = 1.221. Relative tolerance
# 3.6 % as above, plus 1 % for the shift's cross term.
@pytest.mark.parametrize(("kind", "slope"), [("narrow", 1 / 0.6), ("wide", 1 / 1.6), ("shifted", 1.221)])
def test_a_wrong_posterior_is_caught(gaussian, kind, slope):
    assert _fit(gaussian(100, kind=kind)).slope == pytest.approx(slope, rel=0.046)


def test_the_free_line_shows_a_std_that_tells_nothing():
    # One std claimed at random, unrelated to an error of std 1: right on average, useless cell by cell.
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(50):
        claimed = rng.uniform(0.5, 1.4, 400)
        pairs.append((claimed * rng.standard_normal((60, 400)), rng.standard_normal(400)))
    result = _fit(pairs)
    assert abs(result.slope - 1.0) < 0.1
    assert abs(result.line[0]) < 0.2


def test_bins_hold_equal_counts_whatever_the_unit(gaussian):
    pairs = list(gaussian(20))
    plain, tiny = _fit(pairs, 8), _fit([(1e-12 * draws, 1e-12 * truth) for draws, truth in pairs], 8)
    assert plain.counts.sum() == 20 * 64
    assert len(plain.std) == 8
    # Bins are cut between fine bins of 2.2 %: no more than a few of those to either side.
    assert plain.counts.max() < 1.5 * plain.counts.min()
    assert (np.diff(plain.std) > 0).all()
    assert tiny.slope == pytest.approx(plain.slope, rel=0.01)


def test_streaming_matches_a_direct_count():
    # Two groups of cells with known std, far apart: each is one bin, whose RMSE is known to the last digit.
    draws = np.array([-1.0, 1.0])[:, None] * np.array([1.0, 1.0, 8.0, 8.0])
    truth = np.array([1.0, -3.0, 4.0, 0.0])
    fit = StdRmseFit()
    fit.update(draws, truth)
    result = fit.result(2)
    np.testing.assert_allclose(result.std, np.sqrt(2.0) * np.array([1.0, 8.0]), rtol=1e-15)
    np.testing.assert_allclose(result.rmse, np.sqrt(np.array([5.0, 8.0]) / 1.5), rtol=1e-15)
    np.testing.assert_array_equal(result.counts, [2, 2])
    np.testing.assert_allclose(result.scaled(2.0).slope, result.slope / 2.0, rtol=1e-15)


def test_cells_without_spread_are_kept(gaussian):
    fit = StdRmseFit()
    fit.update(np.zeros((3, 4)), np.ones(4))
    result = fit.result()
    assert result.std.tolist() == [0.0]
    with pytest.raises(ValueError, match="at least 2 bins for a line, got 1"):
        _ = result.line


def test_no_pair_is_an_error():
    with pytest.raises(ValueError, match="at least 1 pair for RMSE against std, got 0"):
        StdRmseFit().result()
