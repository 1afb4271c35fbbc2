"""Logarithmic scores: of a Gaussian fitted to draws, and of densities that a model reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_samples, as_truth


def gaussian_log_score(samples: ArrayLike, truth: ArrayLike, *, fair: bool = True) -> Array:
    r"""Logarithmic score per cell of a Gaussian fitted to the draws, in nats.

    .. math:: \tfrac12 \log 2\pi + \tfrac12 \log s^2 + (x - m)^2 / (2 s^2)

    Lower is better. It judges mean and std only. In a fit to few draws both are off, which makes a right
    posterior look worse, by 0.75/S to first order and by half a nat at S = 4; the fair score takes that out:

    .. math:: \tfrac12 \log 2\pi + \tfrac12 \Big[ \log s^2 - \psi\big(\tfrac{S-1}{2}\big)
        + \log \tfrac{S-1}{2} \Big] + \frac{S-3}{S-1} \frac{(x-m)^2}{2 s^2} - \frac1{2S}

    Args:
        samples: Posterior draws, (S, ...), S >= 4 for the fair score.
        truth: True values, (...).
        fair: Unbiased for the score of the Gaussian behind the draws, if they are Gaussian; otherwise the
            score of the fit itself.

    Returns:
        Score, (...); x in another unit changes it by the logarithm of the factor.

    Raises:
        ValueError: With too few draws, or if the draws of a cell are all the same.

    Source: Good, JRSS B 14 (1952); fair: Siegert, Ferro, Stephenson and Leutbecher, QJRMS 145 (2019).
    """
    draws = as_samples(samples, least=4 if fair else 2)
    target = as_truth(truth, draws.shape[1:])
    count = len(draws)
    mean, std = draws.mean(axis=0, dtype=np.float64), draws.std(axis=0, ddof=1, dtype=np.float64)
    if not (std > 0.0).all():
        raise ValueError(
            f"expected draws that vary in every cell, got {int(np.count_nonzero(std == 0.0))} that do not"
        )
    square, spread = 0.5 * ((target - mean) / std) ** 2, np.log(std)
    if fair:
        half = 0.5 * (count - 1)
        square = square * (count - 3) / (count - 1) - 0.5 / count
        spread = spread - 0.5 * (_digamma(half) - math.log(half))
    return 0.5 * math.log(2.0 * math.pi) + spread + square


@final
@dataclass(frozen=True)
class LogScore:
    """Mean logarithmic score over pairs, in nats a cell."""

    value: float
    """``-mean log q(x*|y) / cells``; lower is better."""
    standard_error: float
    """Of the mean over pairs; NaN for a single pair."""
    pairs: int

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.standard_error:.4f} nats a cell ({self.pairs} pairs)"


def log_score(log_densities: ArrayLike, cells: int) -> LogScore:
    """Logarithmic score of densities at the truth, as a flow reports them exactly.

    Unlike scores of draws it sees the whole joint distribution. Only scores of the same x in the same unit
    compare: a factor f on x changes it by log f.

    Args:
        log_densities: ``log q(x*|y)`` of each pair, whole images, in nats, (P,).
        cells: Number of values of one image.

    Raises:
        ValueError: If a log density is not finite or there is no cell.

    Source: Good, JRSS B 14 (1952).

    Example:
        >>> str(log_score([-10.0, -14.0], 4))
        '3.0000 ± 0.5000 nats a cell (2 pairs)'
    """
    values = as_samples(log_densities, least=1).astype(np.float64)
    if values.ndim != 1 or cells < 1:
        raise ValueError(
            f"expected log densities of shape (P,) and cells >= 1, got {values.shape} and {cells}"
        )
    scores = -values / cells
    error = float(scores.std(ddof=1) / math.sqrt(scores.size)) if scores.size > 1 else math.nan
    return LogScore(float(scores.mean()), error, scores.size)


def _digamma(x: float) -> float:
    """Derivative of log Gamma for x > 0: recurrence up to 10, then the asymptotic series (1e-14)."""
    below = 0.0
    while x < 10.0:
        below -= 1.0 / x
        x += 1.0
    square = 1.0 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return below + math.log(x) - 0.5 / x - series
