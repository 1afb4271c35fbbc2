"""What the headers of a SEG-Y file say of a survey: positions, shots, live traces, sampling.

Source: SEG Technical Standards Committee, SEG-Y revision 1, 2002; byte numbers in the comments count from 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from physics.errors import GeometryError, PhysicsError, UnitError
from physics.geometry import Acquisition

Field = Callable[[str], NDArray[np.int64]]
"""All traces' values of a header field, by segyio's name for it."""

_METRES_PER_FOOT = 0.3048
_FEET = 2
"""Measurement system of the binary header, bytes 3255-3256."""
_LENGTHS = (0, 1)
"""Coordinate units, bytes 89-90, that are lengths (0: not set)."""
_DEAD = (2, 3)
"""Trace identification codes, bytes 29-30: dead, dummy."""
_AUXILIARY = (4, 5, 6, 7, 8, 9, 10, 18, 19, 20, 21, 22)
"""Codes of traces that no receiver recorded: time break, uphole, sweep, timing, gun signatures, vibrators."""


@final
@dataclass(frozen=True, kw_only=True)
class SegyOptions:
    """How to read what the standard leaves open, or what a file gets wrong."""

    elevations: Literal["up", "down"] = "up"
    """Whether elevation headers point up, as the standard says, or hold depths, as JUDI writes them."""
    feet: bool = False
    """Convert positions from feet."""
    dt: float | None = None
    """Sampling interval [s], instead of what the headers say."""
    ignore_delay: bool = False
    """Take the first sample as time zero whatever the recording delay says."""
    endian: Literal["big", "little"] = "big"
    """Byte order; the standard's is big."""


def load_segyio() -> ModuleType:
    """The segyio module, or an ImportError that says how to install it."""
    try:
        return import_module("segyio")
    except ImportError as error:
        raise ImportError("reading and writing SEG-Y needs segyio: pip install 'seispost[segy]'") from error


class Table(NamedTuple):
    """Which trace of the file is receiver r of shot s."""

    survey: Acquisition
    traces: NDArray[np.int64]
    """Trace indices, shape (nsrc, nrec); -1 where there is none, or a dead one."""


def make_table(field: Field, *, interval: int, system: int, nt: int, options: SegyOptions) -> Table:
    """The survey that the headers describe.

    Args:
        field: The trace headers.
        interval: Sampling interval of the binary header [microseconds].
        system: Measurement system of the binary header.
        nt: Samples of a trace.
        options: How to read them.

    Raises:
        ValueError: If the headers contradict themselves, or describe no shot records in lengths.
    """
    _check_units(field, system, options)
    dt = _sampling_interval(interval, field("TRACE_SAMPLE_INTERVAL"), options)
    _check_delay(field, options)
    codes = field("TraceIdentificationCode")
    kept = np.flatnonzero(~np.isin(codes, _AUXILIARY))
    if not kept.size:
        raise GeometryError(f"expected seismic traces, got {len(codes)} traces, none of them seismic")
    sources, receivers = (array[kept] for array in _positions(field, options))
    live = ~np.isin(codes[kept], _DEAD)
    members = _shots(field("FieldRecord")[kept], sources)
    if np.ptp(np.vstack([sources, receivers])[:, 1]) == 0.0:
        sources, receivers = sources[:, [0, 2]], receivers[:, [0, 2]]
    members = [m for m in members if live[m].any()]
    if not members:
        raise GeometryError(f"expected live traces, got {len(codes)} traces, all of them dead")
    slots = _fill(members)
    present = slots.occupied & live[slots.traces]
    survey = Acquisition(sources[[m[0] for m in members]], receivers[slots.traces], dt, nt, present)
    return Table(survey, np.where(present, kept[slots.traces], -1))


class _Slots(NamedTuple):
    """A rectangle of traces, shots by receivers; where a shot is short, its last trace stands in."""

    traces: NDArray[np.intp]
    occupied: NDArray[np.bool_]


