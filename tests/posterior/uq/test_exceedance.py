from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from posterior.uq.exceedance import Exceedance, exceedance


def test_probability_is_the_gaussian_one():
    mean, std, threshold = np.linspace(-2.0, 2.0, 35).reshape(5, 7), 0.8, 0.3
    draws = mean + std * np.random.default_rng(0).standard_normal((20_000, 5, 7))
    expected = np.vectorize(lambda m: 1.0 - NormalDist(m, std).cdf(threshold))(mean)
    # Binomial standard error 0.0035 at most; four of them.
    np.testing.assert_allclose(exceedance(draws, threshold), expected, rtol=0, atol=0.014)


# Brier score of P(x > 0): proper, so that the right posterior has the smallest in 400 x 64 cells (the same
# truths and noise for all four).
def test_brier_score_ranks_posteriors(gaussian):
    brier = {
        kind: np.mean([((exceedance(d, 0.0) - (t > 0.0)) ** 2).mean() for d, t in gaussian(400, kind=kind)])
        for kind in ("right", "narrow", "wide", "shifted")
    }
    assert brier["right"] < min(brier["narrow"], brier["wide"], brier["shifted"])


def test_streamed_equals_at_once_with_a_threshold_for_each_cell():
    rng = np.random.default_rng(1)
    draws, threshold = rng.standard_normal((23, 3, 4)), rng.standard_normal((3, 4))
    stream = Exceedance(threshold)
    for batch in np.split(draws, [1, 9]):
        stream.update(batch)
    np.testing.assert_array_equal(stream.probability, exceedance(draws, threshold))
    np.testing.assert_array_equal(stream.probability, (draws > threshold).mean(axis=0))


def test_bounds_hold_the_true_probability():
    for probability in (0.01, 0.3):
        stream = Exceedance(1.0 - probability)
        stream.update(np.random.default_rng(2).random((100, 20_000)))
        lower, upper = stream.bounds(2.0)
        # Nominally 0.954; counts are whole numbers, which moves coverage by up to 0.03 here.
        assert 0.92 < ((lower <= probability) & (probability <= upper)).mean() < 0.99
    never = Exceedance(5.0)
    never.update(np.zeros((100, 1)))
    assert never.bounds(2.0)[0][0] == 0.0
    assert never.bounds(2.0)[1][0] == pytest.approx(4.0 / 104.0, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Exceedance(np.nan), "finite threshold"),
        (lambda: exceedance(np.zeros((3, 4)), np.zeros(5)), r"draws of shape \(5,\), .* got \(4,\)"),
        (lambda: Exceedance(0.0).probability, "at least 1 draw for a probability, got 0"),
        (lambda: exceedance([[np.nan]], 0.0), "finite samples"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_another_shape_is_refused():
    stream = Exceedance(0.0)
    stream.update(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"shape \(3,\), .* got \(4,\)"):
        stream.update(np.zeros((2, 4)))
