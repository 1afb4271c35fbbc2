"""Uncertainty quantification of images: numbers from posterior draws, numpy only.

Draws have shape (S, ...) with any number of axes after the first; a truth has the shape of one draw;
``where`` names the cells that count. Classes with ``update`` stream pairs and keep no draws.
"""

from posterior.uq.alarms import Alarms, Reading, Reference, Verdict, latent_norm
from posterior.uq.bimodality import Bimodality, bimodality
from posterior.uq.c2st import C2stTest, LocalC2st, local_c2st
from posterior.uq.calibration import (
    DEFAULT_LEVELS,
    Coverage,
    CoverageCurve,
    contraction,
    rank,
    rank_coverage,
)
from posterior.uq.correlation import CorrelationMap, correlation_map, correlation_noise
from posterior.uq.coverage import CoverageMapTest, coverage_map_test, coverage_test, sign_flip_test
from posterior.uq.entropy import entropy, entropy_std
from posterior.uq.exceedance import Exceedance, exceedance
from posterior.uq.functionals import Functional, block_mean, cell, data_misfit, energy, principal_scores
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
from posterior.uq.mmd import SummaryMmd, mmd_squared
from posterior.uq.modes import Modes, principal_modes
from posterior.uq.moments import Moments, ShapeMoments, mean, quantiles, std
from posterior.uq.ordering import Sparsification, error_std_correlation, sparsification, z_scores
from posterior.uq.predictive import Predictive, PredictiveCheck, chi_square_cdf, predictive_test
from posterior.uq.ranks import FunctionalRanks, PitMap, holm, pit
from posterior.uq.relative import coefficient_of_variation, envelope, normalised_std
from posterior.uq.reliability import (
    CalibrationError,
    CalibrationErrorFit,
    PublishedError,
    published_calibration_error,
)
from posterior.uq.running import running_snr_db
from posterior.uq.sbc import RankTest, SbcRanks, image_functionals, ks_uniform, rank_test
from posterior.uq.scores import best_scale, crps, rmse, snr_db, winkler_score
from posterior.uq.sketch import QuantileSketch
from posterior.uq.spread import StdRmse, StdRmseFit
from posterior.uq.ssim import Ssim, describe_convention, ssim
from posterior.uq.tarp import Tarp, TarpResult, data_reference

__all__ = [
    "DEFAULT_LEVELS",
    "Alarms",
    "Bimodality",
    "C2stTest",
    "CalibrationError",
    "CalibrationErrorFit",
    "CorrelationMap",
    "Coverage",
    "CoverageCurve",
    "CoverageMapTest",
    "Exceedance",
    "Functional",
    "FunctionalRanks",
    "Horizon",
    "IntervalRecalibration",
    "LocalC2st",
    "LogScore",
    "Modes",
    "Moments",
    "Picker",
    "PitMap",
    "Predictive",
    "PredictiveCheck",
    "PublishedError",
    "QuantileSketch",
    "RankTest",
    "Reading",
    "RecalibrationFit",
    "Reference",
    "SbcRanks",
    "ShapeMoments",
    "Sparsification",
    "Ssim",
    "StdRmse",
    "StdRmseFit",
    "SummaryMmd",
    "Tarp",
    "TarpResult",
    "Verdict",
    "best_scale",
    "bimodality",
    "block_mean",
    "cell",
    "chi_square_cdf",
    "coefficient_of_variation",
    "contraction",
    "correlation_map",
    "correlation_noise",
    "coverage_map_test",
    "coverage_test",
    "credible_interval",
    "crps",
    "data_misfit",
    "data_reference",
    "describe_convention",
    "energy",
    "energy_score",
    "entropy",
    "entropy_std",
    "envelope",
    "error_std_correlation",
    "exceedance",
    "gaussian_log_score",
    "highest_density_interval",
    "holm",
    "image_functionals",
    "interval_scores",
    "ks_uniform",
    "latent_norm",
    "local_c2st",
    "log_score",
    "mean",
    "mmd_squared",
    "normalised_std",
    "pit",
    "predictive_test",
    "principal_modes",
    "principal_scores",
    "published_calibration_error",
    "quantiles",
    "rank",
    "rank_coverage",
    "rank_test",
    "rmse",
    "running_snr_db",
    "sign_flip_test",
    "snr_db",
    "sparsification",
    "ssim",
    "std",
    "variogram_score",
    "winkler_score",
    "z_scores",
]
