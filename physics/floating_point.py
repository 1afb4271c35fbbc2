"""Keep the caller's floating-point state: Devito's compiled code switches subnormal numbers off."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager

_ENVIRONMENT_BYTES = 256
"""More than any C library's fenv_t takes (32 on x86-64 with glibc)."""


def _libm() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("m")
    return ctypes.CDLL(name) if name else None


_LIBM = _libm()


@contextmanager
def kept_floating_point_state() -> Iterator[None]:
    """Restore rounding, flush-to-zero and exception flags of this thread on leaving.

    The compiled functions flush subnormal numbers to zero, which makes them fast and would make the rest of
    the process wrong in silence.
    """
    if _LIBM is None:
        yield
        return
    state = ctypes.create_string_buffer(_ENVIRONMENT_BYTES)
    _LIBM.fegetenv(state)
    try:
        yield
    finally:
        _LIBM.fesetenv(state)
