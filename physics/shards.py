"""One HDF5 shard of training pairs, encoded in memory, byte for byte reproducible (``data/README.md``).

A shard never touches the disk while HDF5 has it open: a kill in the middle of an HDF5 write damages more than
the record that was being written, and a full disk ends the interpreter.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from physics.config import PairConfig

SCHEMA = "seispost-pairs/1"
_X_CHANNELS = {"squared_slowness_perturbation": "s^2/m^2"}
_DATASETS = {"x": "f4", "y": "f4", "index": "i8", "snr_db": "f4", "depth_weight": "f4", "scored": "u1"}


@dataclasses.dataclass(frozen=True)
class Pair:
    """One training pair.

    Attributes:
        index: Index of the pair in its dataset.
        x: Unknown ``(1, *shape)``: perturbation of squared slowness [s^2/m^2].
        y: Observation ``(K, *shape)``: migrated image, muted and depth-weighted, and those of other offsets;
            last the background squared slowness.
        snr_db: Signal-to-noise ratio of the noisy data over all shots [dB].
    """

    index: int
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    snr_db: float


@dataclasses.dataclass(frozen=True)
class Failure:
    """A draw that was left out, and why."""

    index: int
    error: str


@dataclasses.dataclass(frozen=True)
class ImageWeights:
    """What the images of a dataset carry, the same for each pair.

    Attributes:
        depth: Weight ``(nz,)`` that the migrated images carry.
        scored: 1 in the cells of the model where scores count, 0 where the perturbation is tapered.
        channels: Names and units of y's channels.
    """

    depth: NDArray[np.float32]
    scored: NDArray[np.uint8]
    channels: Mapping[str, str]


def config_json(config: PairConfig) -> str:
    """Write a configuration as canonical JSON; a whole number in a float setting is written as a float."""
    return canonical_json(_plain(config))


def canonical_json(value: Any) -> str:
    """Write plain data as JSON with sorted keys and no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(data: bytes) -> str:
    """Give the sha256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def software_versions() -> dict[str, str]:
    """Versions of everything that the bytes of a shard depend on; a project run from its sources has none."""
    versions = {"python": platform.python_version()}
    for name in ("seispost", "numpy", "scipy", "h5py", "devito"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def encode_shard(
    pairs: Sequence[Pair],
    failed: Sequence[Failure],
    *,
    config: PairConfig,
    first: int,
    weights: ImageWeights,
) -> bytes:
    """Encode pairs as the bytes of one HDF5 file.

    Args:
        pairs: At least one pair, in the order of their indices.
        failed: Draws of the shard's range that were left out.
        config: What the pairs were made from.
        first: Index of the first draw of the shard's range.
        weights: Depth weight, scored cells and channels.

    Returns:
        The file; the same arguments and software give the same bytes.

    Raises:
        ValueError: If there is no pair, or a pair's shape or values are not what the schema says.
    """
    if not pairs:
        raise ValueError("expected at least one pair in a shard, got none")
    for pair in pairs:
        _check_pair(pair, config.survey.shape, weights.channels)
    text = config_json(config)
    arrays: dict[str, NDArray[Any]] = {
        "x": np.stack([pair.x for pair in pairs]),
        "y": np.stack([pair.y for pair in pairs]),
        "index": np.array([pair.index for pair in pairs]),
        "snr_db": np.array([pair.snr_db for pair in pairs]),
        "depth_weight": weights.depth,
        "scored": weights.scored,
    }
    attributes: dict[str, Any] = {
        "schema": SCHEMA,
        "config": text,
        "config_hash": sha256(text.encode()),
        "seed": config.seed,
        "first": first,
        "count": len(pairs),
        "failed": canonical_json([dataclasses.asdict(failure) for failure in failed]),
        "spacing": np.array(config.survey.spacing, dtype=np.float64),
        "origin": np.zeros(len(config.survey.shape)),
        "versions": canonical_json(software_versions()),
    }
    return _hdf5_bytes(arrays, attributes, weights.channels)


def check_shard(data: bytes, *, config_hash: str, name: str) -> dict[str, Any]:
    """Read a shard whole, every checksum with it, and hold it against the schema.

    Args:
        data: Bytes of the file.
        config_hash: Hash of the configuration that the shard must have been made from.
        name: What to call the file in messages.

    Returns:
        The file's attributes ``first``, ``count`` and ``failed`` as plain Python values.

    Raises:
        ValueError: If it is no HDF5 file, is truncated or damaged, or has another schema or configuration.
    """
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            attributes = dict(file.attrs)
            arrays = {key: file[key][()] for key in _DATASETS if key in file}
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(
            f"{name}: expected a whole HDF5 file, got {len(data)} unreadable bytes ({error})"
        ) from error
    if attributes.get("schema") != SCHEMA:
        raise ValueError(f"{name}: expected schema {SCHEMA!r}, got {attributes.get('schema')!r}")
    if attributes.get("config_hash") != config_hash:
        raise ValueError(f"{name}: expected config_hash {config_hash}, got {attributes.get('config_hash')}")
    for key, kind in _DATASETS.items():
        got = arrays[key].dtype if key in arrays else "none"
        if got != np.dtype(kind):
            raise ValueError(f"{name}: expected a dataset {key!r} of type {np.dtype(kind)}, got {got}")
    count = int(attributes["count"])
    lengths = {key: len(arrays[key]) for key in ("x", "y", "index", "snr_db")}
    if set(lengths.values()) != {count}:
        raise ValueError(f"{name}: expected {count} pairs in each dataset, got {lengths}")
    return {"first": int(attributes["first"]), "count": count, "failed": json.loads(attributes["failed"])}


def _hdf5_bytes(
    arrays: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any], y_channels: Mapping[str, str]
) -> bytes:
    axes = "x,z" if arrays["x"].ndim == 4 else "x,y,z"
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            chunks = (1, *array.shape[1:]) if name in ("x", "y") else array.shape
            dataset = file.create_dataset(
                name, data=array.astype(_DATASETS[name]), chunks=chunks, fletcher32=True, track_times=False
            )
            # Places its chunks now, not when the object happens to be collected: a profiler may hold it.
            dataset.flush()
        for name, channels in (("x", _X_CHANNELS), ("y", y_channels)):
            file[name].attrs["axes"] = f"sample,channel,{axes}"
            file[name].attrs["channels"] = json.dumps(list(channels))
            file[name].attrs["units"] = json.dumps(list(channels.values()))
        for name, value in attributes.items():
            file.attrs[name] = value
    return buffer.getvalue()


def _check_pair(pair: Pair, shape: tuple[int, ...], y_channels: Mapping[str, str]) -> None:
    for name, channels in (("x", _X_CHANNELS), ("y", y_channels)):
        array = getattr(pair, name)
        expected = (len(channels), *shape)
        if array.shape != expected:
            raise ValueError(f"pair {pair.index}: expected {name} of shape {expected}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"pair {pair.index}: expected finite values in {name}, got NaN or infinity")


def _plain(value: Any, annotation: str = "") -> Any:
    """Turn a configuration into plain data."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name), str(f.type)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(item, annotation) for item in value]
    if "float" in annotation and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
