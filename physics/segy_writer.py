"""Shot records and their geometry written as SEG-Y."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics.errors import GeometryError, PhysicsError, as_array
from physics.geometry import Acquisition
from physics.segy_headers import load_segyio

_FORMATS = {"ibm": 1, "ieee": 5}
"""Sample formats, bytes 3225-3226."""
_SHORT = 2**15 - 1
"""Largest value of a two-byte header."""
_LONG = 2**31 - 1
"""Largest value of a four-byte header."""
_SCALARS = (1000, 100, 10, 1)
"""Divisors of positions: millimetres, if the header can hold them."""
_TEXT = {
    1: "SHOT RECORDS WRITTEN BY SEISPOST",
    2: "POSITIONS IN METRES, DEPTHS OF SOURCES IN BYTES 49-52",
    3: "RECEIVER GROUP ELEVATION (BYTES 41-44) IS MINUS THE DEPTH OF THE RECEIVER",
    4: "DEAD TRACES HAVE IDENTIFICATION CODE 2 (BYTES 29-30)",
}


def write_shots(
    path: str | os.PathLike[str],
    survey: Acquisition,
    records: ArrayLike,
    *,
    floats: Literal["ieee", "ibm"] = "ieee",
) -> None:
    """Write shot records as SEG-Y revision 1, positions to the millimetre if all are below 2000 km.

    Args:
        path: The file; replaced as a whole when all is written.
        survey: Geometry and sampling. 2-D surveys get y = 0.
        records: Records, shape (nsrc, nt, nrec), written in single precision.
        floats: Sample format.

    Raises:
        ValueError: If the records do not fit the survey, or the survey does not fit the format: intervals of
            whole microseconds, at most 32767 samples.
        ImportError: If segyio is not installed.

    Example:
        >>> write_shots("shots.segy", survey, d)
    """
    data: NDArray[np.float32] = as_array(records, survey.record_shape, "records", np.float32)
    interval = _check_writable(survey, floats)
    segyio = load_segyio()
    spec = segyio.spec()
    spec.format = _FORMATS[floats]
    spec.samples = np.arange(survey.nt) * (interval / 1e3)
    spec.tracecount = survey.num_sources * survey.num_receivers
    part = Path(path).with_name(f"{Path(path).name}.{os.getpid()}.part")
    try:
        with segyio.create(str(part), spec) as file:
            file.text[0] = segyio.tools.create_text_header(_TEXT)
            file.bin.update(_binary_header(segyio.BinField, survey, interval))
            _write_traces(file, segyio.TraceField, survey, data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _binary_header(names: Any, survey: Acquisition, interval: int) -> dict[int, int]:
    return {
        names.Traces: min(survey.num_receivers, _SHORT),
        names.Interval: interval,
        names.MeasurementSystem: 1,
        names.SEGYRevision: 1,
        names.TraceFlag: 1,
    }


def _write_traces(file: Any, names: Any, survey: Acquisition, data: NDArray[np.float32]) -> None:
    flat, deep = _scalar(survey, slice(-1)), _scalar(survey, slice(-1, None))
    scale = np.array([flat] * (survey.ndim - 1) + [deep])
    sources = _integers(survey.sources, scale)
    offsets = np.rint(survey.distances(horizontal=True)).astype(np.int64)
    live = np.ones(offsets.shape, np.bool_) if survey.live is None else survey.live
    common = {
        names.SourceGroupScalar: -flat,
        names.ElevationScalar: -deep,
        names.CoordinateUnits: 1,
        names.TRACE_SAMPLE_COUNT: survey.nt,
        names.TRACE_SAMPLE_INTERVAL: round(survey.dt * 1e6),
    }
    traces = np.ascontiguousarray(np.moveaxis(data, 1, 2))
    for shot in range(survey.num_sources):
        receivers = _integers(survey.receivers_of(shot), scale)
        for receiver in range(survey.num_receivers):
            trace = shot * survey.num_receivers + receiver
            file.header[trace] = common | {
                names.TRACE_SEQUENCE_LINE: trace + 1,
                names.TRACE_SEQUENCE_FILE: trace + 1,
                names.FieldRecord: shot + 1,
                names.EnergySourcePoint: shot + 1,
                names.TraceNumber: receiver + 1,
                names.TraceIdentificationCode: 1 if live[shot, receiver] else 2,
                names.offset: int(offsets[shot, receiver]),
                names.SourceX: sources[shot][0],
                names.SourceY: sources[shot][1],
                names.SourceDepth: sources[shot][2],
                names.GroupX: receivers[receiver][0],
                names.GroupY: receivers[receiver][1],
                names.ReceiverGroupElevation: -receivers[receiver][2],
            }
            file.trace[trace] = traces[shot, receiver]


def _integers(positions: NDArray[np.float64], scale: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Positions (n, ndim) as header values (x, y, z)."""
    rows = np.rint(positions * scale).astype(np.int64).tolist()
    return [(row[0], row[1] if len(row) == 3 else 0, row[-1]) for row in rows]


def _scalar(survey: Acquisition, axes: slice) -> int:
    """The finest divisor with which all positions along some axes fit into four bytes."""
    largest = max(float(np.abs(a[..., axes]).max()) for a in (survey.sources, survey.receivers))
    for scalar in _SCALARS:
        if largest * scalar <= _LONG:
            return scalar
    raise GeometryError(f"expected positions of at most {_LONG} m for SEG-Y, got {largest:g} m")


def _check_writable(survey: Acquisition, floats: str) -> int:
    """The sampling interval in whole microseconds, if the format can hold the survey."""
    if floats not in _FORMATS:
        raise PhysicsError(f"expected floats as 'ieee' or 'ibm', got {floats!r}")
    interval = round(survey.dt * 1e6)
    if not 1 <= interval <= _SHORT or abs(interval - survey.dt * 1e6) > 1e-6 * interval:
        raise PhysicsError(
            f"expected a sampling interval of whole microseconds, from 1 to {_SHORT}, for SEG-Y, "
            f"got {survey.dt * 1e6:.9g}: resample the records"
        )
    if survey.nt > _SHORT:
        raise PhysicsError(f"expected at most {_SHORT} samples a trace for SEG-Y, got {survey.nt}")
    return interval
