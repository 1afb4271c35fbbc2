"""Lines and volumes as SEG-Y files, through segyio (``pip install 'seispost[segy]'``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posterior.interop.segy_file import fields, load_segyio, opened, text_header
from posterior.interop.segy_grid import Sampling, SegyGrid, arrange, in_headers, sampling, with_lines
from posterior.interop.segy_read import SegyUnits, SegyVolume, read_segy

__all__ = ["SegyGrid", "SegyUnits", "SegyVolume", "read_segy", "write_segy"]

_FORMATS = {"ieee": 5, "ibm": 1}
"""Sample formats, bytes 3225-3226."""
_MOST = 2**15 - 1
"""Samples that a header of two bytes can count."""


def write_segy(
    path: str | os.PathLike[str],
    values: ArrayLike,
    grid: SegyGrid,
    *,
    like: str | os.PathLike[str] | None = None,
    floats: Literal["ieee", "ibm"] = "ieee",
    title: str = "",
) -> None:
    r"""Write a line or a volume as SEG-Y revision 1, as a whole or not at all.

    Positions go to CDP X and Y (bytes 181-188), to the millimetre if all are below 2000 km; inline and
    crossline to bytes 189-196. A depth interval goes, in millimetres or else in metres, where a time's would
    in microseconds; the text header says which. IEEE floats keep every bit of a float32; IBM floats are off
    by a relative :math:`2^{-20}` at most.

    With ``like``, every header, the traces' order and the text are those of that file, but for what the
    samples are: format, count, interval, first sample, a line of text about them and one with the title.

    Args:
        path: The file; replaced when all is written.
        values: (nx, nz) or (nx, ny, nz), real and finite.
        grid: Where they lie; with ``like`` only its vertical axis and its shape count.
        like: A survey's file with one trace a place, in big-endian order.
        floats: Sample format.
        title: What the values are, with their unit; one line.

    Raises:
        ValueError: If the values do not fit the grid or the survey, or a header cannot hold the grid.
        ImportError: If segyio is not installed.

    Example:
        >>> grid = SegyGrid.regular((3, 50), (25.0, 10.0), (0.0, 0.0))
        >>> write_segy("std.sgy", std, grid, like="survey.sgy")  # doctest: +SKIP
    """
    data = _checked(values, grid)
    axis = sampling(grid)
    with opened(like) if like is not None else nullcontext() as survey:
        order = _order(survey, grid.shape, str(like))
        with _created(Path(path), data, floats, survey) as file:
            _write_headers(file, grid, axis, survey, title)
            for number, place in enumerate(order):
                # A copy, for segyio turns what it is given into IBM floats in place.
                file.trace[number] = data[place].copy()


def _checked(values: ArrayLike, grid: SegyGrid) -> NDArray[np.float32]:
    """The values as traces (n, nz)."""
    array = np.asarray(values)
    if array.shape[:-1] != grid.shape or not array.size or array.shape[-1] > _MOST:
        raise ValueError(
            f"expected values on {grid.shape} places with 1 to {_MOST} samples each, got {array.shape}"
        )
    if array.dtype.kind not in "fiu":
        raise ValueError(f"expected real values, finite in single precision, got {array.dtype}")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if not np.isfinite(single).all():
        bad = int((~np.isfinite(single)).sum())
        raise ValueError(f"expected real values, finite in single precision, got {bad} that are not")
    return single.reshape(-1, array.shape[-1])


def _order(survey: Any, shape: tuple[int, ...], name: str) -> NDArray[np.intp]:
    """Which place each trace of the new file shows, places counted row by row."""
    if survey is None:
        return np.arange(int(np.prod(shape)))
    field = fields(survey)
    traces = arrange(field("INLINE_3D"), field("CROSSLINE_3D"), name)
    if traces.shape != shape:
        raise ValueError(f"expected values on the places of {name}, {traces.shape}, got {shape}")
    return np.argsort(traces.ravel())


@contextmanager
def _created(path: Path, data: NDArray[np.float32], floats: str, survey: Any) -> Iterator[Any]:
    """A new file under another name, renamed when all went well and removed otherwise."""
    if floats not in _FORMATS:
        raise ValueError(f"expected floats {' or '.join(_FORMATS)}, got {floats!r}")
    segyio = load_segyio()
    spec = segyio.spec()
    spec.format = _FORMATS[floats]
    spec.samples = np.arange(data.shape[1], dtype=np.float64)
    spec.tracecount = len(data)
    spec.ext_headers = survey.ext_headers if survey is not None else 0
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with segyio.create(str(part), spec) as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write_headers(file: Any, grid: SegyGrid, axis: Sampling, survey: Any, title: str) -> None:
    segyio = load_segyio()
    names, keys = segyio.BinField, segyio.TraceField
    if survey is None:
        file.text[0] = segyio.tools.create_text_header(
            {1: f"SEISPOST: VALUES ARE {title}"[:76], 2: axis.statement}
        )
        file.bin.update({names.SortingCode: 4, names.MeasurementSystem: 1, names.SEGYRevision: 1})
        file.bin.update({names.TraceFlag: 1, names.Traces: 1})
        _write_places(file, keys, grid)
    else:
        own = {name: file.bin[name] for name in (names.Samples, names.Format)}
        for number in range(1, 1 + survey.ext_headers):
            file.text[number] = survey.text[number]
        file.text[0] = with_lines(text_header(survey), axis.statement, title)
        file.bin = survey.bin
        file.bin.update(own)
        file.header = survey.header
    file.bin.update({names.Interval: axis.interval})
    vertical = {
        keys.TRACE_SAMPLE_COUNT: len(file.samples),
        keys.TRACE_SAMPLE_INTERVAL: axis.interval,
        keys.DelayRecordingTime: axis.delay,
        keys.ScalarTraceHeader: axis.scalar,
    }
    for number in range(file.tracecount):
        file.header[number].update(vertical)


def _write_places(file: Any, keys: Any, grid: SegyGrid) -> None:
    """Headers of a file without a survey to take them from."""
    scalar, x, y = in_headers(grid.x.ravel(), grid.y.ravel())
    lines = zip(grid.inline.ravel(), grid.crossline.ravel(), x, y, strict=True)
    for number, (inline, crossline, east, north) in enumerate(lines):
        file.header[number] = {
            keys.TRACE_SEQUENCE_LINE: number + 1,
            keys.TRACE_SEQUENCE_FILE: number + 1,
            keys.FieldRecord: int(inline),
            keys.CDP: int(crossline),
            keys.TraceIdentificationCode: 1,
            keys.SourceGroupScalar: scalar,
            keys.CoordinateUnits: 1,
            keys.CDP_X: int(east),
            keys.CDP_Y: int(north),
            keys.INLINE_3D: int(inline),
            keys.CROSSLINE_3D: int(crossline),
        }
