from __future__ import annotations

import json

import numpy as np
import pytest

from posterior.report.evaluate import Evaluation, PairDraws, best_image, fit_recalibration, summarise
from posterior.report.text import coverage_verdict, gain_verdict, sbc_verdict, slope_verdict
from posterior.uq import best_scale, rmse, snr_db, ssim

SHAPE = (16, 18)
SCORED = np.ones(SHAPE, dtype=bool)
SCORED[:, :2] = False
WEIGHT = np.linspace(0.2, 1.0, SHAPE[1])
WRONG = {"narrow": (0.6, 0.0), "wide": (1.6, 0.0), "shifted": (1.0, 0.8)}


def pairs(count, *, kind="right", seed=0, draws=59):
    """In units of 1e-8: x ~ N(0, 1), image = w (x + 0.7 e), x | image ~ N(image / w / 1.49, 0.49 / 1.49)."""
    scale, shift = WRONG.get(kind, (1.0, 0.0))
    rng = np.random.default_rng(seed)
    std = np.sqrt(0.49 / 1.49)
    for index in range(count):
        truth = np.where(SCORED, rng.standard_normal(SHAPE), 0.0)
        plain = truth + 0.7 * rng.standard_normal(SHAPE)
        centre = plain / 1.49 + shift * std
        sampled = centre + scale * std * rng.standard_normal((draws, *SHAPE))
        sampled[:, ~SCORED] = 50.0  # nonsense where nothing is scored
        yield PairDraws(index, 1e-8 * truth, 1e5 * WEIGHT * plain, 1e-8 * sampled)


def metrics_of(kind, *, recalibrated=True, count=40):
    factor = fit_recalibration(pairs(count, kind=kind, seed=1), SCORED) if recalibrated else None
    evaluation = Evaluation(SCORED, WEIGHT, factor)
    for pair in pairs(count, kind=kind):
        evaluation.update(pair)
    result = evaluation.result(np.where(SCORED, 1e-16, 0.0))
    return summarise(result, factor), result


def test_a_right_posterior_meets_its_closed_form():
    metrics, result = metrics_of("right")
    # 40 pairs x 256 independent cells: standard error of coverage 0.003; RMSE and slope 0.7 %; four of each.
    assert metrics["coverage_90_raw"] == pytest.approx(0.9, abs=0.012)
    assert metrics["coverage_90"] == pytest.approx(0.9, abs=0.012)
    assert metrics["coverage_50_raw"] == pytest.approx(0.5, abs=0.02)
    assert metrics["std_rmse_slope"] == pytest.approx(1.0, abs=0.03)
    # Posterior std sqrt(0.49 / 1.49) = 0.5735; the mean of 59 draws adds 1/59 of the variance to its error.
    assert metrics["std_rms"] == pytest.approx(0.5735e-8, rel=0.01)
    assert metrics["rmse"] == pytest.approx(0.5735e-8 * np.sqrt(1 + 1 / 59), rel=0.03)
    assert metrics["contraction"] == pytest.approx(1.0 - 0.49 / 1.49, abs=0.01)
    # The posterior mean is the image best scaled, so that the gain is but the Monte-Carlo error of 59 draws.
    assert metrics["snr_gain_db"] == pytest.approx(-10 * np.log10(1 + 1 / 59), abs=0.03)
    # CRPS of N(0, s) averaged over its own draws is s / sqrt(pi).
    assert metrics["crps"] == pytest.approx(0.5735e-8 / np.sqrt(np.pi), rel=0.03)
    assert metrics["sbc_p_value"] > 0.01
    assert (metrics["num_pairs"], metrics["num_samples"], metrics["num_cells"]) == (40, 59, 256)
    assert np.isnan(result.contraction_map[:, :2]).all()
    assert np.isnan(result.coverage_map[:, :2]).all()
    assert np.isfinite(result.contraction_map[SCORED]).all()


@pytest.mark.parametrize(
    ("kind", "coverage", "slope"),
    [("narrow", 0.676, 1 / 0.6), ("wide", 0.9915, 1 / 1.6), ("shifted", 0.794, 1.28)],
)
def test_a_wrong_posterior_is_reported_as_wrong_and_recalibrated(kind, coverage, slope):
    metrics, _ = metrics_of(kind)
    assert metrics["coverage_90_raw"] == pytest.approx(coverage, abs=0.02)
    assert metrics["std_rmse_slope"] == pytest.approx(slope, rel=0.04)
    assert metrics["coverage_90"] == pytest.approx(0.9, abs=0.015)
    assert metrics["sbc_p_value"] < 0.01
    assert "not uniform" in sbc_verdict(metrics)


def test_verdicts_follow_the_raw_numbers_without_a_factor():
    for kind, coverage, slope in (
        ("right", "at their word", "as large as it says"),
        ("narrow", "too narrow", "larger than the std says"),
        ("wide", "wider than they need be", "smaller than the std says"),
    ):
        metrics, result = metrics_of(kind, recalibrated=False, count=25)
        assert result.recalibrated is None
        assert "coverage_90" not in metrics
        assert coverage in coverage_verdict(metrics)
        assert slope in slope_verdict(metrics)
        assert "25 pairs" in gain_verdict(metrics)


def test_recalibrated_verdict_shows_the_raw_number_beside():
    metrics, _ = metrics_of("narrow")
    assert "at their word" in coverage_verdict(metrics)
    assert f"(raw: {100 * metrics['coverage_90_raw']:.1f} %)" in coverage_verdict(metrics)


def test_a_useless_std_is_called_out():
    metrics, _ = metrics_of("right")
    assert "hardly tells" in slope_verdict({**metrics, "std_rmse_slope_free": 0.1})


def test_metrics_are_plain_json():
    metrics, _ = metrics_of("right", count=2)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_the_better_image_is_the_one_to_beat():
    pair = next(pairs(1))
    plain = pair.image / WEIGHT
    snrs = [snr_db(i * best_scale(i, pair.truth, SCORED), pair.truth, SCORED) for i in (pair.image, plain)]
    assert snrs[1] > snrs[0]
    np.testing.assert_allclose(
        best_image(pair, SCORED, WEIGHT), plain * best_scale(plain, pair.truth, SCORED)
    )
    swapped = PairDraws(0, pair.truth, plain, pair.draws)  # now the weighted one is right
    assert snr_db(best_image(swapped, SCORED, WEIGHT), pair.truth, SCORED) == pytest.approx(max(snrs))


def test_scores_leave_out_what_is_not_scored():
    pair = next(pairs(1))
    evaluation = Evaluation(SCORED, WEIGHT)
    evaluation.update(pair)
    score = evaluation.result(np.ones(SCORED.shape)).scores[0]
    mean = pair.draws.mean(axis=0)
    assert score.mse == pytest.approx(rmse(mean[:, 2:], pair.truth[:, 2:]) ** 2, rel=1e-12)
    expected = ssim(mean, pair.truth, data_range=float(np.ptp(pair.truth[:, 2:])), where=SCORED)
    assert score.ssim.value == pytest.approx(expected.value, rel=1e-12)
    assert score.ssim.convention == "wang"
