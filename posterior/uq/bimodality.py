"""Has a cell's posterior two modes: excess mass of a second one, against the uniform distribution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_samples

# Density levels at which masses are compared, in units of 1 / interquartile range. A Gaussian peaks at
# 0.54, each mode of two equal narrow ones at far more; a valley is seen from its floor to the lower peak.
_DENSITIES = np.geomspace(0.04, 20.0, 24)
_NULL = 4999
_BLOCK = 1 << 14


@final
@dataclass(frozen=True)
class Bimodality:
    """Excess mass of a second mode per cell and how rare it is for one mode."""

    excess: Array
    """Mass that a second interval adds above a density level, at the level where it adds most, (...)."""
    p_value: Array
    """Share of uniform draws with at least this excess, (...); 1/5000 at the smallest."""
    num_samples: int
    """Number of draws."""

    def cells(self, level: float = 0.05) -> Array:
        """Cells whose posterior is called bimodal at a level, (...).

        A share of up to ``level`` of all cells with one mode is called so too: compare :attr:`fraction`.
        """
        return self.p_value <= level

    def fraction(self, level: float = 0.05) -> float:
        """Share of the cells called bimodal; at most about ``level`` where every cell has one mode."""
        return float(self.cells(level).mean())


def bimodality(samples: ArrayLike) -> Bimodality:
    r"""Test each cell for two modes.

    .. math:: \Delta = \max_\lambda [E_2(\lambda) - E_1(\lambda)], \qquad
        E_m(\lambda) = \max_{I_1 .. I_m} \sum_j \left( F_S(I_j) - \lambda |I_j| \right)

    over disjoint intervals: how much more mass two intervals than one hold in excess of a density
    :math:`\lambda`. Over all :math:`\lambda` it is twice Hartigan's dip; here :math:`\lambda` takes 24 values
    for all cells at once. The null distribution is that of uniform draws, the least favourable to one mode:
    Gaussian and skewed cells are called bimodal more rarely than the level says.

    Level and power at 5 %, as measured (share of cells called bimodal; modes are Gaussians d std apart):

    =====  =======  ========  ===========  =====  =====  =====  =================
    draws  uniform  Gaussian  exponential  d = 3  d = 4  d = 5  d = 5, 20 to 80 %
    =====  =======  ========  ===========  =====  =====  =====  =================
    50     0.05     0.003     0.007        0.09   0.44   0.84   0.05
    200    0.05     0.005     0.002        0.23   0.96   1.00   0.31
    1000   0.06     0.003     0.001        0.75   1.00   1.00   1.00
    =====  =======  ========  ===========  =====  =====  =====  =================

    So a cell that is called bimodal is so, and many that are bimodal are missed at 200 draws. Two equal
    Gaussians less than d = 2 apart have one mode.

    Args:
        samples: Posterior draws, (S, ...), S >= 10.

    Raises:
        ValueError: With fewer than 10 draws.

    Source: Müller and Sawitzki, JASA 86 (1991); Hartigan and Hartigan, Ann. Statist. 13 (1985), for the null.
    """
    draws = as_samples(samples, least=10)
    excess = _excess_mass(draws.reshape(len(draws), -1)).reshape(draws.shape[1:])
    null = _under_one_mode(len(draws))
    rarer = null.size - np.searchsorted(null, excess, side="left")
    return Bimodality(excess, (1 + rarer) / (1 + null.size), len(draws))


@lru_cache(maxsize=8)
def _under_one_mode(num: int) -> Array:
    """Excess masses of uniform draws, sorted, from a fixed seed."""
    return np.sort(_excess_mass(np.random.default_rng(0).random((num, _NULL))))


def _excess_mass(draws: Array) -> Array:
    """Largest gain of a second interval, (cells,), for draws (S, cells)."""
    found = np.empty(draws.shape[1])
    for start in range(0, draws.shape[1], _BLOCK):
        ordered = np.sort(draws[:, start : start + _BLOCK].astype(np.float64), axis=0)
        found[start : start + _BLOCK] = _gain(ordered)
    return found


def _gain(ordered: Array) -> Array:
    num = len(ordered)
    lower, upper = np.quantile(ordered, [0.25, 0.75], axis=0)
    width = upper - lower
    # A cell half of whose draws are the same has no density there; its gaps count in units of its range.
    width = np.where(width > 0.0, width, ordered[-1] - ordered[0])
    gaps = np.divide(np.diff(ordered, axis=0), width, out=np.zeros_like(ordered[1:]), where=width > 0.0)
    best = np.zeros(ordered.shape[1])
    for density in _DENSITIES:
        np.maximum(best, _two_over_one(density * gaps, 1.0 / num), out=best)
    return best


def _two_over_one(cost: Array, mass: float) -> Array:
    """``E_2 - E_1`` at one density: intervals gain ``mass`` a draw and pay ``cost`` a gap, (S - 1, cells).

    One pass from left to right. ``open_m`` is the best of m intervals the last of which ends at this draw,
    ``best_m`` the best of m that end here or before.
    """
    open_one = np.full(cost.shape[1], mass)
    best_one = open_one.copy()
    open_two = np.full(cost.shape[1], mass)
    best_two = open_two.copy()
    for gap in cost:
        open_two = np.maximum(open_two - gap, best_one) + mass
        open_one = np.maximum(open_one - gap, 0.0) + mass
        np.maximum(best_one, open_one, out=best_one)
        np.maximum(best_two, open_two, out=best_two)
    return best_two - best_one
