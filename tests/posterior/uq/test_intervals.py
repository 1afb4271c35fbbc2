from __future__ import annotations

import numpy as np
import pytest

from posterior.uq import IntervalRecalibration, RecalibrationFit, credible_interval, interval_scores

LAWS = ["standard_normal", "standard_exponential", "standard_cauchy"]


def _covered(count: int, law: str) -> float:
    draws = getattr(np.random.default_rng(0), law)((count + 1, 100_000))
    lower, upper = credible_interval(draws[1:], 0.9)
    return float(((draws[0] >= lower) & (draws[0] <= upper)).mean())


# 1e5 independent trials: binomial standard error 0.00095; four of them.
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("count", [19, 39, 199])
def test_interval_covers_a_further_draw_at_its_level(count, law):
    assert _covered(count, law) == pytest.approx(0.9, abs=0.0038)


@pytest.mark.parametrize("law", LAWS)
def test_interpolated_bounds_stay_between_the_whole_positions(law):
    # Position 1.25 of 24 draws: at least the level, at most that of position 1, 23 / 25 = 0.92.
    assert 0.9 - 0.0038 < _covered(24, law) < 0.92
    # Position 5.05 of 100 draws is nearly whole.
    assert _covered(100, law) == pytest.approx(0.9, abs=0.0038 + 0.001)


def test_the_usual_quantiles_undercover():
    draws = np.random.default_rng(0).standard_normal((20, 100_000))
    lower, upper = np.quantile(draws[1:], [0.05, 0.95], axis=0)
    assert ((draws[0] >= lower) & (draws[0] <= upper)).mean() < 0.87


def test_scores_are_the_factor_at_which_the_interval_holds_the_truth():
    rng = np.random.default_rng(1)
    draws, truth = rng.standard_exponential((40, 50)), rng.standard_exponential(50)
    score = interval_scores(draws, truth, 0.8)
    lower, upper = credible_interval(draws, 0.8)
    centre = np.median(draws, axis=0)
    for factor, held in ((score * (1 + 1e-9), True), (score * (1 - 1e-6), False)):
        inside = (truth >= centre - factor * (centre - lower)) & (truth <= centre + factor * (upper - centre))
        assert (inside == held).all()


def test_draws_that_do_not_vary_reach_only_their_own_value():
    draws = np.ones((19, 3))
    scores = interval_scores(draws, np.array([1.0, 0.0, 2.0]), 0.9)
    np.testing.assert_array_equal(scores, [0.0, np.inf, np.inf])


# The factor is the ratio of the right std to the one reported. 60 pairs x 64 cells: the standard error of a
# 90 % score quantile is sqrt(0.09 / 3840) / (density of |N(0,1)|/1.645 at 1: 0.34) = 1.4 %; four of them,
# plus 2 % for noise of S = 100.
@pytest.mark.parametrize(("kind", "factor"), [("right", 1.0), ("narrow", 1 / 0.6), ("wide", 1 / 1.6)])
def test_factor_undoes_a_wrong_width(gaussian, kind, factor):
    fit = RecalibrationFit(0.9)
    for draws, truth in gaussian(60, kind=kind):
        fit.update(draws, truth)
    recalibration = fit.fit()
    assert recalibration.factor == pytest.approx(factor, rel=0.076)
    assert recalibration.pairs == 60
    # By leaving out one pair the estimate is not the training score; standard error sqrt(0.09 / 3840) =
    # 0.005, four of them.
    assert recalibration.coverage_left_out == pytest.approx(0.9, abs=0.02)
    covered = []
    for draws, truth in gaussian(60, kind=kind, seed=1):
        lower, upper = credible_interval(recalibration.widen(draws), 0.9)
        covered.append(((truth >= lower) & (truth <= upper)).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.03)


def test_a_shift_is_bought_with_wider_intervals(gaussian):
    fit = RecalibrationFit(0.9)
    for draws, truth in gaussian(60, kind="shifted"):
        fit.update(draws, truth)
    assert fit.fit().factor > 1.1


