"""Scores of an estimate or of a set of draws against the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask, as_samples, as_truth
from posterior.uq.intervals import credible_interval


def rmse(estimate: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> float:
    """Root mean squared error, ``sqrt(mean (estimate - truth)^2)``, over the cells that count.

    Args:
        estimate: Estimate, (...).
        truth: True values, (...).
        where: Cells that count, (...); all by default.
    """
    guess, target = _selected(estimate, truth, where)
    return float(np.sqrt(np.mean((guess - target) ** 2)))


def snr_db(estimate: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> float:
    """Signal-to-noise ratio, ``20 log10(||truth|| / ||truth - estimate||)`` [dB]; 0 for an estimate of zeros.

    Args:
        estimate: Estimate, (...).
        truth: True values, (...).
        where: Cells that count, (...); all by default.

    Raises:
        ValueError: If the truth vanishes on the cells that count.
    """
    guess, target = _selected(estimate, truth, where)
    signal = float(np.linalg.norm(target))
    if signal == 0.0:
        raise ValueError(
            "expected a truth that does not vanish for an SNR, got zeros on all cells that count"
        )
    noise = float(np.linalg.norm(target - guess))
    return float("inf") if noise == 0.0 else 20.0 * float(np.log10(signal / noise))


def best_scale(image: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> float:
    """Factor that brings an image nearest to the truth, ``<image, truth> / <image, image>``.

    0 for an image of zeros. A migrated image has no amplitude of its own: scaled so, it is judged at its
    best.

    Args:
        image: Image, (...).
        truth: True values, (...).
        where: Cells that count, (...); all by default.
    """
    guess, target = _selected(image, truth, where)
    size = float(np.abs(guess).max())
    if size == 0.0:
        return 0.0
    unit = guess / size  # squares of images in s^2/m^2 or of raw migrations would leave the range of floats
    return float(unit @ target / (unit @ unit) / size)


def crps(samples: ArrayLike, truth: ArrayLike, *, fair: bool = True) -> Array:
    """Continuous ranked probability score per cell, ``E|X - x| - E|X - X'| / 2``, in units of x.

    Lower is better. With the draws sorted, ``E|X - X'| / 2 = sum_i (2 i - S - 1) x_(i) / (S d)``, d = S - 1
    (fair) or S.

    Args:
        samples: Posterior draws, (S, ...).
        truth: True values, (...).
        fair: Unbiased for the score of the distribution behind the draws; otherwise the score of the draws
            themselves.

    Returns:
        Score, (...).

    Source: Gneiting and Raftery, JASA 102 (2007), equation 21; fair: Ferro, QJRMS 140 (2014).
    """
    draws = as_samples(samples)
    target = as_truth(truth, draws.shape[1:])
    count = len(draws)
    weights = (2.0 * np.arange(1, count + 1) - count - 1.0) / (count * (count - 1 if fair else count))
    spread = np.tensordot(weights, np.sort(draws, axis=0).astype(np.float64), axes=1)
    return np.abs(draws - target).mean(axis=0, dtype=np.float64) - spread


def winkler_score(samples: ArrayLike, truth: ArrayLike, level: float = 0.9) -> Array:
    """Interval score per cell: width of the equal-tailed interval, and ``2/alpha`` for each unit of a miss.

    ``(u - l) + (2/alpha) max(l - x, 0, x - u)`` with ``alpha = 1 - level``, in units of x. Lower is better,
    and the true quantiles are best on average: it weighs sharpness against coverage.

    Args:
        samples: Posterior draws, (S, ...), enough for :func:`posterior.uq.intervals.credible_interval`.
        truth: True values, (...).
        level: Probability the interval holds.

    Returns:
        Score, (...).

    Source: Winkler, JASA 67 (1972); Gneiting and Raftery, JASA 102 (2007), equation 43.
    """
    lower, upper = credible_interval(samples, level)
    target = as_truth(truth, lower.shape)
    miss = np.maximum(np.maximum(lower - target, target - upper), 0.0)
    return upper - lower + 2.0 / (1.0 - level) * miss


def _selected(estimate: ArrayLike, truth: ArrayLike, where: ArrayLike | None) -> tuple[Array, Array]:
    guess = np.asarray(estimate, dtype=np.float64)
    target = as_truth(truth, guess.shape).astype(np.float64)
    mask = as_mask(where, guess.shape)
    return guess[mask], target[mask]
