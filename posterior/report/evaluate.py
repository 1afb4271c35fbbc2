"""Numbers of one split of held-out pairs, streamed: scores, coverage, ranks, spread; no files, no figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from posterior import uq
from posterior.uq.ssim import Convention

Array = NDArray[Any]
SSIM_CONVENTION: Convention = "wang"
LEVEL = 0.9


@final
@dataclass(frozen=True)
class PairDraws:
    """One held-out pair with its posterior draws; sections (nx, nz) of one channel, SI units."""

    index: int
    """Number of the pair in its dataset."""
    truth: Array
    image: Array
    """Migrated image as the network sees it: muted and depth-weighted."""
    draws: Array
    """Posterior draws, (S, nx, nz)."""


@final
@dataclass(frozen=True)
class PairScores:
    """Scores of one pair over the cells that count."""

    index: int
    snr_db: float
    """SNR of the posterior mean [dB]."""
    snr_image_db: float
    """SNR of the better of the plain and the depth-weighted migrated image, each scaled to the truth [dB]."""
    mse: float
    var: float
    """Mean posterior variance."""
    ssim: uq.Ssim
    crps: float


@final
@dataclass(frozen=True)
class SplitResult:
    """What a split's pairs came to."""

    scores: tuple[PairScores, ...]
    num_samples: int
    """Posterior draws for each pair."""
    num_cells: int
    """Cells that count in each pair."""
    raw: uq.CoverageCurve
    recalibrated: uq.CoverageCurve | None
    spread: uq.StdRmse
    histograms: dict[str, uq.RankTest]
    ecdfs: dict[str, uq.RankTest]
    var_map: Array
    """Mean posterior variance of each cell, (nx, nz)."""
    coverage_map: Array
    """Coverage of each cell at 90 %, recalibrated if there is a factor, (nx, nz)."""
    contraction_map: Array
    """Share of the prior variance removed, (nx, nz); NaN where cells do not count."""
    contraction: float
    """The same of the variances summed over the cells that count."""

    def mean(self, name: str) -> float:
        """Mean of a score over pairs."""
        return float(np.mean([float(getattr(score, name)) for score in self.scores]))


def fit_recalibration(pairs: Iterable[PairDraws], scored: Array) -> uq.IntervalRecalibration:
    """Fit the interval factor on calibration pairs.

    Args:
        pairs: Calibration pairs, seen once.
        scored: Cells that count, (nx, nz).
    """
    fit = uq.RecalibrationFit(LEVEL)
    for pair in pairs:
        fit.update(pair.draws, pair.truth, scored)
    return fit.fit()


@final
class Evaluation:
    """Streams the pairs of one split; never holds more than one pair's draws.

    Args:
        scored: Cells that count, (nx, nz).
        depth_weight: Weight that the migrated image carries, (nz,).
        recalibration: Interval factor, or None to evaluate the posterior as it is only.
    """

    def __init__(
        self, scored: Array, depth_weight: Array, recalibration: uq.IntervalRecalibration | None = None
    ) -> None:
        self._scored = np.asarray(scored, dtype=bool)
        self._depth_weight = np.asarray(depth_weight)
        self._recalibration = recalibration
        self._raw, self._recalibrated = uq.Coverage(map_level=LEVEL), uq.Coverage(map_level=LEVEL)
        self._spread, self._sbc = uq.StdRmseFit(), uq.SbcRanks()
        self._truths = uq.Moments()
        self._var = np.zeros(self._scored.shape)
        self._scores: list[PairScores] = []

    def update(self, pair: PairDraws) -> None:
        """Take in one pair."""
        mean, var = uq.mean(pair.draws), uq.std(pair.draws) ** 2
        self._scores.append(score_pair(pair, mean, var, scored=self._scored, depth_weight=self._depth_weight))
        self._raw.update(pair.draws, pair.truth, self._scored)
        if self._recalibration is not None:
            contracted = self._recalibration.contract(pair.draws, pair.truth)
            self._recalibrated.update(pair.draws, contracted, self._scored)
        self._spread.update(pair.draws, pair.truth, self._scored)
        self._sbc.update(pair.draws, pair.truth, self._scored)
        self._truths.update(pair.truth[None])
        self._var += var

    def result(self, prior_var: Array | None = None) -> SplitResult:
        """Close the split.

        Args:
            prior_var: Prior variance of each cell, (nx, nz); that of the split's own truths by default.
        """
        count = len(self._scores)
        ranks = self._sbc.ranks()
        prior = self._truths.var if prior_var is None else prior_var
        var = self._var / count
        shrunk = uq.contraction(var, prior)
        repaired = self._recalibration is not None
        return SplitResult(
            scores=tuple(self._scores),
            num_samples=self._sbc.num_samples,
            num_cells=int(self._scored.sum()),
            raw=self._raw.curve(),
            recalibrated=self._recalibrated.curve() if repaired else None,
            spread=self._spread.result(),
            histograms={name: uq.rank_test(r, self._sbc.num_samples) for name, r in ranks.items()},
            ecdfs={
                name: uq.rank_test(r, self._sbc.num_samples, cumulative=True) for name, r in ranks.items()
            },
            var_map=var,
            coverage_map=(self._recalibrated if repaired else self._raw).map(),
            contraction_map=np.where(self._scored, shrunk, np.nan),
            contraction=float(1.0 - var[self._scored].sum() / prior[self._scored].sum()),
        )


