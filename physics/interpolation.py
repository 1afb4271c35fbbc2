"""How sources and receivers that stand between grid points touch the points around them."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kernel = Literal["linear", "sinc"]
Interpolation = Literal["auto", "linear", "sinc"]

REACH: dict[Kernel, int] = {"linear": 1, "sinc": 4}
"""Half the cells along an axis that a position touches."""
_ON_GRID = 1e-6
"""Distance from a cell [cells] at which a position counts as on it."""
_KAISER = 6.31
"""Shape of the window for a half-width of 4 cells and wavelengths of 4 cells and more (Hicks, table 1)."""


def kernel(interpolation: Interpolation, positions: NDArray[np.float64]) -> Kernel:
    """What reads positions [cells]: "auto" takes the sinc, but for positions that all are on cells."""
    if interpolation != "auto":
        return interpolation
    return "linear" if np.abs(positions - np.round(positions)).max() <= _ON_GRID else "sinc"


class Footprints(NamedTuple):
    """Cells and weights of n positions.

    Args:
        corners: First cell along every axis, (n, ndim).
        weights: Weights of the cells along every axis, (n, ndim, 2 reach): their products are those of cells.
    """

    corners: NDArray[np.int32]
    weights: NDArray[np.float64]


def footprints(
    positions: NDArray[np.float64], shape: tuple[int, ...], *, kind: Kernel, mirror: int
) -> Footprints:
    r"""Weights that read a field between its cells; their transpose puts a source there.

    Linear, or a sinc under a Kaiser window:

    .. math:: w(x) = \mathrm{sinc}(x) \, I_0(b \sqrt{1 - (x / r)^2}) / I_0(b)

    Cells above a free surface count as the mirror image of those below, with the sign changed; cells outside
    the grid hold zeros.

    Args:
        positions: Positions in cells from the first of the padded grid, (n, ndim).
        shape: Cells of the padded grid.
        kind: Kernel.
        mirror: Rows above a free surface; 0 without one.

    Source:
        Hicks, Arbitrary source and receiver positioning in finite-difference schemes using Kaiser windowed
        sinc functions, Geophysics 67, 2002, eqs. (7), (15).
    """
    corners, weights = [], []
    for axis, cells in enumerate(shape):
        rows = mirror if axis == len(shape) - 1 else 0
        corner, weight = _along(positions[:, axis], cells, kind, mirror=rows)
        corners.append(corner)
        weights.append(weight)
    return Footprints(np.stack(corners, 1).astype(np.int32), np.stack(weights, 1))


def _along(
    x: NDArray[np.float64], cells: int, kind: Kernel, *, mirror: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """First cell and weights along one axis."""
    reach = REACH[kind]
    # A position that was computed as a multiple of the spacing shall touch one cell, not its neighbour too.
    x = np.where(np.abs(x - np.round(x)) <= _ON_GRID, np.round(x), x)
    base = np.floor(x).astype(np.int64)
    cell = base[:, None] + np.arange(1 - reach, reach + 1)
    value = _window(x[:, None] - cell, kind)
    if mirror:
        above = cell < mirror
        value = np.where(cell == mirror, 0.0, np.where(above, -value, value))
        cell = np.where(above, 2 * mirror - cell, cell)
    corner = np.clip(base + 1 - reach, mirror, cells - 2 * reach)
    weights = np.zeros((len(x), 2 * reach))
    place = cell - corner[:, None]
    inside = (place >= 0) & (place < 2 * reach)
    point = np.broadcast_to(np.arange(len(x))[:, None], cell.shape)
    np.add.at(weights, (point[inside], place[inside]), value[inside])
    return corner, weights


def _window(x: NDArray[np.float64], kind: Kernel) -> NDArray[np.float64]:
    if kind == "linear":
        return np.maximum(1.0 - np.abs(x), 0.0)
    inside = np.maximum(1.0 - (x / REACH[kind]) ** 2, 0.0)
    return np.sinc(x) * np.i0(_KAISER * np.sqrt(inside)) / np.i0(_KAISER)
