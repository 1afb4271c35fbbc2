"""Pairs of arrays from anywhere, written as a dataset of schema ``seispost-pairs/1`` (``data/README.md``)."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

import h5py
import numpy as np
from numpy.typing import NDArray

from posterior.files import sha256_bytes, sha256_file, sync_folder, versions, write_atomic
from posterior.shards import SCHEMA

_AXES = {1: "z", 2: "x,z", 3: "x,y,z"}
_BLOCK = 64
"""Pairs that are read, and written as a shard, together."""


class Block(NamedTuple):
    """Some pairs: x (n, C, ...) and y (n, K, ...) on one grid, depth last, positive down."""

    x: NDArray[Any]
    y: NDArray[Any]


@final
@dataclass(frozen=True, kw_only=True)
class PairLabels:
    """What arrays do not say of themselves.

    Args:
        x_channels, x_units, y_channels, y_units: one name and one unit a channel; "1" where there is none.
        spacing, origin: of the grid, one number an axis [m].
        known: whether x is the truth; where it stands in for an unknown one, no cell is scored.
        depth_weight: what the first channel of y carries at each depth; 1 by default.

    Raises:
        ValueError: If a name or a unit is empty or missing, or spacing and origin make no grid.
    """

    x_channels: tuple[str, ...]
    x_units: tuple[str, ...]
    y_channels: tuple[str, ...]
    y_units: tuple[str, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    known: bool = True
    depth_weight: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for names, units in ((self.x_channels, self.x_units), (self.y_channels, self.y_units)):
            if not names or len(names) != len(units) or not all((*names, *units)):
                raise ValueError(f"expected a name and a unit for each channel, got {names} and {units}")
        if (
            len(self.spacing) != len(self.origin)
            or not np.isfinite((*self.spacing, *self.origin)).all()
            or min(self.spacing) <= 0.0
        ):
            raise ValueError(
                f"expected a positive spacing and an origin for each axis [m], got {self.spacing} and "
                f"{self.origin}"
            )


def write_dataset(
    folder: str | Path, blocks: Iterable[Block], labels: PairLabels, *, source: Mapping[str, Any]
) -> int:
    """Write pairs as a dataset that :class:`posterior.dataset.PairDataset` reads, as a whole or not at all.

    Each block becomes a shard, so pairs that do not fit in memory can be streamed. Signal-to-noise ratios are
    unknown, NaN; all cells are scored if x is known.

    Args:
        folder: gets the dataset; must not exist, or be empty.
        blocks: pairs in their order.
        labels: names, units and grid.
        source: where the pairs come from, as JSON; becomes the dataset's configuration.

    Returns:
        The number of pairs.

    Raises:
        ValueError: If the folder holds something, there is no pair, or a block does not fit the labels, the
            blocks before it, or is not finite. Nothing is left then.

    Example:
        >>> write_dataset("train", [Block(x, y)], labels, source={"by": "hand"})  # doctest: +SKIP
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"expected {folder} to be a new or an empty folder, got one that holds something")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        count = _write_files(part, blocks, labels, {"imported": dict(source)})
        if folder.exists():
            folder.rmdir()
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(folder.parent)
    return count


def described(files: Sequence[str | Path]) -> list[dict[str, str]]:
    """Names and SHA-256 of files, for the ``source`` of a dataset."""
    return [{"file": Path(file).name, "sha256": sha256_file(Path(file))} for file in files]


def in_blocks(count: int, size: int = _BLOCK) -> Iterator[slice]:
    """Slices of at most ``size`` that together cover 0 .. count - 1."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _write_files(folder: Path, blocks: Iterable[Block], labels: PairLabels, config: dict[str, Any]) -> int:
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    digest, lines, first = sha256_bytes(text.encode()), [], 0
    shape: tuple[int, ...] | None = None
    for number, block in enumerate(blocks):
        x, y = _checked(block, labels, first, shape)
        shape = x.shape[2:]
        attributes = {"config": text, "config_hash": digest, "first": first, "count": len(x)}
        data = _shard(x, y, labels, attributes)
        path = folder / f"shard-{number:06d}.h5"
        line = {"file": path.name, "sha256": write_atomic(path, data), "bytes": len(data), "failed": []}
        lines.append(json.dumps(line | {"first": first, "count": len(x), "config_hash": digest}) + "\n")
        first += len(x)
    if not first:
        raise ValueError("expected at least one pair, got none")
    write_atomic(folder / "manifest.jsonl", "".join(lines).encode())
    head = {"schema": SCHEMA, "config": config, "config_hash": digest, "count": first, "shard_size": _BLOCK}
    write_atomic(folder / "dataset.json", json.dumps(head | {"versions": versions()}, indent=1).encode())
    return first


def _checked(
    block: Block, labels: PairLabels, first: int, shape: tuple[int, ...] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The block's arrays in single precision, if they fit the labels and the shape of those before."""
    pairs, cells = block.x.shape[:1], shape or block.x.shape[2:]
    for name, array, channels in (("x", block.x, labels.x_channels), ("y", block.y, labels.y_channels)):
        expected = (*pairs, len(channels), *cells)
        if array.shape != expected or len(cells) != len(labels.spacing) or not array.size:
            raise ValueError(
                f"expected {name} of shape {expected} with {len(labels.spacing)} axes of the grid, as the "
                f"labels or the pairs before say, got {array.shape}"
            )
        if array.dtype.kind not in "fiu":
            raise ValueError(f"expected real numbers in {name}, got {array.dtype}")
    with np.errstate(over="ignore"):
        arrays = [np.asarray(array, np.float32) for array in block]
    for name, array in zip("xy", arrays, strict=True):
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        if bad.size:
            raise ValueError(
                f"expected finite values, got some that are not in {name} of pair {first + bad[0]}"
            )
    return arrays[0], arrays[1]


def _shard(
    x: NDArray[np.float32], y: NDArray[np.float32], labels: PairLabels, attributes: dict[str, Any]
) -> memoryview:
    arrays = {
        "x": x,
        "y": y,
        "index": np.arange(attributes["first"], attributes["first"] + len(x), dtype=np.int64),
        "snr_db": np.full(len(x), np.nan, np.float32),
        "depth_weight": np.array(labels.depth_weight or (1.0,) * x.shape[-1], np.float32),
        "scored": np.full(x.shape[2:], labels.known, np.uint8),
    }
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, values in arrays.items():
            chunks = (1, *values.shape[1:]) if name in ("x", "y") else values.shape
            file.create_dataset(name, data=values, chunks=chunks, fletcher32=True, track_times=False)
        for name in ("x", "y"):
            file[name].attrs["axes"] = f"sample,channel,{_AXES[x.ndim - 2]}"
            for what in ("channels", "units"):
                file[name].attrs[what] = json.dumps(getattr(labels, f"{name}_{what}"))
        file.attrs.update({"schema": SCHEMA, "seed": 0, "failed": "[]", "versions": json.dumps(versions())})
        file.attrs.update(attributes)
        for name in ("spacing", "origin"):
            file.attrs[name] = np.array(getattr(labels, name), np.float64)
    return buffer.getbuffer()
