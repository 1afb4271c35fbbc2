"""Datasets on disk, written as `data/README.md` says, independently of the package; bytes autograd saves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

WritePairs = Callable[..., Path]


@pytest.fixture
def write_pairs() -> WritePairs:
    """A writer of small datasets: y is x blurred by noise, with a background beside it, in physical units."""
    return _write_pairs


def _write_pairs(
    folder: Path, *, count: int = 8, shard: int = 4, shape: tuple[int, int] = (8, 8), seed: int = 0
) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    config = {"seed": seed, "stream": folder.name, "shape": list(shape)}
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    head = {"schema": "seispost-pairs/1", "config": config, "config_hash": digest, "count": count}
    (folder / "dataset.json").write_text(json.dumps(head | {"shard_size": shard, "versions": {}}))
    lines = []
    for number, first in enumerate(range(0, count, shard)):
        path = folder / f"shard-{number:06d}.h5"
        size = min(shard, count - first)
        _write_shard(path, rng, config=text, digest=digest, first=first, size=size, shape=shape)
        lines.append(manifest_line(path, first=first, count=size, digest=digest))
    (folder / "manifest.jsonl").write_text("".join(lines))
    return folder


def manifest_line(path: Path, *, first: int, count: int, digest: str) -> str:
    data = path.read_bytes()
    line = {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return json.dumps(line | {"first": first, "count": count, "failed": [], "config_hash": digest}) + "\n"


def _write_shard(path, rng, *, config, digest, first, size, shape) -> None:
    x = 1e-8 * rng.normal(size=(size, 1, *shape))
    image = 3.0e8 * x + rng.normal(size=x.shape)
    background = 2e-7 + 1e-8 * rng.normal(size=x.shape)
    arrays = {
        "x": x.astype(np.float32),
        "y": np.concatenate([image, background], axis=1).astype(np.float32),
        "index": np.arange(first, first + size),
        "snr_db": np.full(size, 12.0, np.float32),
        "depth_weight": np.linspace(0.1, 1.0, shape[-1], dtype=np.float32),
        "scored": np.ones(shape, np.uint8),
    }
    names = {
        "x": (["squared-slowness perturbation"], ["s^2/m^2"]),
        "y": (["migrated image", "background squared slowness"], ["1", "s^2/m^2"]),
    }
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, fletcher32=True)
        for name, (channels, units) in names.items():
            file[name].attrs.update({"axes": "sample,channel,x,z", "channels": json.dumps(channels)})
            file[name].attrs["units"] = json.dumps(units)
        file.attrs.update({"schema": "seispost-pairs/1", "config": config, "config_hash": digest, "seed": 0})
        file.attrs.update({"first": first, "count": size, "spacing": (12.5, 12.5), "origin": (0.0, 0.0)})
        file.attrs["versions"] = "{}"


@pytest.fixture
def saved_bytes() -> Callable[..., int]:
    """Bytes that autograd keeps for the backward pass of ``call(*arguments)``, parameters not counted."""
    return _saved_bytes


def _saved_bytes(call: Callable[..., Any], parameters: Iterable[nn.Parameter], *arguments: Tensor) -> int:
    """Each storage counts once."""
    own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        results = call(*arguments)
        assert results[0].requires_grad
    return sum(kept.values())
