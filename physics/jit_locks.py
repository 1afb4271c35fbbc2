"""Locks of Devito's compiler cache that a killed process left behind.

Devito compiles under a lock file that only its owner removes, and waits for it without end and without a
word. A process killed while it compiles would so block every later run. The owner keeps the file open: a lock
that no process has open is stale.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def clear_stale_locks(cache: Path | None = None) -> int:
    """Remove the locks of the compiler cache that no running process holds.

    Args:
        cache: Folder of the cache; Devito's own when None.

    Returns:
        Locks removed; 0 where the system does not tell which files are open (no ``/proc``).
    """
    locks = list((cache or _devito_cache()).glob("*/lock"))
    if not locks or not Path("/proc/self/fd").is_dir():
        return 0
    held = _open_files()
    stale = [lock for lock in locks if lock.resolve() not in held]
    for lock in stale:
        # Another process may clear it at the same time.
        lock.unlink(missing_ok=True)
    return len(stale)


def _devito_cache() -> Path:
    from physics._devito import devito  # here, because the import takes a second

    return Path(devito.configuration["compiler"].get_codepy_dir())


def _open_files() -> set[Path]:
    """Files that the processes of this user have open."""
    files = set()
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        # Processes end, and other users' may not be looked at.
        with suppress(OSError):
            for descriptor in descriptors.iterdir():
                with suppress(OSError):
                    files.add(Path(os.readlink(descriptor)))
    return files
