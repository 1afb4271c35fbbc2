"""The C library's memory allocator, told to keep what training will ask for again."""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
_LIMIT = 2**30


def keep_freed_memory() -> bool:
    """Let freed memory stay with this process rather than return to the system at once; True if it could.

    A reversible chain frees and asks for the same few hidden images at every layer. By default glibc hands
    the top of the heap back each time, and the system clears every page again: up to a third of a training
    step on a processor. The process then stays as large as it once was. Other C libraries are left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_TRIM_THRESHOLD, _LIMIT) and mallopt(_MMAP_THRESHOLD, _LIMIT))
