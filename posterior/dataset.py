"""Training pairs (x, y): from a folder of HDF5 shards, or from tensors in memory.

Both are map-style datasets with the same few attributes, gathered in the protocol :class:`Pairs`; training
needs nothing else of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, final

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from posterior.files import sha256_bytes
from posterior.shards import SCHEMA, ManifestLine, ShardHeader, check_bytes, read_header, read_manifest

_CLOSED = (
    "a dataset is a folder with dataset.json, manifest.jsonl and shards, as `seispost simulate` writes it"
)


class Pairs(Protocol):
    """What training needs of a dataset."""

    @property
    def y_channels(self) -> Sequence[str]:
        """Names of y's channels; one that says "background" is left alone by amplitude and sign changes."""
        ...

    @property
    def fingerprint(self) -> str:
        """A digest of the content: equal for equal pairs."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]: ...


@final
class TensorPairs(Dataset[tuple[Tensor, Tensor]]):
    """Pairs that already lie in memory.

    Args:
        x: unknowns (n, C, ...), any unit.
        y: conditions (n, K, ...).
        y_channels: names of y's channels.

    Raises:
        ValueError: x and y do not hold the same number of pairs, or the names are not one a channel.
    """

    def __init__(self, x: Tensor, y: Tensor, *, y_channels: Sequence[str] | None = None) -> None:
        if x.ndim < 2 or y.ndim < 2 or len(x) != len(y):
            raise ValueError(
                f"expected x (n, C, ...) and y (n, K, ...), got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        names = tuple(y_channels) if y_channels is not None else tuple(f"y{k}" for k in range(y.shape[1]))
        if len(names) != y.shape[1]:
            raise ValueError(f"expected {y.shape[1]} channel names for y, got {names}")
        self.x, self.y, self.y_channels = x.float(), y.float(), names
        self.fingerprint = sha256_bytes(self.x.numpy().tobytes() + self.y.numpy().tobytes())

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        """Pair at a position: x (C, ...) and y (K, ...)."""
        return self.x[position], self.y[position]


@final
class PairDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pairs from a folder of shards, checked before they are used; schema in ``data/README.md``.

    Args:
        folder: the dataset's folder.
        verify: compare every shard's SHA-256 with the manifest.
        partial: accept a dataset whose simulation has not finished.
        memory: pairs are held in memory when they take at most this many bytes; otherwise each is read
            when it is asked for, by whichever process asks.

    Attributes:
        config: configuration the pairs were simulated with (plain JSON); ``config_hash`` its digest.
        fingerprint: SHA-256 over the shards' sums.
        x_shape, y_shape: (C, nx, nz) and (K, nx, nz).
        x_channels, x_units, y_channels, y_units: one name and one unit a channel.
        spacing, origin: of the grid [m].
        index: number of each pair in its dataset, int64; failed draws are missing.
        snr_db: realised signal-to-noise ratio of each pair's data [dB].
        depth_weight: (nz,) weight that channel 0 of y carries.
        scored: (nx, nz) bool, where scores count.

    Raises:
        FileNotFoundError: no dataset there, or a shard is missing.
        ValueError: another schema, truncated, a wrong checksum, links to other files, values that are not
            finite, an unfinished simulation.
    """

    def __init__(
        self, folder: str | Path, *, verify: bool = True, partial: bool = False, memory: int = 4 << 30
    ) -> None:
        self.folder = Path(folder)
        self.config, self.config_hash, count = _read_dataset_json(self.folder / "dataset.json")
        self._lines = self._manifest(count, partial=partial)
        self.fingerprint = sha256_bytes("\n".join(line.sha256 for line in self._lines).encode())
        self._ends = np.cumsum([line.count for line in self._lines])
        header = self._open_all(verify=verify)
        self.x_shape, self.y_shape = header.x_shape, header.y_shape
        self.x_channels, self.y_channels = header.x_channels, header.y_channels
        self.x_units, self.y_units = header.x_units, header.y_units
        self.spacing, self.origin = header.spacing, header.origin
        self._held: tuple[Tensor, Tensor] | None = None
        if 4 * len(self) * int(np.prod(self.x_shape) + np.prod(self.y_shape)) <= memory:
            self._held = self._load()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        """Pair at a position: x (C, nx, nz) and y (K, nx, nz), float32, physical units."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"expected a position below {len(self)}, got {position}")
        position %= len(self)
        if self._held is not None:
            return self._held[0][position], self._held[1][position]
        shard = int(np.searchsorted(self._ends, position, side="right"))
        line = self._lines[shard]
        row = position - (int(self._ends[shard]) - line.count)
        # Opened anew: a handle kept from before a fork or in a pickle would be wrong in a worker process.
        with h5py.File(self.folder / line.file, "r") as file:
            return _tensor(file["x"][row]), _tensor(file["y"][row])

    def _manifest(self, count: int, *, partial: bool) -> list[ManifestLine]:
        path = self.folder / "manifest.jsonl"
        lines = read_manifest(path) if path.is_file() else []
        for line in lines:
            if line.config_hash != self.config_hash:
                raise ValueError(
                    f"{path}: expected config_hash {self.config_hash} by dataset.json, "
                    f"got {line.config_hash} for {line.file}: shards of two runs in one folder"
                )
        finished = sum(line.count + line.failed for line in lines)
        if finished < count and not partial:
            raise ValueError(
                f"{self.folder}: expected {count} pairs, got {finished}: the simulation has not finished; "
                "run it again, it goes on where it stopped"
            )
        lines = [line for line in lines if line.count > 0]
        if not lines:
            raise ValueError(f"{self.folder}: expected at least one shard with pairs, got none")
        return lines

    def _open_all(self, *, verify: bool) -> ShardHeader:
        """Check every shard against the first one and read what is kept of each pair but x and y."""
        first: ShardHeader | None = None
        index: list[NDArray[np.int64]] = []
        snr_db: list[NDArray[np.float32]] = []
        for line in self._lines:
            path = self.folder / line.file
            check_bytes(path, line, verify=verify)
            with _open(path) as file:
                header = read_header(file, path, line)
                if first is None:
                    first = header
                    self.depth_weight: NDArray[np.float32] = file["depth_weight"][:].astype(np.float32)
                    self.scored: NDArray[np.bool_] = file["scored"][:].astype(bool)
                index.append(file["index"][:].astype(np.int64))
                snr_db.append(file["snr_db"][:].astype(np.float32))
            if header != first:
                raise ValueError(
                    f"{path}: expected the shapes and names of the first shard, {first}, got {header}"
                )
        assert first is not None
        self.index, self.snr_db = np.concatenate(index), np.concatenate(snr_db)
        return first

    def _load(self) -> tuple[Tensor, Tensor]:
        x, y = torch.empty(len(self), *self.x_shape), torch.empty(len(self), *self.y_shape)
        for line, stop in zip(self._lines, self._ends.tolist(), strict=True):
            rows = slice(stop - line.count, stop)
            with h5py.File(self.folder / line.file, "r") as file:
                for name, whole in (("x", x), ("y", y)):
                    whole[rows] = _tensor(file[name][:])
                    bad = ~whole[rows].flatten(1).isfinite().all(1)
                    if bad.any():
                        pair = int(self.index[rows][bad.numpy()][0])
                        raise ValueError(f"{self.folder / line.file}: {name} of pair {pair} is not finite")
        return x, y


def _read_dataset_json(path: Path) -> tuple[dict[str, Any], str, int]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not there; {_CLOSED}")
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        schema, config, digest, count = (
            head["schema"],
            head["config"],
            head["config_hash"],
            int(head["count"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: expected the JSON of a dataset, got {error!r}") from None
    if schema != SCHEMA:
        raise ValueError(f"{path}: expected schema {SCHEMA!r}, got {schema!r}")
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
    if (found := hashlib.sha256(canonical).hexdigest()) != digest:
        raise ValueError(f"{path}: expected config_hash {found} for this config, got {digest}")
    return config, digest, count


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: expected an HDF5 file of schema {SCHEMA!r}, got {error}") from None


def _tensor(values: NDArray[np.floating[Any]]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