def test_only_cells_that_count_are_fitted(gaussian):
    where = np.zeros((8, 8), dtype=bool)
    where[2:] = True
    fits = [RecalibrationFit(0.9), RecalibrationFit(0.9)]
    for draws, truth in gaussian(5):
        fits[0].update(draws[:, 2:], truth[2:])
        spoilt = truth.copy()
        spoilt[:2] = 1e6
        fits[1].update(draws, spoilt, where)
    assert fits[0].fit() == fits[1].fit()


def test_the_conformal_factor_keeps_its_guarantee(gaussian):
    # Ten pairs of 2x2 cells, 300 times: the expected choice undercovers by chance; the conformal one must
    # not on average.
    coverage = {"expected": [], "conformal": []}
    for trial in range(300):
        pairs = list(gaussian(16, draws=19, shape=(2, 2), kind="narrow", seed=trial))
        fit = RecalibrationFit(0.9)
        for draws, truth in pairs[:-1]:
            fit.update(draws, truth)
        for guarantee, covered in coverage.items():
            score = interval_scores(*pairs[-1], 0.9)
            covered.append((score <= fit.fit(guarantee).factor).mean())
    # 1200 cells in 300 trials: standard error 0.0087; three of them.
    assert np.mean(coverage["conformal"]) > 0.9 - 0.026
    assert np.mean(coverage["conformal"]) > np.mean(coverage["expected"])


def test_widen_and_contract_are_one_statement():
    rng = np.random.default_rng(2)
    draws, truth = rng.standard_normal((30, 200)), 2.0 * rng.standard_normal(200)
    recalibration = IntervalRecalibration(1.7, 0.9, 10, "expected", 0.9)
    lower, upper = credible_interval(recalibration.widen(draws), 0.9)
    inner_lower, inner_upper = credible_interval(draws, 0.9)
    contracted = recalibration.contract(draws, truth)
    inside = (truth >= lower) & (truth <= upper)
    np.testing.assert_array_equal(inside, (contracted >= inner_lower) & (contracted <= inner_upper))
    assert 0 < inside.sum() < inside.size
    # Moving draws about the median scales the std and leaves the median.
    widened = recalibration.widen(draws)
    np.testing.assert_allclose(np.median(widened, axis=0), np.median(draws, axis=0), atol=1e-14)
    np.testing.assert_allclose(widened.std(axis=0), 1.7 * draws.std(axis=0), rtol=1e-12)


def test_json_round_trip():
    recalibration = IntervalRecalibration(1.0 / 3.0, 0.9, 41, "conformal", 0.9012)
    assert IntervalRecalibration.from_json(recalibration.to_json()) == recalibration


def _fit(pairs: int) -> RecalibrationFit:
    fit = RecalibrationFit(0.9)
    rng = np.random.default_rng(0)
    for _ in range(pairs):
        fit.update(rng.standard_normal((19, 50)), rng.standard_normal(50))
    return fit


def _hopeless() -> RecalibrationFit:
    fit = RecalibrationFit(0.9)
    for _ in range(3):
        fit.update(np.zeros((19, 4)), np.ones(4))
    return fit


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _fit(1).fit(), "at least 2 pairs for the choice 'expected', got 1"),
        (lambda: _fit(10).fit("conformal"), "at least 11 pairs for the choice 'conformal', got 10"),
        (lambda: _hopeless().fit(), "the draws do not vary where the truth does"),
        (lambda: credible_interval(np.zeros((10, 2)), 0.9), "at least 19 draws .* got 10"),
        (lambda: IntervalRecalibration(0.0, 0.9, 10, "expected", 0.9), "positive interval factor, got 0.0"),
        (lambda: IntervalRecalibration.from_json('{"factor": 1}'), "JSON object with the fields"),
        (lambda: RecalibrationFit(0.9).update(np.zeros((19, 4)), np.zeros(3)), r"truth of shape \(4,\)"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_eleven_pairs_suffice_for_a_conformal_factor():
    assert _fit(11).fit("conformal").factor > _fit(11).fit().factor
