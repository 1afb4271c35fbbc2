"""What a SEG-Y file must be before it is opened: whole, of a known sample format, of the size it claims.

Source: SEG Technical Standards Committee, SEG-Y revision 1, 2002; byte numbers in the comments count from 1.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Endian = Literal["big", "little"]

_BYTES = {1: 4, 2: 4, 3: 2, 5: 4, 8: 1}
"""Bytes a sample of the formats that are read: IBM float, two integers, IEEE float, small integer."""
_TEXT, _BINARY, _TRACE = 3200, 400, 240
_ORDER: dict[Endian, str] = {"big": ">", "little": "<"}


def load_segyio() -> ModuleType:
    """The segyio module, or an ImportError that says how to install it."""
    try:
        return import_module("segyio")
    except ImportError as error:
        raise ImportError("reading and writing SEG-Y needs segyio: pip install 'seispost[segy]'") from error


@contextmanager
def opened(path: str | os.PathLike[str], endian: Endian = "big") -> Iterator[Any]:
    """A checked SEG-Y file as segyio sees it, traces in the file's order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no whole SEG-Y file of a known sample format in this byte order.
        ImportError: If segyio is not installed.
    """
    segyio = load_segyio()
    _check(Path(path), endian)
    try:
        file = segyio.open(os.fspath(path), ignore_geometry=True, endian=endian)
    except (RuntimeError, OSError, ValueError) as error:
        raise ValueError(f"{path}: expected a SEG-Y file, got one that segyio refuses: {error}") from None
    with file:
        yield file


def _check(path: Path, endian: Endian) -> None:
    """Hold the binary header against the file's size; nothing is allocated on its word."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a SEG-Y file, got none")
    size = path.stat().st_size
    if size < _TEXT + _BINARY + _TRACE:
        raise ValueError(f"{path}: expected a SEG-Y file of at least 3840 bytes, got {size}")
    with path.open("rb") as stream:
        binary = stream.read(_TEXT + _BINARY)[_TEXT:]
    order = _ORDER[endian]
    (samples,) = struct.unpack_from(order + "H", binary, 20)  # bytes 3221-3222
    (code,) = struct.unpack_from(order + "h", binary, 24)  # bytes 3225-3226
    (extended,) = struct.unpack_from(order + "h", binary, 304)  # bytes 3505-3506
    if code not in _BYTES:
        (other,) = struct.unpack_from(_ORDER["little" if endian == "big" else "big"] + "h", binary, 24)
        hint = ": the bytes are in the other order, state that" if other in _BYTES else ""
        raise ValueError(f"{path}: expected a sample format of {sorted(_BYTES)}, got {code}{hint}")
    if samples < 1 or extended < 0:
        raise ValueError(
            f"{path}: expected samples in a trace and a number of extended text headers, got {samples} and "
            f"{extended}"
        )
    _check_size(path, size - _TEXT * (1 + extended) - _BINARY, _TRACE + samples * _BYTES[code])


def _check_size(path: Path, traces: int, each: int) -> None:
    if traces < each or traces % each:
        raise ValueError(
            f"{path}: expected whole traces of {each} bytes after the headers, as the binary header says, "
            f"got {traces} bytes: truncated, or another number of samples"
        )


def fields(file: Any) -> Callable[[str], NDArray[np.int64]]:
    """Reader of all traces' values of a header field, by segyio's name for it."""
    names = load_segyio().TraceField
    return lambda name: np.asarray(file.attributes(getattr(names, name))[:], dtype=np.int64)


def text_header(file: Any) -> str:
    """The file's first text header, 3200 characters."""
    return bytes(file.text[0]).decode("ascii", errors="replace")
