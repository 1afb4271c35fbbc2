"""A judgement as plain numbers for a JSON file; SI units, shares of 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterior import uq
from posterior.diagnosis.density import Densities
from posterior.diagnosis.judge import Judgement

SIGNIFICANCE = 0.05
DENSITY = "log q(x | y)"
"""Name of the density among the functionals."""


def summarise(judgement: Judgement, densities: Densities | None = None) -> dict[str, Any]:
    """All numbers of a posterior on a split.

    Args:
        judgement: What :class:`posterior.diagnosis.judge.Judge` returned.
        densities: Densities of truths and draws, of a posterior as the network gives it.
    """
    p_values = {name: test.p_value for name, test in judgement.ranks.items()}
    if densities is not None:
        found = densities.credibilities
        p_values[DENSITY] = uq.rank_test(found.ranks, found.num_samples, cumulative=True).p_value
    adjusted = uq.holm(p_values)
    return {
        "coverage": _coverage(judgement),
        "coverage_p": judgement.coverage_p,
        "coverage_map": _coverage_map(judgement),
        "pit_p": judgement.pit_p,
        "ranks": {"p_values": p_values, "adjusted": adjusted, "p_value": min(adjusted.values())},
        "tarp": {name: result.p_value for name, result in judgement.tarp.items()},
        "c2st": {"statistic": judgement.c2st.overall.statistic, "p_value": judgement.c2st.overall.p_value},
        "calibration_error": {
            "value": judgement.error.value,
            "ratio": float(np.average(judgement.error.ratio, weights=judgement.error.counts)),
            "floor": judgement.error.floor,
            "p_value": judgement.error.p_value,
            "published": {item.convention: item.value for item in judgement.published},
            "described": [str(item) for item in judgement.published],
        },
        "std_rmse_slope": judgement.spread.slope,
        "z": _z(judgement.z, judgement.tarp["cells"].num_samples),
        "error_std_correlation": dict(zip(("pearson", "spearman"), judgement.correlation, strict=True)),
        "sparsification": {
            "ause": judgement.sparsification.ause,
            "expected": judgement.sparsification.expected_ause,
        },
        "scores": {name: _mean(values) for name, values in judgement.scores.items()},
    } | ({} if densities is None else {"log_score": _log_score(densities)})


def beyond(limit: float, draws: int) -> float:
    """Share of z-scores beyond a limit for a right Gaussian posterior: Student's t with S - 1 degrees."""
    freedom = draws - 1
    constant = math.lgamma(0.5 * (freedom + 1)) - math.lgamma(0.5 * freedom)
    steps = np.linspace(0.0, limit, 2001)
    density = (1.0 + steps**2 / freedom) ** (-0.5 * (freedom + 1))
    inside = float(np.trapezoid(density, steps)) * math.exp(constant) / math.sqrt(freedom * math.pi)
    return 1.0 - 2.0 * inside


def _coverage(judgement: Judgement) -> dict[str, Any]:
    curve = judgement.coverage
    at = {
        f"{100 * level:.0f}": dict(zip(("share", "error"), curve.at(level), strict=True))
        for level in (0.5, 0.9)
    }
    return {**at, "departure": curve.error}


def _coverage_map(judgement: Judgement) -> dict[str, Any]:
    test = judgement.map_test
    outside = None if test is None else int(test.outside.sum())
    narrow = None if test is None else int((test.outside & (test.score < 0.0)).sum())
    cells = int(np.isfinite(judgement.coverage_map).sum())
    return {"level": judgement.map_level, "cells": cells, "outside": outside, "too_narrow": narrow}


def _z(z: NDArray[Any], draws: int) -> dict[str, float]:
    finite = z[np.isfinite(z)]
    return {
        "mean": float(finite.mean()),
        "std": float(finite.std()),
        "beyond_2": float((np.abs(z) > 2.0).mean()),
        "expected_beyond_2": beyond(2.0, draws),
    }


def _mean(values: NDArray[Any]) -> dict[str, float]:
    return {"mean": float(values.mean()), "error": float(values.std(ddof=1) / np.sqrt(len(values)))}


def _log_score(densities: Densities) -> dict[str, float]:
    score = densities.score
    return {
        "nats_a_cell": score.value,
        "error": score.standard_error,
        "draws": densities.draws.shape[1],
        "above_half_of_the_draws": float((densities.credibilities.credibility < 0.5).mean()),
    }
