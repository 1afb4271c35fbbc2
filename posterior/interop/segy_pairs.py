"""Models and images in SEG-Y files as pairs: one file a channel, all on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from posterior.interop.arrays import Block
from posterior.interop.segy_grid import SegyGrid
from posterior.interop.segy_read import SegyUnits, SegyVolume, read_segy

_EVEN = 0.01
"""Relative difference between steps from trace to trace that is passed over."""


_UNITS = SegyUnits()


@final
@dataclass(frozen=True, kw_only=True)
class SegyFiles:
    """Which files make the pairs.

    Args:
        y: One file a channel.
        x: One file a channel of the truth; none if it is unknown.
        sections: Whether every inline of a volume becomes a pair in 2-D.
        units: What the files' headers leave open.
    """

    y: tuple[Path, ...]
    x: tuple[Path, ...] = ()
    sections: bool = False
    units: SegyUnits = _UNITS


class SegyPairs(NamedTuple):
    """Pairs, and the spacing and the origin of their grid [m], as far as the headers tell."""

    block: Block
    spacing: tuple[float, ...]
    origin: tuple[float, ...]


def read_segy_pairs(files: SegyFiles, spacing: Sequence[float] | None = None) -> SegyPairs:
    """Read lines or volumes, one file a channel, as pairs.

    Where the truth is unknown, x is one channel of zeros. The spacing between traces is that of their
    positions (CDP X, Y), between samples that of the interval; x begins at 0, z at the first sample.

    Args:
        files: Which files, and how to read them.
        spacing: Of the grid [m], for files whose headers do not tell it; not checked against them.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is broken, samples count time, grids differ, or traces are unevenly spaced.
        ImportError: If segyio is not installed.

    Example:
        >>> files = SegyFiles(y=(Path("image.sgy"), Path("background.sgy")), x=(Path("model.sgy"),))
        >>> block, spacing, origin = read_segy_pairs(files)  # doctest: +SKIP
    """
    if not files.y:
        raise ValueError("expected at least one file for y, got none")
    read = {path: read_segy(path, files.units) for path in (*files.y, *files.x)}
    grid = read[files.y[0]].grid
    for path, volume in read.items():
        _check_same(volume, read[files.y[0]], path, files.y[0])
    x, y = (np.stack([read[path].values for path in paths]) for paths in (files.x or files.y[:1], files.y))
    if not files.x:
        x = np.zeros_like(x)
    steps = tuple(spacing) if spacing is not None else spacing_of(grid)
    if len(steps) != y.ndim - 1:
        raise ValueError(f"expected a spacing for each of {y.ndim - 1} axes, got {steps}")
    axes = (*(0.0,) * len(grid.shape), grid.first)
    if files.sections and len(grid.shape) == 2:
        return SegyPairs(Block(x.swapaxes(0, 1), y.swapaxes(0, 1)), steps[1:], axes[1:])
    return SegyPairs(Block(x[None], y[None]), steps, axes)


def spacing_of(grid: SegyGrid) -> tuple[float, ...]:
    """Distance of neighbours along each axis [m], from their positions; last the sample interval.

    Raises:
        ValueError: If the positions are not evenly spaced, or all the same, as where headers hold none.
    """
    found = []
    for axis in range(len(grid.shape)):
        steps = _steps(grid, axis)
        if not steps.size or steps.min() <= 0.0 or np.ptp(steps) > _EVEN * steps.mean():
            seen = f"{steps.min():.4g} to {steps.max():.4g}" if steps.size else "none"
            raise ValueError(
                f"expected evenly spaced traces along axis {axis} of {grid.shape}, got steps of {seen} m: "
                "state the spacing"
            )
        found.append(float(steps.mean()))
    return (*found, grid.interval)


def _steps(grid: SegyGrid, axis: int) -> NDArray[np.float64]:
    return np.hypot(np.diff(grid.x, axis=axis), np.diff(grid.y, axis=axis))


def _check_same(volume: SegyVolume, first: SegyVolume, path: Path, first_path: Path) -> None:
    """Hold a file's grid against the first one's."""
    if volume.grid.domain != "depth":
        raise ValueError(f"{path}: expected samples in depth, got time: convert it to depth first")
    names = ("inline", "crossline", "x", "y", "interval", "first")
    differing = [
        name for name in names if not np.array_equal(getattr(volume.grid, name), getattr(first.grid, name))
    ]
    if volume.values.shape != first.values.shape or differing:
        raise ValueError(
            f"{path}: expected the grid of {first_path}, {first.values.shape}, got {volume.values.shape}"
            + (f" with another {', '.join(differing)}" if differing else "")
        )
