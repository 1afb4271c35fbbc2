"""Uncertainty quantification of images: numbers from posterior draws, numpy only.

Draws have shape (S, ...) with any number of axes after the first; a truth has the shape of one draw;
``where`` names the cells that count. Classes with ``update`` stream pairs and keep no draws.
"""

from posterior.uq.bimodality import Bimodality, bimodality
from posterior.uq.calibration import (
    DEFAULT_LEVELS,
    Coverage,
    CoverageCurve,
    contraction,
    rank,
    rank_coverage,
)
from posterior.uq.correlation import CorrelationMap, correlation_map, correlation_noise
from posterior.uq.exceedance import Exceedance, exceedance
from posterior.uq.highest_density import highest_density_interval
from posterior.uq.horizons import Horizon, Picker
from posterior.uq.intervals import (
    IntervalRecalibration,
    RecalibrationFit,
    credible_interval,
    interval_scores,
)
from posterior.uq.joint_scores import energy_score, variogram_score
from posterior.uq.log_scores import LogScore, gaussian_log_score, log_score
from posterior.uq.modes import Modes, principal_modes
from posterior.uq.moments import Moments, mean, quantiles, std
from posterior.uq.relative import coefficient_of_variation, envelope, normalised_std
from posterior.uq.sbc import RankTest, SbcRanks, image_functionals, ks_uniform, rank_test
from posterior.uq.scores import best_scale, crps, rmse, snr_db, winkler_score
from posterior.uq.sketch import QuantileSketch
from posterior.uq.spread import StdRmse, StdRmseFit
from posterior.uq.ssim import Ssim, describe_convention, ssim

__all__ = [
    "DEFAULT_LEVELS",
    "Bimodality",
    "CorrelationMap",
    "Coverage",
    "CoverageCurve",
    "Exceedance",
    "Horizon",
    "IntervalRecalibration",
    "LogScore",
    "Modes",
    "Moments",
    "Picker",
    "QuantileSketch",
    "RankTest",
    "RecalibrationFit",
    "SbcRanks",
    "Ssim",
    "StdRmse",
    "StdRmseFit",
    "best_scale",
    "bimodality",
    "coefficient_of_variation",
    "contraction",
    "correlation_map",
    "correlation_noise",
    "credible_interval",
    "crps",
    "describe_convention",
    "energy_score",
    "envelope",
    "exceedance",
    "gaussian_log_score",
    "highest_density_interval",
    "image_functionals",
    "interval_scores",
    "ks_uniform",
    "log_score",
    "mean",
    "normalised_std",
    "principal_modes",
    "quantiles",
    "rank",
    "rank_coverage",
    "rank_test",
    "rmse",
    "snr_db",
    "ssim",
    "std",
    "variogram_score",
    "winkler_score",
]
