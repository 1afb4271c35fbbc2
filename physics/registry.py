"""Registry of public earth models: where they are, under which licence, and what their bytes must be.

A file is used only when its sha256 agrees. It is looked for in the user's cache, in the folder that
``SEISPOST_DATA`` names, and in ``../shared/data`` beside the current folder and beside the project; only then
is it downloaded into the cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
from numpy.typing import NDArray

_LOGGER = logging.getLogger(__name__)
_PROJECT = Path(__file__).resolve().parent.parent
_TO_SI = {"m/s": 1.0, "km/s": 1000.0}
_RETRIES = 3


class ModelUnavailable(OSError):  # noqa: N818 - it names a condition to handle, and reads as one
    """A public earth model is neither on this machine nor can it be downloaded."""


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One public earth model: a raw binary file of P velocity with axes (x, z), depth fastest."""

    url: str
    licence: str
    sha256: str
    shape: tuple[int, int]
    spacing: float
    """Grid spacing, the same on both axes [m]."""
    dtype: str
    unit: str
    """Unit of the file's values; :func:`load_model` returns m/s."""
    local: tuple[str, ...]
    """Names under which the file may lie on this machine; the first is its name in the cache."""


def list_models() -> dict[str, ModelEntry]:
    """Read the registry.

    Example:
        >>> list_models()["marmousi"].shape
        (1601, 401)
    """
    entries = json.loads(Path(__file__).with_name("models.json").read_text(encoding="utf-8"))
    return {
        name: ModelEntry(**{**entry, "shape": tuple(entry["shape"]), "local": tuple(entry["local"])})
        for name, entry in entries.items()
    }


def load_model(name: str, *, quiet: bool = False) -> tuple[NDArray[np.float32], float]:
    """Load a public earth model, from this machine if it is there, else by download.

    Args:
        name: Name in the registry.
        quiet: Show no progress bar while downloading.

    Returns:
        Velocity ``(nx, nz)`` in m/s (converted from the file's unit, which the registry states), and the grid
        spacing in metres.

    Raises:
        ValueError: If the registry has no such model.
        ModelUnavailable: If the file is neither here nor can be downloaded.
    """
    entries = list_models()
    if name not in entries:
        raise ValueError(f"expected an earth model of the registry ({', '.join(entries)}), got {name!r}")
    entry = entries[name]
    path = _find(entry) or _download(name, entry, quiet=quiet)
    values = np.fromfile(path, dtype=entry.dtype).reshape(entry.shape)
    return (values * _TO_SI[entry.unit]).astype(np.float32), entry.spacing


def resolve_model(model: str, spacing: float | None = None) -> tuple[NDArray[np.float32], float]:
    """Load the earth model that a configuration names: an ``.npy`` file, or an entry of the registry.

    Args:
        model: Name in the registry, or path to an ``.npy`` file of velocity ``(nx, nz)`` [m/s].
        spacing: Grid spacing of the file [m]; the registry knows that of its own models.

    Returns:
        Velocity ``(nx, nz)`` [m/s] and grid spacing [m].

    Raises:
        ValueError: If the spacing is missing or contradicts the registry, or the file holds no such field.
        FileNotFoundError: If there is no such file.
        ModelUnavailable: As :func:`load_model`.
    """
    if not model.endswith(".npy"):
        vp, known = load_model(model)
        if spacing not in (None, known):
            raise ValueError(
                f"model_spacing: expected {known} m, as the registry has it for {model!r}, or none, "
                f"got {spacing} m"
            )
        return vp, known
    if spacing is None or not spacing > 0.0:
        raise ValueError(f"model_spacing: expected the grid spacing of {model} in metres, got {spacing}")
    vp = np.load(model, allow_pickle=False)
    if vp.ndim != 2 or vp.dtype.kind != "f":
        raise ValueError(f"expected {model} to hold floats of shape (nx, nz), got {vp.dtype} {vp.shape}")
    return vp.astype(np.float32), spacing


def _cache() -> Path:
    return Path(pooch.os_cache("seispost"))


def _folders() -> Iterator[Path]:
    """Folders to search, in this order; those that do not exist are skipped."""
    named = os.environ.get("SEISPOST_DATA")
    beside = [base.parent / "shared" / "data" for base in (Path.cwd(), _PROJECT)]
    yield from filter(Path.is_dir, dict.fromkeys([_cache(), *([Path(named)] if named else []), *beside]))


def _find(entry: ModelEntry) -> Path | None:
    for folder in _folders():
        for path in filter(Path.is_file, (folder / file for file in entry.local)):
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found == entry.sha256:
                return path
            _LOGGER.warning("%s is not used: expected sha256 %s, got %s", path, entry.sha256, found)
    return None


def _download(name: str, entry: ModelEntry, *, quiet: bool) -> Path:
    file = entry.local[0]
    shelf = pooch.create(
        path=_cache(),
        base_url="",
        registry={file: f"sha256:{entry.sha256}"},
        urls={file: entry.url},
        retry_if_failed=_RETRIES,
    )
    try:
        return Path(shelf.fetch(file, downloader=pooch.HTTPDownloader(progressbar=not quiet, timeout=30)))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            f"earth model {name!r} is not on this machine and could not be downloaded from {entry.url} "
            f"({error}); put the file {file} (sha256 {entry.sha256}) into {_cache()} "
            "or into a folder that SEISPOST_DATA names"
        ) from error
