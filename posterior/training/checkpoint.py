"""Training checkpoints: whole or absent, each with its checksum; a kill costs no more than the last steps."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch

from posterior.files import remove_parts, sha256_bytes, write_atomic

_NAME = re.compile(r"checkpoint-(\d{9})\.pt")


@final
class Checkpoints:
    """The last few checkpoints of a run in one folder.

    Each is a single file beside its SHA-256. The sum is written first, so a checkpoint that can be seen has
    one; a file whose bytes do not fit its sum never counts. Loading runs no code (``weights_only``).

    Args:
        folder: the folder; made if need be.
        keep: number of checkpoints that stay.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder, self._keep = folder, keep
        folder.mkdir(parents=True, exist_ok=True)

    def paths(self) -> list[Path]:
        """Checkpoints that are there, good or damaged, oldest first."""
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def save(self, iteration: int, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint and remove those beyond the number to keep.

        Args:
            iteration: number of steps done.
            state: tensors, numbers, strings and plain containers of them.

        Raises:
            OSError: it could not be written; the earlier ones are untouched.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        data = buffer.getbuffer()
        path = self.folder / f"checkpoint-{iteration:09d}.pt"
        write_atomic(_sidecar(path), _sum_line(path, data))
        write_atomic(path, data)
        for old in self.paths()[: -self._keep]:
            old.unlink()
            _sidecar(old).unlink(missing_ok=True)
        return path

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest checkpoint whose bytes fit its sum; None when there has been none.

        A damaged one is passed over with a warning.

        Raises:
            ValueError: there are checkpoints, but every one is damaged.
        """
        paths = self.paths()
        for path in reversed(paths):
            try:
                return path, load_checkpoint(path)
            except ValueError as error:
                warnings.warn(f"{error}; going back to the one before", stacklevel=2)
        if paths:
            raise ValueError(f"{self.folder}: expected a whole checkpoint, but all {len(paths)} are damaged")
        return None

    def tidy(self) -> None:
        """Remove what killed processes left half written."""
        remove_parts(self.folder)
        for sidecar in self.folder.glob("*.pt.sha256"):
            if not sidecar.with_suffix("").exists():
                sidecar.unlink()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint after comparing it with its checksum.

    Raises:
        ValueError: truncated, changed, or without its sum.
    """
    if not _sidecar(path).exists():
        raise ValueError(f"{path}: expected its sum in {_sidecar(path).name} beside it, got none")
    data, expected = path.read_bytes(), _sidecar(path).read_bytes()
    if (found := _sum_line(path, data)) != expected:
        raise ValueError(f"{path}: expected sha256 {expected!r}, got {found!r} (damaged?)")
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def check_same_run(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse to go on with the checkpoint of another run.

    Args:
        folder: where the checkpoint lies.
        there: what the checkpoint's run was: settings, data and architecture by dotted name.
        here: what this run is.

    Raises:
        ValueError: they differ; the message names each difference.
    """
    names = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    if names:
        lines = [f"{name}: {there.get(name)!r} there, {here.get(name)!r} here" for name in names[:8]]
        more = f"; and {len(names) - 8} more" if len(names) > 8 else ""
        raise ValueError(
            f"{folder} holds another run ({'; '.join(lines)}{more}): choose another folder, or remove it"
        )


def _sum_line(path: Path, data: bytes | memoryview) -> bytes:
    """What the sidecar of a checkpoint with these bytes says, in the form of ``sha256sum``."""
    return f"{sha256_bytes(data)}  {path.name}\n".encode()


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
