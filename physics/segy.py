"""Shot records and their geometry in SEG-Y files, through segyio (``pip install 'seispost[segy]'``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physics.errors import PhysicsError, as_array
from physics.geometry import Acquisition
from physics.segy_headers import SegyOptions, Table, load_segyio, make_table
from physics.segy_writer import write_shots

__all__ = ["SegyOptions", "read_shots", "read_survey", "write_shots"]

_DEFAULTS = SegyOptions()


def read_survey(path: str | os.PathLike[str], options: SegyOptions = _DEFAULTS) -> Acquisition:
    """Read the survey that a SEG-Y file's headers describe.

    A shot is what shares field record and source position. Shots with fewer traces are filled up with dead
    ones; shots without a live trace are left out. If all y are equal the survey is in 2-D, (x, z); a crooked
    line is made 2-D by `physics.surveys.straighten`.

    Args:
        path: The file.
        options: How to read what the standard leaves open.

    Raises:
        ValueError: If this is no SEG-Y file, or its headers describe no shot records in metres.
        ImportError: If segyio is not installed.

    Example:
        >>> survey = read_survey("shots.segy")
    """
    with _opened(path, options) as file:
        return _table(file, options).survey


def read_shots(
    path: str | os.PathLike[str], options: SegyOptions = _DEFAULTS, *, shots: Any = None
) -> tuple[Acquisition, NDArray[np.float32]]:
    """Read shot records with their geometry; see `read_survey`.

    Args:
        path: The file.
        options: How to read what the standard leaves open.
        shots: Indices, slice or mask of the shots to read; all by default.

    Returns:
        The survey and the records (nsrc, nt, nrec); dead traces are zero.

    Raises:
        ValueError: As `read_survey`, or if a sample is not finite.

    Example:
        >>> survey, d = read_shots("shots.segy", shots=slice(0, 10))
    """
    with _opened(path, options) as file:
        survey, traces = _table(file, options)
        if shots is not None:
            survey, traces = survey.select(shots), np.atleast_2d(traces[shots])
        records = np.zeros(survey.record_shape, np.float32)
        for shot, receiver in np.argwhere(traces >= 0):
            records[shot, :, receiver] = file.trace.raw[int(traces[shot, receiver])]
    return survey, as_array(records, records.shape, f"records in {path}", np.float32)


@contextmanager
def _opened(path: str | os.PathLike[str], options: SegyOptions) -> Iterator[Any]:
    """The file as segyio sees it, or an error that names it."""
    segyio = load_segyio()
    if not Path(path).is_file():
        raise FileNotFoundError(f"expected a SEG-Y file at {path}, got none")
    try:
        file = segyio.open(str(path), ignore_geometry=True, endian=options.endian)
    except (RuntimeError, OSError, ValueError) as error:
        raise PhysicsError(
            f"expected a SEG-Y file in {options.endian}-endian order at {path}, got: {error}"
        ) from None
    with file:
        yield file


def _table(file: Any, options: SegyOptions) -> Table:
    segyio = load_segyio()

    def field(name: str) -> NDArray[np.int64]:
        return np.asarray(file.attributes(getattr(segyio.TraceField, name))[:], dtype=np.int64)

    return make_table(
        field,
        interval=int(file.bin[segyio.BinField.Interval]),
        system=int(file.bin[segyio.BinField.MeasurementSystem]),
        nt=len(file.samples),
        options=options,
    )
