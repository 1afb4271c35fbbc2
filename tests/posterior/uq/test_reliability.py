from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.ordering import error_std_correlation, sparsification, z_scores
from posterior.uq.reliability import CalibrationError, CalibrationErrorFit, published_calibration_error


def _error(pairs, **kwargs) -> CalibrationError:
    fit = CalibrationErrorFit()
    for samples, truth in pairs:
        fit.update(samples, truth)
    return fit.result(**kwargs)


# Few draws are the hard case: binned and judged on the same ten draws, the ratio would slope from 1.3 to 0.9.
@pytest.mark.parametrize("draws", [10, 100])
def test_our_error_of_a_right_posterior_is_zero_within_its_floor(gaussian, draws):
    error = _error(gaussian(100, draws=draws))
    assert error.p_value > 0.02
    assert error.value < error.floor
    assert (np.abs(error.ratio - 1.0) < 4.0 * error.ratio_error).all()
    assert error.counts.sum() == 6400


@pytest.mark.parametrize(
    ("kind", "expected"), [("narrow", 1 / 0.6), ("wide", 1 / 1.6), ("shifted", np.sqrt(1.49))]
)
def test_our_error_of_a_wrong_posterior_is_how_wrong_it_is(gaussian, kind, expected):
    error = _error(gaussian(100, kind=kind))
    assert error.p_value < 0.005
    # RMSE over std of 6400 cells: relative standard error 1/sqrt(2 x 6400) = 0.9 %, five of them.
    assert error.value == pytest.approx(abs(expected - 1.0), abs=0.045 * expected)
    np.testing.assert_allclose(error.ratio, expected, rtol=5.0 * 0.025)


def test_published_errors_by_hand():
    std, error = np.array([0.1, 0.1, 0.9, 0.9]), np.array([0.2, -0.4, 0.5, 0.5])
    slim = published_calibration_error(std, error, "slim", bins=4, limits=(0.0, 1.0))
    assert float(slim) == pytest.approx((0.2 + 0.4) / 4)
    laves = published_calibration_error(std, error, "laves", bins=2)
    assert float(laves) == pytest.approx(0.5 * abs(0.1 - 0.01) + 0.5 * abs(0.25 - 0.81))
    ence = published_calibration_error(std, error, "ence", bins=2)
    assert float(ence) == pytest.approx(0.5 * (abs(0.1 - np.sqrt(0.1)) / 0.1 + 0.4 / 0.9))
    assert str(slim) == (
        "0.15 (slim: |mean std - mean absolute error|, equal-width bins, empty ones count as 0, unweighted; "
        "4 bins of std 0..1)"
    )


def test_the_slim_error_of_a_perfect_posterior_is_not_zero():
    rng = np.random.default_rng(0)
    std = rng.uniform(0.02, 0.4, 400_000)
    value = float(
        published_calibration_error(std, std * rng.standard_normal(std.size), "slim", bins=64, limits=(0, 1))
    )
    # (1 - sqrt(2/pi)) mean(std) x 24.3 filled bins / 64.
    assert value == pytest.approx((1 - np.sqrt(2 / np.pi)) * 0.21 * 24.5 / 64, rel=0.03)
    too_narrow = float(
        published_calibration_error(
            0.798 * std, std * rng.standard_normal(std.size), "slim", bins=64, limits=(0, 1)
        )
    )
    assert too_narrow < 0.1 * value  # it asks for a std 20 % too small


def test_z_scores_have_the_law_they_claim(gaussian):
    values = {
        kind: np.stack([z_scores(samples, truth) for samples, truth in gaussian(100, kind=kind)])
        for kind in ("right", "narrow", "shifted")
    }
    # Share of 6400 cells beyond 2: t with 99 degrees of freedom 0.048, standard error 0.0027.
    assert np.mean(np.abs(values["right"]) > 2.0) == pytest.approx(0.048, abs=0.011)
    assert np.mean(np.abs(values["narrow"]) > 2.0) > 0.2
    assert values["shifted"].mean() == pytest.approx(-0.7, abs=0.05)
    np.testing.assert_array_equal(
        z_scores(np.ones((3, 3)), np.array([1.0, 2.0, 0.0])), [0.0, np.inf, -np.inf]
    )


def test_correlation_and_sparsification_tell_whether_std_points_to_error():
    rng = np.random.default_rng(0)
    std = np.exp(0.5 * rng.standard_normal(20_000))
    error = std * rng.standard_normal(std.size)
    shuffled = rng.permutation(std)
    right, wrong = sparsification(std, error), sparsification(shuffled, error)
    assert right.ause == pytest.approx(right.expected_ause, rel=0.05)
    assert wrong.ause > 1.3 * wrong.expected_ause
    assert sparsification(np.abs(error), error).ause == 0.0
    assert right.by_std[0] == right.by_error[0] == 1.0
    assert (np.diff(right.by_error) <= 0.0).all()
    # A factor on std changes no order: what these figures do not see.
    np.testing.assert_array_equal(sparsification(0.5 * std, error).by_std, right.by_std)
    pearson, spearman = error_std_correlation(std, error)
    # |e| = s |n|: cov = E|n| var(s); with s lognormal(0, 0.5).
    spread, mean_abs = np.exp(0.25) - 1.0, np.sqrt(2 / np.pi)
    assert pearson == pytest.approx(mean_abs * np.sqrt(spread / (spread + 1 - 2 / np.pi)), abs=0.04)
    assert 0.3 < spearman < 0.5
    assert abs(error_std_correlation(shuffled, error)[1]) < 4 / np.sqrt(20_000)
    assert error_std_correlation(std, np.abs(std))[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CalibrationErrorFit().result(), "at least 8 pairs .* got 0"),
        (lambda: CalibrationErrorFit().update(np.zeros((3, 4)), np.zeros(4)), "S >= 4 draws"),
        (lambda: published_calibration_error([1.0], [1.0], "mine", bins=2), "among .* got 'mine'"),
        (lambda: published_calibration_error([1.0], [1.0], "slim", bins=0), "at least 1 bin, got 0"),
        (
            lambda: published_calibration_error([3.0], [1.0], "slim", bins=2, limits=(0, 1)),
            "std within 0..1, got 3..3",
        ),
        (lambda: sparsification(np.ones(3), np.ones(4)), r"one shape, got \(3,\) and \(4,\)"),
        (lambda: sparsification(np.ones(3), np.ones(3)), "between 2 and 3 steps for 3 cells, got 50"),
        (lambda: sparsification(np.ones(9), np.zeros(9), steps=3), "not all 0"),
        (lambda: error_std_correlation(np.ones(3), np.arange(3.0)), "vary from cell to cell"),
        (lambda: error_std_correlation([-1.0, 1.0], [1.0, 2.0]), "finite std >= 0"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_draws_that_do_not_vary_are_refused():
    with pytest.raises(ValueError, match="draws that vary"):
        _error([(np.zeros((4, 3)), np.ones(3))] * 8)
