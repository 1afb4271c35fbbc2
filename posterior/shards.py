"""Checked reading of one HDF5 shard of training pairs: schema ``seispost-pairs/1`` (``data/README.md``).

A shard may come from anywhere. Nothing is read from it before its size and checksum agree with the manifest
and every dataset is plain: HDF5 can otherwise point a reader at other files (external storage, external
links, virtual datasets) or claim terabytes in a few bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np

from posterior.files import sha256_file

SCHEMA = "seispost-pairs/1"
_NAME = re.compile(r"[A-Za-z0-9_-]+\.h5")
_KINDS = {"x": "f", "y": "f", "index": "iu", "snr_db": "f", "depth_weight": "f", "scored": "iu"}
_LARGEST_RATIO = 1000
"""Uncompressed shards store what they claim; a dataset that claims a thousand times more is a bomb."""


@final
@dataclass(frozen=True)
class ManifestLine:
    """What the manifest says of one shard."""

    file: str
    sha256: str
    bytes: int
    first: int
    count: int
    failed: int
    config_hash: str


@final
@dataclass(frozen=True)
class ShardHeader:
    """What must agree between all shards of a dataset, and where the pairs lie."""

    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    x_channels: tuple[str, ...]
    y_channels: tuple[str, ...]
    x_units: tuple[str, ...]
    y_units: tuple[str, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]


def read_manifest(path: Path) -> list[ManifestLine]:
    """The finished shards of a dataset in the order of their pairs.

    A torn last line (the writer was killed while appending) does not count; of two lines for one file the
    later one does.

    Raises:
        ValueError: a line is no manifest entry, or names a file outside the folder.
    """
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    lines: dict[str, ManifestLine] = {}
    for number, row in enumerate(whole.splitlines(), start=1):
        line = _manifest_line(row, f"{path}, line {number}")
        lines[line.file] = line
    return sorted(lines.values(), key=lambda line: line.first)


def _manifest_line(row: str, where: str) -> ManifestLine:
    try:
        entry = json.loads(row)
        line = ManifestLine(
            file=str(entry["file"]),
            sha256=str(entry["sha256"]),
            bytes=int(entry["bytes"]),
            first=int(entry["first"]),
            count=int(entry["count"]),
            failed=len(entry["failed"]),
            config_hash=str(entry["config_hash"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{where}: expected a JSON object for one shard, got {row[:80]!r} ({error!r})"
        ) from None
    if not _NAME.fullmatch(line.file):
        raise ValueError(f"{where}: expected a plain file name like shard-000000.h5, got {line.file!r}")
    return line


def check_bytes(path: Path, line: ManifestLine, *, verify: bool) -> None:
    """Compare a shard with its manifest entry: presence, size and, if asked, SHA-256.

    Raises:
        FileNotFoundError: the shard is missing.
        ValueError: truncated or changed.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: named by the manifest but not there; run `simulate` again to remake it"
        )
    size = path.stat().st_size
    if size != line.bytes:
        raise ValueError(f"{path}: expected {line.bytes} bytes by the manifest, got {size} (truncated?)")
    if verify and (found := sha256_file(path)) != line.sha256:
        raise ValueError(f"{path}: expected sha256 {line.sha256} by the manifest, got {found} (damaged?)")


def read_header(file: h5py.File, path: Path, line: ManifestLine) -> ShardHeader:
    """Check a shard's schema, datasets and shapes, and read what all shards share.

    Raises:
        ValueError: another schema, another configuration, a dataset that is missing, not plain, absurdly
            large or of another shape than the rest demands.
    """
    schema = file.attrs.get("schema")
    if schema != SCHEMA:
        raise ValueError(f"{path}: expected schema {SCHEMA!r}, got {schema!r}")
    if (found := file.attrs.get("config_hash")) != line.config_hash:
        raise ValueError(f"{path}: expected config_hash {line.config_hash!r} by the manifest, got {found!r}")
    arrays = {name: plain_dataset(file, name, path, kinds) for name, kinds in _KINDS.items()}
    _check_shapes(arrays, path, line.count)
    x, y = arrays["x"], arrays["y"]
    return ShardHeader(
        x_shape=x.shape[1:],
        y_shape=y.shape[1:],
        x_channels=_names(x, "channels", path),
        y_channels=_names(y, "channels", path),
        x_units=_names(x, "units", path),
        y_units=_names(y, "units", path),
        spacing=_numbers(file, "spacing", path, x.ndim - 2),
        origin=_numbers(file, "origin", path, x.ndim - 2),
    )


def plain_dataset(file: h5py.File, name: str, path: Path, kinds: str) -> h5py.Dataset:
    """A dataset whose numbers lie in this very file, in the amount that it claims.

    Raises:
        ValueError: missing, a soft or external link, external or virtual storage, another type, too large.
    """
    if name not in file.keys():  # noqa: SIM118 - `name in file` would follow the link
        raise ValueError(f"{path}: expected a dataset {name!r}, got {sorted(file.keys())}")
    link = file.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise ValueError(  # noqa: TRY004 - the file is wrong, not an argument's type
            f"{path}: expected {name!r} to lie in the file, got a {type(link).__name__}"
        )
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.external is not None or found.is_virtual:
        raise ValueError(
            f"{path}: expected {name!r} to be a plain dataset, got a group, external or virtual storage"
        )
    if found.dtype.kind not in kinds or found.ndim > 5:
        raise ValueError(
            f"{path}: expected {name!r} of kind {kinds!r} with at most 5 axes, got {found.dtype} "
            f"with {found.ndim}"
        )
    if found.nbytes > _LARGEST_RATIO * max(found.id.get_storage_size(), 1):
        raise ValueError(
            f"{path}: {name!r} claims {found.nbytes} bytes but stores {found.id.get_storage_size()}; refused"
        )
    return found


def _check_shapes(arrays: dict[str, h5py.Dataset], path: Path, count: int) -> None:
    x, y = arrays["x"].shape, arrays["y"].shape
    if len(x) < 3 or len(x) != len(y) or x[2:] != y[2:]:
        raise ValueError(f"{path}: expected x (n, C, ...) and y (n, K, ...) on one grid, got {x} and {y}")
    cells = x[2:]
    expected = {
        "x": (count, *x[1:]),
        "y": (count, *y[1:]),
        "index": (count,),
        "snr_db": (count,),
        "depth_weight": cells[-1:],
        "scored": cells,
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{path}: expected {name!r} of shape {shape}, got {arrays[name].shape}")


def _names(dataset: h5py.Dataset, attribute: str, path: Path) -> tuple[str, ...]:
    text: Any = dataset.attrs.get(attribute)
    try:
        names = json.loads(text)
    except (TypeError, ValueError):
        names = None
    if not isinstance(names, list) or len(names) != dataset.shape[1]:
        raise ValueError(
            f"{path}: expected attribute {attribute!r} of {dataset.name} to be a JSON list of "
            f"{dataset.shape[1]} names, got {text!r}"
        )
    return tuple(str(name) for name in names)


def _numbers(file: h5py.File, attribute: str, path: Path, count: int) -> tuple[float, ...]:
    values = np.asarray(file.attrs.get(attribute, ()))
    if values.shape != (count,) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise ValueError(f"{path}: expected attribute {attribute!r} with {count} numbers [m], got {values!r}")
    return tuple(float(value) for value in values)
