"""Absorbing layers: the damping of a sponge, and the two coefficients of a perfectly matched layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physics.padding import Padding

_REFLECTION = 1e-6
"""What a matched layer would return of a wave at normal incidence, were the grid infinitely fine."""
_POWER = 2
"""Growth of the damping with depth in the layer."""


def _depths(cells: int, lower: int, upper: int, *, shift: float) -> NDArray[np.float64]:
    """Depth in the layer as a fraction, for positions ``shift`` beyond each of ``cells`` cells."""
    index = np.arange(cells) + shift
    before = (lower - index) / max(lower, 1)
    after = (index - (cells - 1 - upper)) / max(upper, 1)
    return np.clip(np.maximum(before, after), 0.0, 1.0)


def _widths(padding: Padding) -> list[tuple[int, int]]:
    """Absorbing cells before and after the model, along every axis: none above a free surface."""
    widths = [(padding.layer, padding.layer)] * len(padding.shape)
    if padding.mirror:
        widths[-1] = (0, padding.layer)
    return widths


def _profile(padding: Padding, axis: int, *, shift: float = 0.0) -> NDArray[np.float64]:
    """Depth fraction of every cell along an axis."""
    before, after = _widths(padding)[axis]
    cells = padding.padded_shape[axis]
    if before == 0:  # the mirror rows count as the model's
        return _depths(cells, 0, after, shift=shift) * (np.arange(cells) + shift > cells - 1 - after)
    return _depths(cells, before, after, shift=shift)


def sponge(padding: Padding, spacing: tuple[float, ...], velocity: float) -> NDArray[np.float64]:
    r"""Damping eta on the padded grid [s/m^2] of m u_tt + eta u_t - lap u = q.

    .. math:: \eta(x) = \sum_{axes} \frac{4 A}{v L} p^3

    with the depth fraction p in the layer of width L. A wave that crosses the layer and returns has lost a
    factor exp(-A) at velocity v; a larger A reflects at the entrance instead. A = 3 + nbl / 10 was best, or
    within a tenth of it, in records of six models at 12.5 m and 15 Hz with layers of 20 to 40 cells.

    Args:
        padding: The layer's place.
        spacing: Grid spacing of each axis [m].
        velocity: Velocity v [m/s].
    """
    strength = 3.0 + 0.1 * padding.layer
    eta = np.zeros(padding.padded_shape)
    for axis, h in enumerate(spacing):
        width = max(padding.layer, 1) * h
        profile = 4.0 * strength / (velocity * width) * _profile(padding, axis) ** 3
        eta += profile.reshape([-1 if i == axis else 1 for i in range(eta.ndim)])
    return eta


def matched_layer(
    padding: Padding, spacing: tuple[float, ...], velocity: float, *, frequency: float, dt: float
) -> list[tuple[NDArray[np.float64], ...]]:
    r"""Coefficients a, b of a convolutional perfectly matched layer, on the cells and half a cell further.

    .. math:: b = e^{-(d + \alpha) \Delta t}, \quad a = \frac{d}{d + \alpha} (b - 1), \quad
              d = -\frac{(n + 1) v \ln R}{2 L} p^n, \quad \alpha = \pi f (1 - p)

    with the depth fraction p in the layer of width L; a is zero outside, and b there does not matter.

    Args:
        padding: The layer's place.
        spacing: Grid spacing of each axis [m].
        velocity: Velocity v that the damping d is meant for [m/s].
        frequency: Frequency f [Hz] below which the layer lets grazing waves pass unharmed.
        dt: Computing step [s].

    Returns:
        For every axis a, b on the cells and a, b half a cell further, each of the axis' padded length.

    Source:
        Komatitsch & Martin, An unsplit convolutional perfectly matched layer improved at grazing incidence
        for the seismic wave equation, Geophysics 72, 2007, eqs. (21)-(25).
    """
    result = []
    for axis, h in enumerate(spacing):
        width = max(padding.layer, 1) * h
        pairs: list[NDArray[np.float64]] = []
        for shift in (0.0, 0.5):
            p = _profile(padding, axis, shift=shift)
            d = -(_POWER + 1) * velocity * np.log(_REFLECTION) / (2.0 * width) * p**_POWER
            alpha = np.pi * frequency * (1.0 - p)
            b = np.exp(-(d + alpha) * dt)
            # p = 0 outside: d = 0, and alpha > 0 keeps the quotient finite; p = 1: d > 0.
            pairs += [d / (d + alpha) * (b - 1.0), b]
        result.append(tuple(pairs))
    return result
