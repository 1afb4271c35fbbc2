"""How the lines of the refinement benchmark on waves are scored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from refinement_foreign import Survey

from posterior import uq
from posterior.dataset import PairDataset
from posterior.refine import Batch, Refined
from posterior.sample import AmortizedPosterior

DRAWS, CHECKS, HOME = 128, 4, 20
"""Draws that are scored and those whose data are modelled; pairs of Parihaka for either use."""


def scores(
    draws: NDArray[np.float32],
    truth: NDArray[np.float32],
    where: NDArray[np.bool_],
    repair: uq.IntervalRecalibration,
) -> dict[str, float]:
    """SNR of the mean, and coverage as it is and with the network's interval factor."""
    inside = draws[:, 0][:, where].astype(np.float64)
    target = truth[where]

    def coverage(samples: NDArray[np.float64]) -> float:
        low, high = uq.credible_interval(samples, 0.9)
        return float(((low <= target) & (target <= high)).mean())

    return {
        "snr_db": uq.snr_db(draws[:, 0].mean(0), truth, where),
        "coverage_raw": coverage(inside),
        "coverage_factor": coverage(repair.widen(inside)),
    }


def _scores(draws: NDArray[np.float32], case: Survey, repair: uq.IntervalRecalibration) -> dict[str, float]:
    return scores(draws, case.truth[0], case.scored, repair)


def judge(refined: Refined, case: Survey, repair: uq.IntervalRecalibration, seconds: float) -> dict[str, Any]:
    """One line of one survey."""
    report, checks = refined.report, 2 * CHECKS * case.likelihood.num_sources
    assert report.after is not None  # every run has its checks
    found: dict[str, Any] = dict(_scores(refined.sample(DRAWS, seed=3, batch_size=64), case, repair))
    if refined.method == "latent_map":
        found["coverage_raw"] = found["coverage_factor"] = None  # a point has no intervals
    return found | {
        "chi_square": report.after.chi_square,
        "forward": report.solves.forward - checks,
        "adjoint": report.solves.adjoint,
        "seconds": seconds,
        "doubts": list(report.doubts),
        **{name: value for name, value in report.numbers.items() if np.isfinite(value)},
    }


def chi_square(case: Survey, draws: NDArray[np.float32]) -> float:
    """Mean over draws of the whitened misfit a datum."""
    models = torch.from_numpy(draws)
    value = case.likelihood.value(models, Batch.all_shots(len(models), case.likelihood.num_sources))
    return float(2.0 * value.mean()) / case.likelihood.num_data


def in_distribution(
    posterior: AmortizedPosterior, run: Path
) -> tuple[uq.IntervalRecalibration, dict[str, Any]]:
    """The interval factor by Parihaka's calibration pairs, and the network's scores on its test pairs."""

    def draw(split: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]]:
        pairs = PairDataset(run / "data" / split)
        for x, y in (pairs[position] for position in range(min(len(pairs), HOME))):
            yield posterior.sample(DRAWS, y, seed=3, batch_size=64), x[0].numpy(), pairs.scored

    fit = uq.RecalibrationFit()
    for draws, truth, where in draw("calibration"):
        fit.update(draws[:, 0], truth, where)
    repair = fit.fit()
    rows = [scores(draws, truth, where, repair) for draws, truth, where in draw("test")]
    return repair, {key: float(np.mean([row[key] for row in rows])) for key in rows[0]} | {"pairs": len(rows)}


def amortized(
    posterior: AmortizedPosterior, case: Survey, repair: uq.IntervalRecalibration
) -> dict[str, Any]:
    """The line of the network's own answer."""
    begin = time.perf_counter()
    draws = posterior.sample(DRAWS, case.y, seed=3, batch_size=64)
    seconds = time.perf_counter() - begin
    found = _scores(draws, case, repair) | {"chi_square": chi_square(case, draws[:CHECKS])}
    return found | {"forward": 0, "adjoint": 0, "seconds": seconds}
