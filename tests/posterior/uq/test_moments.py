from __future__ import annotations

import numpy as np
import pytest

from posterior.uq import Moments, mean, quantiles, std
from posterior.uq.moments import ShapeMoments

SHAPES = [(), (5,), (3, 4), (2, 3, 4), (1, 2, 3, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_streamed_moments_equal_those_at_once(shape):
    # An offset of 1e3 std costs the two-pass reference 1e3^2 eps = 2e-10 of the variance at the very worst.
    draws = 1e3 + np.random.default_rng(0).standard_normal((23, *shape))
    moments = Moments()
    for batch in np.split(draws, [1, 4, 11]):
        moments.update(batch)
    assert moments.count == 23
    np.testing.assert_allclose(moments.mean, mean(draws), rtol=1e-14)
    np.testing.assert_allclose(moments.std, std(draws), rtol=1e-9)
    np.testing.assert_allclose(moments.var, np.var(draws, axis=0, ddof=1), rtol=1e-9)


def test_merged_moments_equal_those_of_all_draws():
    draws = np.random.default_rng(1).standard_normal((20, 3, 4))
    whole, parts = Moments(), [Moments(), Moments(), Moments()]
    whole.update(draws)
    parts[0].update(draws[:7])
    parts[1].update(draws[7:])
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])  # has seen nothing
    assert parts[0].count == 20
    np.testing.assert_allclose(parts[0].mean, whole.mean, rtol=0, atol=1e-15)
    np.testing.assert_allclose(parts[0].var, whole.var, rtol=1e-13)


def test_single_precision_draws_are_summed_in_double():
    # Sums in float32 would lose digits at 1e4 draws; values of x in s^2/m^2 are about 1e-8.
    draws = (1e-8 * (1.0 + 1e-3 * np.random.default_rng(2).standard_normal((10_000, 2)))).astype(np.float32)
    np.testing.assert_allclose(mean(draws), draws.astype(np.float64).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(std(draws), draws.astype(np.float64).std(axis=0, ddof=1), rtol=1e-10)


@pytest.mark.parametrize("count", [9, 19, 99])
def test_order_statistics_are_quantiles_at_whole_positions(count):
    draws = np.random.default_rng(3).standard_normal((count, 4))
    probabilities = np.arange(1, count + 1) / (count + 1)
    np.testing.assert_allclose(quantiles(draws, probabilities), np.sort(draws, axis=0), rtol=0, atol=1e-13)


def test_a_further_draw_lies_below_a_quantile_with_its_probability():
    # 2e5 independent trials: binomial standard error 0.001; four of them.
    draws = np.random.default_rng(4).standard_normal((17, 200_000))
    below = (draws[0] < quantiles(draws[1:], 0.13)).mean()
    assert below == pytest.approx(0.13, abs=0.004)
    # numpy's default puts the same quantile too far in.
    assert (draws[0] < np.quantile(draws[1:], 0.13, axis=0)).mean() > 0.15


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: std(np.zeros((1, 3))), r"S >= 2 draws, got \(1, 3\)"),
        (lambda: mean(np.float64(1.0)), r"S >= 1 draws, got \(\)"),
        (lambda: mean([np.nan, 1.0]), "finite samples, got 1 of 2"),
        (lambda: quantiles(np.zeros((18, 2)), 0.05), "at least 19 draws for a tail .* 0.05, got 18"),
        (lambda: quantiles(np.zeros((18, 2)), 1.0), r"levels in \(0, 1\), got 1.0"),
        (lambda: Moments().mean, "at least 1 draw for a mean, got 0"),
        (lambda: Moments().var, "at least 2 draws for a variance, got 0"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_moments_refuse_another_shape():
    moments = Moments()
    moments.update(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"draws of shape \(3,\), like those before, got \(4,\)"):
        moments.update(np.zeros((2, 4)))


def _streamed(draws: np.ndarray, cuts: list[int]) -> ShapeMoments:
    shape = ShapeMoments()
    for batch in np.split(draws, cuts):
        shape.update(batch)
    return shape


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 40]])
def test_shape_of_batches_is_that_of_all_draws(cuts):
    # An offset of 1e4 std: powers about a wrong centre would lose all digits.
    draws = 1e4 + np.random.default_rng(0).exponential(size=(60, 2, 3))
    n, offset = len(draws), draws - draws.mean(axis=0)
    second, third, fourth = ((offset**power).mean(axis=0) for power in (2, 3, 4))
    shape = _streamed(draws, cuts)
    np.testing.assert_allclose(
        shape.skewness, np.sqrt(n * (n - 1)) / (n - 2) * third / second**1.5, rtol=1e-7
    )
    excess = (n + 1) * (fourth / second**2 - 3.0) + 6.0
    np.testing.assert_allclose(shape.kurtosis, (n - 1) / ((n - 2) * (n - 3)) * excess, rtol=1e-6, atol=1e-7)
    merged = _streamed(draws[:20], [])
    merged.merge(_streamed(draws[20:], [7]))
    merged.merge(ShapeMoments())
    np.testing.assert_allclose(merged.skewness, shape.skewness, rtol=1e-7)
    np.testing.assert_allclose(merged.kurtosis, shape.kurtosis, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "skewness", "kurtosis"),
    [("normal", 0.0, 0.0), ("uniform", 0.0, -1.2), ("exponential", 2.0, 6.0)],
)
def test_shape_of_known_distributions(kind, skewness, kurtosis):
    draws = getattr(np.random.default_rng(1), kind)(size=(2_000, 1_000))
    shape = _streamed(draws, [500, 501])
    if kind == "normal":
        errors = shape.standard_errors
        # Unbiased: 4.5 standard errors of a mean of 1000 cells; their spread to 4.5 errors of a std.
        for found, error in zip((shape.skewness, shape.kurtosis), errors, strict=True):
            assert abs(found.mean()) < 4.5 * error / np.sqrt(1_000)
            assert found.std() == pytest.approx(error, rel=0.12)
    # Heavy tails: an exponential's kurtosis from 2000 draws is low by about 2 %.
    assert shape.skewness.mean() == pytest.approx(skewness, abs=0.03)
    assert shape.kurtosis.mean() == pytest.approx(kurtosis, abs=0.2)


def test_a_skewed_posterior_is_told_from_a_gaussian_one():
    # 200 draws of an exponential: skewness 2, kurtosis 6, against 5 standard errors of 0.17 and 0.34.
    draws = np.random.default_rng(2).exponential(size=(200, 300))
    shape = _streamed(draws, [100])
    first, second = shape.standard_errors
    assert (shape.skewness > 5.0 * first).all()
    assert (shape.kurtosis > 5.0 * second).mean() > 0.9


def test_shape_refuses_what_it_cannot_tell():
    shape = _streamed(np.zeros((3, 2)), [])
    for read in (lambda: shape.skewness, lambda: shape.kurtosis, lambda: shape.standard_errors):
        with pytest.raises(ValueError, match="at least 4 draws for skewness and kurtosis, got 3"):
            read()
    with pytest.raises(ValueError, match=r"draws of shape \(2,\), like those before, got \(3,\)"):
        shape.update(np.zeros((1, 3)))
    shape.update(np.zeros((1, 2)))
    assert np.isnan(shape.skewness).all()
    assert np.isnan(shape.kurtosis).all()