def score_pair(pair: PairDraws, mean: Array, var: Array, *, scored: Array, depth_weight: Array) -> PairScores:
    """Scores of one pair.

    Args:
        pair: The pair.
        mean: Posterior mean, (nx, nz).
        var: Posterior variance, (nx, nz).
        scored: Cells that count, (nx, nz).
        depth_weight: Weight that the image carries, (nz,).
    """
    truth, size = pair.truth, float(np.ptp(pair.truth[scored]))
    return PairScores(
        index=pair.index,
        snr_db=uq.snr_db(mean, truth, scored),
        snr_image_db=uq.snr_db(best_image(pair, scored, depth_weight), truth, scored),
        mse=uq.rmse(mean, truth, scored) ** 2,
        var=float(var[scored].mean()),
        ssim=uq.ssim(mean, truth, data_range=size, convention=SSIM_CONVENTION, where=scored),
        crps=float(uq.crps(pair.draws[:, scored], truth[scored]).mean()),
    )


def best_image(pair: PairDraws, scored: Array, depth_weight: Array) -> Array:
    """The migrated image at its best: plain or depth-weighted, whichever is nearer, scaled to the truth.

    Args:
        pair: The pair.
        scored: Cells that count, (nx, nz).
        depth_weight: Weight that the image carries, (nz,).
    """
    weighted = np.asarray(pair.image, dtype=np.float64)
    plain = np.divide(
        weighted, depth_weight, out=np.zeros_like(weighted), where=np.asarray(depth_weight) > 0.0
    )
    scaled = [image * uq.best_scale(image, pair.truth, scored) for image in (weighted, plain)]
    return max(scaled, key=lambda image: uq.snr_db(image, pair.truth, scored))


def summarise(result: SplitResult, recalibration: uq.IntervalRecalibration | None) -> dict[str, Any]:
    """Metrics of a split as plain numbers for a JSON file; SI units, shares of 1, dB.

    Args:
        result: What :meth:`Evaluation.result` returned.
        recalibration: The interval factor, for the slope after it.
    """
    gains = np.array([score.snr_db - score.snr_image_db for score in result.scores])
    count = len(gains)
    slope_free, intercept = result.spread.line if len(result.spread.std) > 1 else (None, None)
    p_values = {name: test.p_value for name, test in result.ecdfs.items()}
    metrics: dict[str, Any] = {
        "num_pairs": count,
        "num_samples": result.num_samples,
        "num_cells": result.num_cells,
        "snr_db": result.mean("snr_db"),
        "snr_image_db": result.mean("snr_image_db"),
        "snr_gain_db": float(gains.mean()),
        "snr_gain_db_error": float(gains.std(ddof=1) / np.sqrt(count)) if count > 1 else None,
        "rmse": float(np.sqrt(result.mean("mse"))),
        "std_rms": float(np.sqrt(result.mean("var"))),
        "ssim": result.mean("ssim"),
        "ssim_convention": ssim_convention(),
        "crps": result.mean("crps"),
        "contraction": result.contraction,
        "std_rmse_slope": result.spread.slope,
        "std_rmse_slope_free": slope_free,
        "std_rmse_intercept": intercept,
        "sbc_p_values": p_values,
        # Bonferroni: the functionals are tied to one another, the bound holds all the same.
        "sbc_p_value": min(1.0, len(p_values) * min(p_values.values())),
        **_coverage(result.raw, "_raw"),
    }
    if recalibration is not None and result.recalibrated is not None:
        metrics |= _coverage(result.recalibrated, "")
        metrics["std_rmse_slope_recalibrated"] = result.spread.scaled(recalibration.factor).slope
    return metrics


def ssim_convention() -> str:
    """The SSIM convention of all scores here, in words."""
    described = uq.describe_convention(SSIM_CONVENTION)
    return f"{SSIM_CONVENTION}: {described}, data range max - min of each true section"


def _coverage(curve: uq.CoverageCurve, suffix: str) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {}
    for level in (0.5, 0.9):
        coverage, error = curve.at(level)
        name = f"coverage_{100 * level:.0f}{suffix}"
        numbers |= {name: coverage, f"{name}_error": None if np.isnan(error) else error}
    numbers[f"coverage_departure{suffix}"] = curve.error
    return numbers
