"""Regular positions, and what a survey checks of positions and live traces."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics.errors import GeometryError


def middles(count: int, length: float) -> NDArray[np.float64]:
    """Middles of ``count`` equal intervals of [0, length]."""
    return (np.arange(count) + 0.5) * length / count


def edge_to_edge(count: int, length: float) -> NDArray[np.float64]:
    """Equally spaced from 0 to ``length``; a single one in the middle."""
    return np.linspace(0.0, length, count) if count > 1 else np.array([length / 2])


def as_positions(value: ArrayLike, name: str) -> NDArray[np.float64]:
    """A float64 copy of finite positions (n, 2) or (n, 3)."""
    array = _numbers(value, name)
    if array.size == 0:
        raise GeometryError(f"expected at least 1 position in {name}, got none: shape {array.shape}")
    if array.ndim != 2 or array.shape[-1] not in (2, 3):
        transposed = array.ndim == 2 and array.shape[0] in (2, 3)
        hint = ": looks transposed, one position a column, pass its .T" if transposed else ""
        raise GeometryError(f"expected {name} of shape (n, 2) or (n, 3) in metres, got {array.shape}{hint}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise GeometryError(
            f"expected finite {name}, got NaN or infinite positions at indices {bad.tolist()}"
        )
    return array


def as_receivers(value: ArrayLike, num_sources: int) -> NDArray[np.float64]:
    """Receivers (nrec, ndim), or (nsrc, nrec, ndim) if they move."""
    array = _numbers(value, "receivers")
    if array.ndim != 3:
        return as_positions(array, "receivers")
    if len(array) != num_sources:
        raise GeometryError(
            f"expected moving receivers of shape (nsrc, nrec, ndim) with nsrc = {num_sources}, "
            f"got {array.shape}"
        )
    shots = [as_positions(shot, f"receivers of shot {index}") for index, shot in enumerate(array)]
    return shots[0] if all(np.array_equal(shots[0], shot) for shot in shots) else np.stack(shots)


def as_live(value: ArrayLike | None, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """A copy of the mask (nsrc, nrec), or None if all live."""
    if value is None:
        return None
    array = np.array(value)
    if array.shape != shape or array.dtype != np.bool_:
        raise GeometryError(
            f"expected live as booleans of shape (nsrc, nrec) = {shape}, got {array.dtype} of {array.shape}"
        )
    silent = np.flatnonzero(~array.any(axis=1))
    if silent.size:
        raise GeometryError(
            f"expected at least 1 live receiver of every shot, got none of shots {silent.tolist()}: "
            f"leave these shots out"
        )
    return None if array.all() else array


def check_distinct(receivers: NDArray[np.float64], used: NDArray[np.intp], name: str) -> None:
    """Refuse two of the ``used`` receivers at one place."""
    _, inverse, counts = np.unique(receivers[used], axis=0, return_inverse=True, return_counts=True)
    twice = np.flatnonzero(counts > 1)
    if twice.size:
        same = used[inverse.ravel() == twice[0]]
        others = f" (and {twice.size - 1} more such places)" if twice.size > 1 else ""
        raise GeometryError(
            f"expected {name} at different places, got indices {same.tolist()} all at "
            f"{tuple(receivers[same[0]].tolist())} m{others}: keep one of each"
        )


def _numbers(value: ArrayLike, name: str) -> NDArray[np.float64]:
    """A float64 copy without negative zeros, which would tell equal surveys apart."""
    try:
        return np.array(value, dtype=np.float64) + 0.0
    except (TypeError, ValueError) as error:
        raise GeometryError(
            f"expected {name} as one array of numbers, got {error}: "
            f"fill shots with fewer receivers up and mark these dead with live"
        ) from None
