"""Lines and volumes read from SEG-Y files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from posterior.interop.segy_file import Endian, fields, load_segyio, opened, text_header
from posterior.interop.segy_grid import UNITS, Domain, SegyGrid, arrange, scaled, stated_unit


@final
@dataclass(frozen=True, kw_only=True)
class SegyUnits:
    """What the headers of foreign files leave open."""

    domain: Domain | None = None
    """What the samples count; None takes the text header's word, which only files written here give."""
    metres: bool = False
    """Whether the sample interval of a depth file is in metres rather than millimetres."""
    endian: Endian = "big"
    """Byte order; the standard's is big."""


@final
@dataclass(frozen=True, eq=False)
class SegyVolume:
    """What a SEG-Y file holds: values (nx, nz) or (nx, ny, nz), where they lie, and its text header."""

    values: NDArray[np.float32]
    grid: SegyGrid
    text: str


_UNITS = SegyUnits()


def read_segy(path: str | os.PathLike[str], units: SegyUnits = _UNITS) -> SegyVolume:
    """Read a line or a volume: models, images, what :func:`posterior.interop.segy.write_segy` wrote.

    A file in which both inline and crossline vary is a volume, and must have each of their pairs once, in any
    order; any other is a line, its traces in the file's order.

    Args:
        path: The file: IBM or IEEE floats, or integers.
        units: What its headers leave open.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no whole SEG-Y file, says not what its samples count, holds an incomplete
            volume, or values that are not finite.
        ImportError: If segyio is not installed.

    Example:
        >>> model = read_segy("vp.sgy", SegyUnits(domain="depth"))  # doctest: +SKIP
    """
    with opened(path, units.endian) as file:
        field = fields(file)
        traces = arrange(field("INLINE_3D"), field("CROSSLINE_3D"), str(path))
        text = text_header(file)
        interval, first, domain = _vertical(file, text, units, str(path))
        values = np.asarray(file.trace.raw[:], np.float32)[traces]
        scalar = field("SourceGroupScalar")
        grid = SegyGrid(
            field("INLINE_3D")[traces],
            field("CROSSLINE_3D")[traces],
            scaled(field("CDP_X"), scalar)[traces],
            scaled(field("CDP_Y"), scalar)[traces],
            interval,
            first,
            domain,
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"{path}: expected finite samples, got {int((~np.isfinite(values)).sum())} that are not"
        )
    return SegyVolume(values, grid, text)


def _vertical(file: Any, text: str, units: SegyUnits, name: str) -> tuple[float, float, Domain]:
    """Interval and first sample in metres or seconds, and the domain."""
    segyio = load_segyio()
    unit = stated_unit(text)
    if units.domain is not None:
        unit = "us" if units.domain == "time" else "m" if units.metres else "mm"
    if unit is None:
        raise ValueError(
            f"{name}: expected to be told whether its samples count depth or time, for its text header does "
            "not say"
        )
    field = fields(file)
    intervals = {int(file.bin[segyio.BinField.Interval]), *field("TRACE_SAMPLE_INTERVAL").tolist()} - {0}
    firsts = set(scaled(field("DelayRecordingTime"), field("ScalarTraceHeader")).tolist())
    if len(intervals) != 1 or min(intervals) < 0 or len(firsts) != 1:
        raise ValueError(
            f"{name}: expected one sample interval and one first sample in all traces, got intervals "
            f"{sorted(intervals)[:5]} and first samples {sorted(firsts)[:5]}"
        )
    first = firsts.pop()
    domain: Domain = "time" if unit == "us" else "depth"
    return intervals.pop() / UNITS[unit], first if domain == "depth" else first / 1e3, domain
