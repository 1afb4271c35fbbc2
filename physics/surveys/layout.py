"""Regular positions over a model whose corner is at zero, and what all layouts check."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from physics.errors import GeometryError


class Layout(NamedTuple):
    """Positions of a survey before its sampling is known; see `physics.geometry.Acquisition`."""

    sources: NDArray[np.float64]
    receivers: NDArray[np.float64]
    live: NDArray[np.bool_] | None = None


def at_depth(horizontal: list[NDArray[np.float64]], depth: float) -> NDArray[np.float64]:
    """Positions (n, ndim) of the grid that the axes span, the last axis fastest, all at one depth."""
    mesh = np.meshgrid(*horizontal, indexing="ij")
    columns = [axis.ravel() for axis in mesh]
    return np.column_stack([*columns, np.full(columns[0].size, depth)])


def jittered(
    positions: NDArray[np.float64], jitter: float, extent: tuple[float, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Positions moved by up to ``jitter`` [m] along each horizontal axis, not beyond the model."""
    if jitter == 0.0:
        return positions
    moved = positions.copy()
    moved[:, :-1] += rng.uniform(-jitter, jitter, moved[:, :-1].shape)
    moved[:, :-1] = np.clip(moved[:, :-1], 0.0, extent[:-1])
    return moved


def needs_dimensions(ndim: int, extent: tuple[float, ...], kind: str, instead: str) -> None:
    """Refuse a layout that is for models of another number of dimensions."""
    if len(extent) != ndim:
        raise GeometryError(
            f"expected a {ndim}-D model for a survey of kind {kind!r}, got extent {extent} m "
            f"of a {len(extent)}-D model: use kind {instead!r}"
        )


def needs_counts(extent: tuple[float, ...], **counts: tuple[int, ...]) -> None:
    """Refuse counts that are not one for each horizontal axis."""
    for name, value in counts.items():
        if len(value) != len(extent) - 1:
            raise GeometryError(
                f"expected {name} with one number for each of the {len(extent) - 1} horizontal axes of a "
                f"{len(extent)}-D model, got {value}"
            )
