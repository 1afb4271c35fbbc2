"""Scores of whole images: unlike scores of single cells they see how cells vary together.

What each score sees, as the mean loss of a wrong posterior over the right one in standard errors, from 100
pairs of 8 x 8 Gaussian cells with a correlation length of two cells and 99 draws; 2 is a find:

==================================  ====  =======  ==========  ======  =========
wrong in                            CRPS  Winkler  Gaussian    energy  variogram
                                                   log score
==================================  ====  =======  ==========  ======  =========
std 30 % too small                  7.9   7.1      8.1         8.9     14.9
std 40 % too large                  8.9   11.5     10.2        10.1    13.9
mean shifted by half a std          5.4   5.0      5.4         5.4     -0.1
cells uncorrelated, marginals right 0.9   1.4      1.6         3.5     18.2
==================================  ====  =======  ==========  ======  =========
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask, as_samples, as_truth

# Values held in double precision at once.
_BLOCK = 1 << 22


def energy_score(
    samples: ArrayLike, truth: ArrayLike, *, fair: bool = True, where: ArrayLike | None = None
) -> float:
    """Energy score ``E||X - x|| - E||X - X'|| / 2`` with the root mean square over cells as norm.

    In units of x, lower is better; for one cell it is the CRPS. On images it feels shift and width well and
    correlation poorly (distances in many dimensions hardly depend on it): :func:`variogram_score` does.

    Args:
        samples: Posterior draws, (S, ...).
        truth: True values, (...).
        fair: Unbiased for the score of the distribution behind the draws (divides by S (S - 1)); otherwise
            the score of the draws themselves (by S^2).
        where: Cells that count, (...); all by default.

    Source: Gneiting and Raftery, JASA 102 (2007), equation 22; fair: Ferro, QJRMS 140 (2014).

    Example:
        >>> round(energy_score(np.array([[0.0], [1.0], [2.0]]), np.array([1.0])), 4)
        0.0
    """
    draws = as_samples(samples)
    target = as_truth(truth, draws.shape[1:])
    mask = as_mask(where, target.shape)
    count, places = len(draws), np.flatnonzero(mask)
    flat, reference = draws.reshape(count, -1), target.reshape(-1)
    gram = np.zeros((count, count))
    for part in _parts(places, count):
        # From the truth: squared distances by products lose what an offset common to all adds.
        offset = flat[:, part].astype(np.float64) - reference[part].astype(np.float64)
        gram += offset @ offset.T
    squares = np.diagonal(gram)
    pairs = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * gram, 0.0) / places.size)
    np.fill_diagonal(pairs, 0.0)
    spread = pairs.sum() / (2.0 * count * (count - 1 if fair else count))
    return float(np.sqrt(squares / places.size).mean() - spread)


def variogram_score(
    samples: ArrayLike,
    truth: ArrayLike,
    *,
    lags: Sequence[Sequence[int]] | None = None,
    fair: bool = True,
    where: ArrayLike | None = None,
) -> float:
    r"""Variogram score: are differences between cells as large in the truth as in the draws.

    .. math:: \operatorname{mean}_{(i, j)} \big( |x_i - x_j|^{1/2} - E |X_i - X_j|^{1/2} \big)^2

    over the pairs of cells that lie a lag apart. In units of x, lower is better. It sees correlation, blind
    to what single cells' scores see, and is blind itself to a shift common to all cells: report both.

    Args:
        samples: Posterior draws, (S, ...), with at least one axis of cells.
        truth: True values, (...).
        lags: Offsets in cells, one integer for each axis; one, two and four cells along every axis by
            default.
        fair: Less the variance of the draws' mean, ``s^2 / S``: unbiased for the distribution behind them.
        where: Cells that count, (...); a pair counts if both do.

    Raises:
        ValueError: If no pair of cells lies a lag apart.

    Source: Scheuerer and Hamill, Mon. Weather Rev. 143 (2015), with p = 1/2.
    """
    draws = as_samples(samples)
    target = as_truth(truth, draws.shape[1:])
    mask = as_mask(where, target.shape)
    total, pairs = 0.0, 0
    for lag in _default_lags(target.shape) if lags is None else lags:
        first, second = _ends(tuple(lag), mask)
        for one, other in zip(_parts(first, len(draws)), _parts(second, len(draws)), strict=True):
            total += _departure(draws.reshape(len(draws), -1), target.reshape(-1), one, other, fair)
        pairs += first.size
    if pairs == 0:
        raise ValueError(f"expected cells that lie a lag apart in an image of shape {target.shape}, got none")
    return total / pairs


def _departure(draws: Array, truth: Array, one: Array, other: Array, fair: bool) -> float:
    observed = np.sqrt(np.abs(truth[one].astype(np.float64) - truth[other]))
    roots = np.sqrt(np.abs(draws[:, one].astype(np.float64) - draws[:, other]))
    squares = (observed - roots.mean(axis=0)) ** 2
    if fair:
        squares -= roots.var(axis=0, ddof=1) / len(roots)
    return float(squares.sum())


def _default_lags(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """One, two and four cells along every axis that is long enough."""
    return [
        tuple(step if other == axis else 0 for other in range(len(shape)))
        for axis, size in enumerate(shape)
        for step in (1, 2, 4)
        if step < size
    ]


def _ends(lag: tuple[int, ...], mask: Array) -> tuple[Array, Array]:
    """Flat places of all pairs of cells that count and lie ``lag`` apart."""
    if len(lag) != mask.ndim or not any(lag):
        raise ValueError(f"expected lags of {mask.ndim} integers, not all 0, got {lag}")
    place = np.arange(mask.size).reshape(mask.shape)
    reach = [min(abs(step), size) for step, size in zip(lag, mask.shape, strict=True)]
    early = [slice(0, size - far) for size, far in zip(mask.shape, reach, strict=True)]
    late = [slice(far, size) for size, far in zip(mask.shape, reach, strict=True)]
    head, tail = (
        tuple(
            near if forward == (step >= 0) else far for near, far, step in zip(early, late, lag, strict=True)
        )
        for forward in (True, False)
    )
    both = mask[head] & mask[tail]
    return place[head][both], place[tail][both]


def _parts(places: Array, count: int) -> list[Array]:
    """Places in parts for which ``count`` values each may be held at once."""
    edges = [*range(0, places.size, max(1, _BLOCK // count)), places.size]
    return [places[a:b] for a, b in pairwise(edges)]
