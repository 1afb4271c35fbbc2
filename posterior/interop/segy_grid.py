"""Where the traces of a line or a volume stand, and what their samples count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

Domain = Literal["depth", "time"]

_SHORT, _LONG = 2**15 - 1, 2**31 - 1
"""Largest values of headers of two and of four bytes."""
_CLOSE = 1e-6
"""Relative difference between a length and what a header can hold that is passed over."""
_SAMPLES, _VALUES = "SEISPOST: SAMPLES IN ", "SEISPOST: VALUES ARE "
_STATED = {
    "mm": f"{_SAMPLES}DEPTH, INTERVAL IN MILLIMETRES, FIRST SAMPLE IN METRES",
    "m": f"{_SAMPLES}DEPTH, INTERVAL IN METRES, FIRST SAMPLE IN METRES",
    "us": f"{_SAMPLES}TIME, INTERVAL IN MICROSECONDS, FIRST IN MILLISECONDS",
}
"""What the text header says of the sample interval, by its unit."""
UNITS = {"mm": 1e3, "m": 1.0, "us": 1e6}
"""How many units of the sample interval make a metre or a second."""


@final
@dataclass(frozen=True, eq=False)
class SegyGrid:
    """Where the traces stand and what the samples count; arrays have the horizontal shape (nx,) or (nx, ny).

    Args:
        inline, crossline: numbers of each trace; axis 0 of a volume is the inline, axis 1 the crossline.
        x, y: positions [m].
        interval: between samples, [m] in depth, [s] in time.
        first: depth [m] or time [s] of the first sample.
        domain: what the samples count.

    Raises:
        ValueError: If the arrays differ in shape, or the interval is no positive number.
    """

    inline: NDArray[np.int64]
    crossline: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    interval: float
    first: float = 0.0
    domain: Domain = "depth"

    def __post_init__(self) -> None:
        shapes = {np.shape(getattr(self, name)) for name in ("inline", "crossline", "x", "y")}
        if len(shapes) != 1 or len(self.shape) not in (1, 2):
            raise ValueError(f"expected numbers and positions of one shape (nx,) or (nx, ny), got {shapes}")
        if not (np.isfinite(self.interval) and self.interval > 0.0 and np.isfinite(self.first)):
            raise ValueError(
                f"expected a positive interval and a finite first sample, got {self.interval}, {self.first}"
            )

    @classmethod
    def regular(cls, shape: Sequence[int], spacing: Sequence[float], origin: Sequence[float]) -> Self:
        """A depth grid along the axes of x and y; inlines and crosslines count from 1.

        Args:
            shape: (nx, nz) or (nx, ny, nz).
            spacing: of each axis [m].
            origin: of each axis [m].

        Raises:
            ValueError: If there are not two or three axes, or not one number for each.

        Example:
            >>> SegyGrid.regular((3, 50), (25.0, 10.0), (100.0, 0.0)).x.tolist()
            [100.0, 125.0, 150.0]
        """
        if len(shape) not in (2, 3) or not len(shape) == len(spacing) == len(origin):
            raise ValueError(
                f"expected 2 or 3 axes with a spacing and an origin each, got shape {tuple(shape)}, spacing "
                f"{tuple(spacing)}, origin {tuple(origin)}"
            )
        index = np.indices(tuple(shape[:-1]))
        across = [origin[axis] + spacing[axis] * index[axis] for axis in range(len(index))]
        line = len(index) == 1
        inline = np.ones_like(index[0]) if line else index[0] + 1
        y = np.zeros(index[0].shape) if line else across[1]
        return cls(inline, index[-1] + 1, across[0], y, float(spacing[-1]), float(origin[-1]))

    @property
    def shape(self) -> tuple[int, ...]:
        """The horizontal shape."""
        return np.shape(self.inline)


class Sampling(NamedTuple):
    """The vertical axis in header units."""

    interval: int
    """Bytes 117-118 and 3217-3218."""
    delay: int
    """First sample, bytes 109-110; to be multiplied or divided as the scalar says."""
    scalar: int
    """Bytes 215-216; 0 means 1."""
    statement: str
    """For the text header."""


def sampling(grid: SegyGrid) -> Sampling:
    """The vertical axis of a grid in header units.

    Raises:
        ValueError: If an integer of two bytes cannot hold the interval or the first sample.
    """
    units = ("mm", "m") if grid.domain == "depth" else ("us",)
    for unit in units:
        count = round(grid.interval * UNITS[unit])
        if 0 < count <= _SHORT and abs(count / UNITS[unit] / grid.interval - 1.0) <= _CLOSE:
            break
    else:
        raise ValueError(
            f"expected a sample interval of at most {_SHORT} whole {' or '.join(units)}, which a SEG-Y "
            f"header can hold, got {grid.interval:g} {'m' if grid.domain == 'depth' else 's'}"
        )
    first = grid.first if grid.domain == "depth" else 1e3 * grid.first
    for divisor in (1, 10, 100, 1000):
        delay = round(first * divisor)
        if abs(delay) <= _SHORT and abs(delay / divisor - first) <= _CLOSE * max(abs(first), 1e-3):
            return Sampling(count, delay, -divisor if divisor > 1 else 0, _STATED[unit])
    raise ValueError(f"expected a first sample that a SEG-Y header of two bytes can hold, got {grid.first:g}")


def stated_unit(text: str) -> str | None:
    """The unit of the sample interval that a text header of this package states; None for others."""
    return next((unit for unit, line in _STATED.items() if line in text), None)


def with_lines(text: str, statement: str, title: str) -> str:
    """A survey's text header with a line on the samples and one on the values.

    They replace such lines if it has them already, else go into its last blank lines, else into 38 and 39.
    """
    lines = [text[start : start + 80].ljust(80) for start in range(0, 3200, 80)]
    for words, mark, otherwise in ((statement, _SAMPLES, 39), (_VALUES + title, _VALUES, 38)):
        there = [number for number, line in enumerate(lines, 1) if mark in line]
        blank = [number for number, line in enumerate(lines[:39], 1) if not line[3:].strip()]
        number = (there or blank[-1:] or [otherwise])[0]
        lines[number - 1] = f"C{number:2d} {words}"[:80].ljust(80)
    return "".join(lines)


def in_headers(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[int, NDArray[Any], NDArray[Any]]:
    """Scalar of the coordinates and their integers: millimetres if all are below 2000 km.

    Raises:
        ValueError: If an integer of four bytes cannot hold them in metres.
    """
    largest = float(max(np.abs(x).max(), np.abs(y).max()))
    for divisor in (1000, 100, 10, 1):
        if largest * divisor <= _LONG:
            return -divisor, np.rint(x * divisor).astype(np.int64), np.rint(y * divisor).astype(np.int64)
    raise ValueError(f"expected coordinates below {_LONG} m, got {largest:g} m")


def scaled(values: NDArray[np.int64], scalar: NDArray[np.int64]) -> NDArray[np.float64]:
    """Header values times a positive scalar, or divided by a negative one's size; zero means one."""
    size = np.maximum(np.abs(scalar), 1).astype(np.float64)
    return np.where(scalar < 0, values / size, values * size)


def arrange(inline: NDArray[np.int64], crossline: NDArray[np.int64], name: str) -> NDArray[np.intp]:
    """Which trace stands where: (n,) for a line, in the file's order, (inlines, crosslines) for a volume.

    Raises:
        ValueError: If both numbers vary and not every inline has every crossline exactly once.
    """
    rows, row = np.unique(inline, return_inverse=True)
    columns, column = np.unique(crossline, return_inverse=True)
    if min(len(rows), len(columns)) == 1:
        return np.arange(len(inline))
    table = np.full((len(rows), len(columns)), -1, np.intp)
    table[row, column] = np.arange(len(inline))
    if len(inline) != table.size or (table < 0).any():
        raise ValueError(
            f"{name}: expected every one of {len(rows)} inlines to have each of {len(columns)} crosslines "
            f"once, got {len(inline)} traces that leave {int((table < 0).sum())} places empty"
        )
    return table
