"""Files that are either whole or absent: atomic writes, checksums, one writer a folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

_PART = ".part"


def sha256_bytes(data: bytes | memoryview) -> str:
    """SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes | memoryview) -> str:
    """Write a file so that a reader, even after a kill or a power cut, sees all of it or nothing.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and the file is then renamed
    into place. What stood there before stays whole until that moment.

    Args:
        path: file to write; its folder must exist.
        data: all of its bytes.

    Returns:
        SHA-256 of the bytes.

    Raises:
        OSError: the disk is full or the folder cannot be written; the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_PART}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return sha256_bytes(data)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_parts(folder: Path) -> None:
    """Remove the temporary files that killed writers left; call it only while holding the folder's lock."""
    for part in folder.glob(f".*{_PART}"):
        part.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one writing process; the lock ends with the process, however it ends.

    Raises:
        ValueError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"expected {folder} to be free, but another process writes into it") from None
        yield


def writes_files() -> bool:
    """Whether this process is the one that writes: the only one, or rank 0 of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def versions() -> dict[str, str]:
    """Versions of the software that a file was made with."""
    found = {"python": platform.python_version()}
    for name in ("seispost", "torch", "numpy", "h5py", "safetensors"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a source tree that was never installed
            found[name] = "unknown"
    return found
