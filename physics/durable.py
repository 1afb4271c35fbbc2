"""Writing that survives a kill or a full disk: files by rename, lines by truncation, one writer by a lock."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def acquire_lock(path: Path) -> BinaryIO:
    """Lock a file for this process; the system releases it when the process ends, however it ends."""
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().decode(errors="replace").strip()
        file.close()
        raise BlockingIOError(
            f"expected to be the only writer of {path.parent}, but {owner} is writing to it"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    file.flush()
    return file


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that a kill or a power cut leaves the old one or the new one, never a part.

    Raises:
        OSError: If the disk is full or fails; the old file stands and no part is left.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with _full_disk_said(path, len(data)):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    _sync_folder(path.parent)


def append_durably(path: Path, line: bytes) -> None:
    """Append a line to a file in one write.

    Raises:
        OSError: If the disk is full or fails; the file is as it was.
    """
    with _full_disk_said(path, len(line)), path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(line) != len(line):
                raise OSError(f"could not append a whole line to {path}: is the disk full?")
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(size)
            raise


@contextmanager
def _full_disk_said(path: Path, size: int) -> Iterator[None]:
    """Say what was to be written and how much space there is; the system only says that it is too little."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(path.parent).free
        raise OSError(
            error.errno,
            f"the disk is full: {path.name} needs {size} bytes and {path.parent} has {free} left (or a quota "
            "is used up). What was finished is kept: free some space and run again to go on",
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