def _fill(members: list[NDArray[np.intp]]) -> _Slots:
    longest = max(len(m) for m in members)
    traces = np.stack([np.pad(m, (0, longest - len(m)), mode="edge") for m in members])
    return _Slots(traces, np.arange(longest) < np.array([len(m) for m in members])[:, None])


def _shots(record: NDArray[np.int64], sources: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Traces of each shot, in the file's order: those of one field record and one source position."""
    keys = np.column_stack([record, sources])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.ravel()
    order = np.argsort(inverse, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    return [groups[i] for i in np.argsort(first)]


def _positions(field: Field, options: SegyOptions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sources and receivers of all traces, shape (n, 3) [m], depth positive down."""
    flat = {name: field(name) for name in ("SourceX", "SourceY", "GroupX", "GroupY")}
    traces = len(flat["GroupX"])
    if traces > 1 and not (flat["GroupX"].any() or flat["GroupY"].any() or field("offset").any()):
        raise GeometryError(
            f"expected positions of receivers, got GroupX, GroupY and offset zero in all {traces} traces: "
            f"looks like a stacked section, or headers without geometry"
        )
    scalar, heights = field("SourceGroupScalar"), field("ElevationScalar")
    down = 1.0 if options.elevations == "down" else -1.0
    source_depth = _scaled(field("SourceDepth") + down * field("SourceSurfaceElevation"), heights)
    receiver_depth = _scaled(down * field("ReceiverGroupElevation"), heights)
    unit = _METRES_PER_FOOT if options.feet else 1.0
    x = {name: _scaled(values, scalar) for name, values in flat.items()}
    sources = np.column_stack([x["SourceX"], x["SourceY"], source_depth])
    receivers = np.column_stack([x["GroupX"], x["GroupY"], receiver_depth])
    return unit * sources, unit * receivers


def _scaled(values: NDArray[Any], scalar: NDArray[np.int64]) -> NDArray[np.float64]:
    """Header values times a positive scalar, or divided by a negative one's size; zero means one."""
    size = np.maximum(np.abs(scalar), 1).astype(np.float64)
    return np.where(scalar < 0, values / size, values * size)


def _check_units(field: Field, system: int, options: SegyOptions) -> None:
    units = field("CoordinateUnits")
    angles = np.flatnonzero(~np.isin(units, _LENGTHS))
    if angles.size:
        raise UnitError(
            f"expected coordinates as lengths (CoordinateUnits 0 or 1), got {units[angles[0]]} in trace "
            f"{angles[0]}: these are angles, project them to metres first"
        )
    if system == _FEET and not options.feet:
        raise UnitError(
            "expected positions in metres, got a file in feet (measurement system 2): "
            "read it with SegyOptions(feet=True) to convert"
        )


def _check_delay(field: Field, options: SegyOptions) -> None:
    delays = field("DelayRecordingTime")  # bytes 109-110
    late = np.flatnonzero(delays)
    if late.size and not options.ignore_delay:
        raise PhysicsError(
            f"expected records that start at time zero, got a delay of {delays[late[0]]} ms in trace "
            f"{late[0]} and {late.size - 1} more: shift the traces, or read them with "
            f"SegyOptions(ignore_delay=True)"
        )


def _sampling_interval(binary: int, traces: NDArray[np.int64], options: SegyOptions) -> float:
    """The interval [s] of the binary (bytes 3217-3218) or the trace headers (117-118), if they agree."""
    if options.dt is not None:
        return options.dt
    found = sorted({int(value) for value in (binary, *np.unique(traces)) if value > 0})
    if len(found) != 1:
        raise PhysicsError(
            f"expected one sampling interval, got {binary} microseconds in the binary header and "
            f"{np.unique(traces).tolist()} in the trace headers: give the right one as SegyOptions(dt=...)"
        )
    return found[0] / 1e6
