"""Pairs in HDF5 files of any layout, JLD2 files among them: the axes are stated, nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np
from numpy.typing import NDArray

from posterior.interop import hdf5
from posterior.interop.arrays import Block, in_blocks

_ORDER = "ncxyz"


@final
@dataclass(frozen=True)
class Stored:
    """A data set and what its axes are.

    Args:
        name: path of the data set in the file.
        axes: a letter an axis, as h5py shows them: n pairs, c channels, x, y, z. Without n it is one pair,
            without c one channel. Julia's axes appear reversed: its (x, z, c, n) is "nczx" here.

    Raises:
        ValueError: If a letter is none of these or comes twice, or there is no z.
    """

    name: str
    axes: str

    def __post_init__(self) -> None:
        if set(self.axes) - set(_ORDER) or len(set(self.axes)) != len(self.axes) or "z" not in self.axes:
            raise ValueError(f"expected axes out of {_ORDER!r}, each once, with a z, got {self.axes!r}")


def read_hdf5_pairs(path: str | Path, x: Stored, y: Stored) -> Iterator[Block]:
    """Read pairs block by block from an HDF5 or JLD2 file.

    Args:
        path: The file.
        x: Where the unknowns are.
        y: Where what they are conditioned on is, on the same grid.

    Yields:
        x (n, C, ...) and y (n, K, ...), depth last, in the file's type.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no whole HDF5 file, points at other files, lacks a data set, or axes and numbers
            of pairs do not fit.

    Example:
        >>> blocks = read_hdf5_pairs("train.jld2", Stored("X", "nczx"), Stored("Y", "nczx"))  # doctest: +SKIP
    """
    path = Path(path)
    with hdf5.opened(path) as file:
        found = [hdf5.dataset(file, stored.name, path) for stored in (x, y)]
        counts = [_count(path, data, stored) for data, stored in zip(found, (x, y), strict=True)]
        if counts[0] != counts[1]:
            raise ValueError(
                f"{path}: expected as many pairs in {x.name!r} as in {y.name!r}, got {counts[0]} and "
                f"{counts[1]}"
            )
        for rows in in_blocks(counts[0]):
            parts = (_read(path, data, stored, rows) for data, stored in zip(found, (x, y), strict=True))
            yield Block(*parts)


def _count(path: Path, data: h5py.Dataset, stored: Stored) -> int:
    if data.ndim != len(stored.axes):
        raise ValueError(
            f"{path}: expected {stored.name!r} with the {len(stored.axes)} axes {stored.axes!r}, got shape "
            f"{data.shape}"
        )
    return data.shape[stored.axes.index("n")] if "n" in stored.axes else 1


def _read(path: Path, data: h5py.Dataset, stored: Stored, rows: slice) -> NDArray[Any]:
    """Some pairs with their axes in our order, and one for the channels."""
    try:
        part = data[tuple(rows if axis == "n" else slice(None) for axis in stored.axes)]
    except OSError as error:  # a chunk is damaged
        raise ValueError(f"{path}: expected to read {stored.name!r}, got {error}") from None
    kept = [axis for axis in _ORDER if axis in stored.axes]
    turned = np.transpose(part, [stored.axes.index(axis) for axis in kept])
    for place, axis in enumerate("nc"):
        if axis not in stored.axes:
            turned = np.expand_dims(turned, place)
    return turned
