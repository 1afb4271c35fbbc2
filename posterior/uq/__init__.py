"""Uncertainty quantification of images: numbers from posterior draws, numpy only.

Draws have shape (S, ...) with any number of axes after the first; a truth has the shape of one draw;
``where`` names the cells that count. Classes with ``update`` stream pairs and keep no draws.
"""

from posterior.uq.calibration import (
    DEFAULT_LEVELS,
    Coverage,
    CoverageCurve,
    contraction,
    rank,
    rank_coverage,
)
from posterior.uq.intervals import (
    IntervalRecalibration,
    RecalibrationFit,
    credible_interval,
    interval_scores,
)
from posterior.uq.moments import Moments, mean, quantiles, std
from posterior.uq.sbc import RankTest, SbcRanks, image_functionals, ks_uniform, rank_test
from posterior.uq.scores import best_scale, crps, rmse, snr_db
from posterior.uq.spread import StdRmse, StdRmseFit
from posterior.uq.ssim import Ssim, describe_convention, ssim

__all__ = [
    "DEFAULT_LEVELS",
    "Coverage",
    "CoverageCurve",
    "IntervalRecalibration",
    "Moments",
    "RankTest",
    "RecalibrationFit",
    "SbcRanks",
    "Ssim",
    "StdRmse",
    "StdRmseFit",
    "best_scale",
    "contraction",
    "credible_interval",
    "crps",
    "describe_convention",
    "image_functionals",
    "interval_scores",
    "ks_uniform",
    "mean",
    "quantiles",
    "rank",
    "rank_coverage",
    "rank_test",
    "rmse",
    "snr_db",
    "ssim",
    "std",
]
