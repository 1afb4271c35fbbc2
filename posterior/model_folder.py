"""A trained model on disk: weights as safetensors, everything else as JSON, checksums beside them.

::

    model/
      config.json            schema, architecture, standardiser, shapes, channels, units, grid, versions
      weights.safetensors    tensors by name
      SHA256SUMS             `sha256sum -c SHA256SUMS` checks both

Loading parses numbers and text; it runs no code from the files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from posterior.files import sha256_bytes, sync_folder, write_atomic

SCHEMA = "seispost-model/1"
CONFIG, WEIGHTS, SUMS = "config.json", "weights.safetensors", "SHA256SUMS"


def model_files(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, bytes]:
    """The bytes of each file of a model folder; equal models give equal bytes."""
    # Copies: safetensors refuses two names for one tensor, as shared layers have.
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
    }
    text = json.dumps({"schema": SCHEMA} | dict(config), indent=1, sort_keys=True)
    files = {CONFIG: text.encode(), WEIGHTS: safetensors.torch.save(tensors)}
    return files | {SUMS: _sums(files)}


def save_model(folder: str | Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """Write a model folder as a whole: it is complete, or what stood there before still is.

    Args:
        folder: a new folder, or one that holds a model, which is replaced.
        config: plain JSON values.
        state: tensors by name.

    Returns:
        The model's SHA-256 (of its ``SHA256SUMS``).

    Raises:
        ValueError: the folder holds something else than a model.
        OSError: it could not be written.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / SUMS).is_file())):
        raise ValueError(f"expected {folder} to be new, empty or a model folder, got something else there")
    folder.parent.mkdir(parents=True, exist_ok=True)
    files = model_files(config, state)
    new, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}.part") for kind in ("new", "old"))
    try:
        new.mkdir()
        for name, data in files.items():
            write_atomic(new / name, data)
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    finally:
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
    sync_folder(folder.parent)
    return sha256_bytes(files[SUMS])


def load_model(folder: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read and check a model folder.

    Returns:
        The configuration and the tensors by name, on the CPU.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a wrong checksum, another schema, or not readable as what it claims to be.
    """
    folder = Path(folder)
    config_bytes, weights = _checked(folder)
    try:
        config = json.loads(config_bytes)
        schema = config["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG}: expected the JSON of a model, got {error!r}") from None
    if schema != SCHEMA:
        raise ValueError(f"{folder / CONFIG}: expected schema {SCHEMA!r}, got {schema!r}")
    try:
        return config, safetensors.torch.load(weights)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS}: expected safetensors, got {error}") from None


def load_weights(module: nn.Module, state: Mapping[str, Tensor], where: str | Path) -> None:
    """Copy tensors into a module after comparing every name and shape.

    Raises:
        ValueError: tensors are missing, left over or of another shape: the weights of another architecture.
    """
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    other = [name for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]]
    if missing or extra or other:
        shapes = [f"{name} {expected[name]}, got {found[name]}" for name in other[:3]]
        raise ValueError(
            f"{where}: expected the tensors of the architecture in {CONFIG}; missing {missing[:3]} "
            f"({len(missing)} in all), not expected {extra[:3]} ({len(extra)}), of another shape {shapes} "
            f"({len(other)})"
        )
    module.load_state_dict(state)


def _checked(folder: Path) -> tuple[bytes, bytes]:
    """Bytes of the configuration and the weights, both equal to their sums."""
    if not (folder / SUMS).is_file():
        raise FileNotFoundError(f"{folder}: expected a model folder with {CONFIG}, {WEIGHTS} and {SUMS}")
    contents = {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    expected, found = (folder / SUMS).read_bytes(), _sums(contents)
    if found != expected:
        lines = zip(contents, found.splitlines(), expected.splitlines(), strict=False)
        damaged = [name for name, here, there in lines if here != there] or [SUMS]
        raise ValueError(
            f"{folder}: expected sha256 {expected!r} by {SUMS}, got {found!r}: damaged {damaged}"
        )
    return contents[CONFIG], contents[WEIGHTS]


def _sums(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{sha256_bytes(data)}  {name}\n" for name, data in files.items()).encode()
