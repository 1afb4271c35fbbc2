"""Pareto-smoothed importance sampling: weights with a tamed tail, and how far they can be trusted."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


class Smoothed(NamedTuple):
    """Smoothed weights and their diagnostics."""

    log_weights: Array
    """Normalised so that the weights sum to one, (S,)."""
    pareto_k: float
    """Shape of the weights' tail: their moments of order 1/k and above do not exist."""
    effective: float
    """Effective sample size 1 / sum w^2, of the smoothed weights."""


def smooth(log_weights: ArrayLike) -> Smoothed:
    r"""Replace the largest importance weights by the quantiles of the Pareto tail fitted to them.

    The largest M = min(S/5, 3 sqrt(S)) weights follow a generalised Pareto law. With shape k < 0.7 estimates
    are good at practical sizes; above, no weighting of these draws gives a reliable one: the proposal is too
    narrow. Shapes are drawn a little to 1/2, as if ten more draws said so.

    Args:
        log_weights: Logarithms of the weights, up to a constant, (S,); -inf for a weight of zero.

    Raises:
        ValueError: With fewer than 25 weights, one that is nan or inf, or none that is positive.

    Source: Vehtari, Simpson, Gelman, Yao and Gabry, Pareto smoothed importance sampling, JMLR 25 (2024),
    section 3 and appendix; the fit: Zhang and Stephens, Technometrics 51 (2009).
    """
    values = np.array(log_weights, dtype=np.float64)
    if values.ndim != 1 or len(values) < 25 or np.isnan(values).any() or not np.isfinite(values.max()):
        raise ValueError(
            f"expected at least 25 log-weights below inf, one of them above -inf, got shape {values.shape}"
        )
    values -= values.max()
    count = math.ceil(min(0.2 * len(values), 3.0 * math.sqrt(len(values))))
    order = np.argsort(values, kind="stable")
    tail, cutoff = order[-count:], values[order[-count - 1]]
    shape = math.inf
    if np.exp(cutoff) < 1.0:
        excess = np.exp(values[tail]) - np.exp(cutoff)
        shape, scale = fit_pareto(excess)
        if math.isfinite(shape):
            levels = (np.arange(count) + 0.5) / count
            quantiles = np.exp(cutoff) + pareto_quantile(levels, shape, scale)
            values[tail] = np.minimum(np.log(quantiles), 0.0)
    else:  # a tail of equal weights
        shape = -math.inf
    values -= math.log(np.exp(values).sum())
    return Smoothed(values, shape, float(1.0 / np.exp(2.0 * values).sum()))


def fit_pareto(excess: ArrayLike) -> tuple[float, float]:
    """Shape k and scale of the generalised Pareto law of sorted values > 0, by the posterior mean.

    Args:
        excess: Values above the threshold, in increasing order, (M,).
    """
    values = np.asarray(excess, dtype=np.float64)
    values = values[values > 0.0]
    count = len(values)
    if count < 5:
        return math.inf, math.nan
    grid = 30 + int(math.sqrt(count))
    quartile = values[max(int(count / 4 + 0.5) - 1, 0)]
    theta = 1.0 / values[-1] + (1.0 - np.sqrt(grid / (np.arange(grid) + 0.5))) / (3.0 * quartile)
    k = np.log1p(-theta[:, None] * values).mean(axis=1)
    log_likelihood = count * (np.log(-theta / k) - k - 1.0)
    weights = np.exp(log_likelihood - log_likelihood.max())
    best = float((theta * weights).sum() / weights.sum())
    shape = float(np.log1p(-best * values).mean())
    scale = -shape / best
    return (count * shape + 10.0 * 0.5) / (count + 10.0), scale


def pareto_quantile(levels: ArrayLike, shape: float, scale: float) -> Array:
    """Quantiles of the generalised Pareto law with threshold 0."""
    p = np.asarray(levels, dtype=np.float64)
    if abs(shape) < 1e-12:
        return -scale * np.log1p(-p)
    return scale * np.expm1(-shape * np.log1p(-p)) / shape


def largest_good_shape(count: int) -> float:
    """Shape k up to which S draws suffice: min(1 - 1 / log10 S, 0.7)."""
    return min(1.0 - 1.0 / math.log10(count), 0.7)
