"""What a finite-difference grid can carry: the stable time step and the points it needs a wavelength."""

from __future__ import annotations

from functools import cache
from math import comb, prod

import numpy as np
from numpy.typing import NDArray

PHASE_ERROR = 0.01
"""Relative error of the phase velocity that a grid may show at the frequency that is checked."""

_STABILITY_MARGIN = 0.995
"""Share of the exact limit that is called stable: room for rounding in single precision."""


@cache
def second_derivative_weights(space_order: int) -> tuple[float, ...]:
    r"""Weights c_0, c_1, ..., c_p of the centred second derivative of order 2p on a unit grid.

    .. math:: u''(x) \approx c_0 u(x) + \sum_{k=1}^p c_k (u(x + k) + u(x - k)),
              \qquad c_k = \frac{2 (-1)^{k+1}}{k^2} \frac{(p!)^2}{(p - k)! (p + k)!}

    Args:
        space_order: Even order of accuracy, 2p.

    Source:
        Fornberg, Generation of finite difference formulas on arbitrarily spaced grids, Math. Comp. 51, 1988.
    """
    p = space_order // 2
    side = [2.0 * (-1) ** (k + 1) / k**2 * comb(2 * p, p + k) / comb(2 * p, p) for k in range(1, p + 1)]
    return (-2.0 * sum(side), *side)


@cache
def first_derivative_weights(space_order: int) -> tuple[float, ...]:
    r"""Weights c_1, ..., c_p of the centred first derivative of order 2p on a unit grid.

    .. math:: u'(x) \approx \sum_{k=1}^p c_k (u(x + k) - u(x - k)),
              \qquad c_k = \frac{(-1)^{k+1}}{k} \frac{(p!)^2}{(p - k)! (p + k)!}

    Args:
        space_order: Even order of accuracy, 2p.

    Source:
        Fornberg, Generation of finite difference formulas on arbitrarily spaced grids, Math. Comp. 51, 1988.
    """
    p = space_order // 2
    return tuple((-1) ** (k + 1) / k * comb(2 * p, p + k) / comb(2 * p, p) for k in range(1, p + 1))


@cache
def staggered_weights(space_order: int) -> tuple[float, ...]:
    r"""Weights c_1, ..., c_p of the first derivative of order 2p between the points of a unit grid.

    .. math:: u'(x) \approx \sum_{k=1}^p c_k (u(x + k - \tfrac12) - u(x - k + \tfrac12)),
              \qquad c_k = \frac{(-1)^{k+1}}{2 k - 1} \prod_{j \neq k}
              \left| \frac{(2 j - 1)^2}{(2 j - 1)^2 - (2 k - 1)^2} \right|

    Args:
        space_order: Even order of accuracy, 2p.

    Source:
        Fornberg, Generation of finite difference formulas on arbitrarily spaced grids, Math. Comp. 51, 1988.
    """
    odd = range(1, space_order, 2)
    return tuple((-1) ** (k // 2) / k * prod(abs(j**2 / (j**2 - k**2)) for j in odd if j != k) for k in odd)


def stable_time_step(space_order: int, spacing: tuple[float, ...], vmax: float) -> float:
    r"""Largest stable time step of the second-order leap-frog scheme [s].

    .. math:: \Delta t \le \frac{1}{v_{max}} \sqrt{4 \Big/ \sum_i h_i^{-2} \sum_k |c_k|}

    This is the exact von Neumann limit, less half a percent; the absorbing layer only widens it.

    Args:
        space_order: Order of accuracy in space.
        spacing: Grid spacing of each axis [m].
        vmax: Largest velocity [m/s].

    Source:
        Lines, Slawinski & Bording, A recipe for stability of finite-difference wave-equation computations,
        Geophysics 64, 1999, eq. (14).
    """
    weights = second_derivative_weights(space_order)
    total = abs(weights[0]) + 2.0 * sum(abs(c) for c in weights[1:])
    inverse_square = sum(1.0 / h**2 for h in spacing)
    return _STABILITY_MARGIN * float(np.sqrt(4.0 / (total * inverse_square))) / vmax


@cache
def points_per_wavelength(space_order: int) -> float:
    """Grid points that a wavelength needs for a phase-velocity error of ``PHASE_ERROR`` along an axis.

    Example:
        >>> round(points_per_wavelength(8), 1)
        3.4
    """
    points = np.geomspace(2.0, 64.0, 20_000)
    error = 1.0 - _phase_velocity(space_order, points)
    return float(points[np.argmax(error <= PHASE_ERROR)])


def _phase_velocity(space_order: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phase velocity on the grid over the true one, for a number of points a wavelength."""
    theta = 2.0 * np.pi / points
    weights = second_derivative_weights(space_order)
    symbol = -weights[0] - 2.0 * sum(c * np.cos(k * theta) for k, c in enumerate(weights[1:], start=1))
    return np.sqrt(symbol) / theta
