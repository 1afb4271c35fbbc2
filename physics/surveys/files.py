"""Surveys whose positions come from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physics.config import PositionsConfig, SegySurveyConfig
from physics.errors import GeometryError
from physics.surveys.layout import Layout


def positions(config: PositionsConfig, extent: tuple[float, ...], rng: np.random.Generator) -> Layout:
    """Positions from CSV or npy files."""
    return Layout(
        _moved(read_positions(Path(config.sources)), config.origin),
        _moved(read_positions(Path(config.receivers)), config.origin),
    )


def segy(config: SegySurveyConfig, extent: tuple[float, ...], rng: np.random.Generator) -> Layout:
    """Positions from the trace headers of a SEG-Y file."""
    # segyio is an optional dependency: only a survey that comes from SEG-Y needs it.
    from physics.segy import SegyOptions, read_survey
    from physics.surveys.straighten import straighten

    # The run has its own sampling: when the file's records start does not matter here.
    options = SegyOptions(elevations=config.elevations, feet=config.feet, ignore_delay=True)
    survey = read_survey(Path(config.path), options)
    if config.straighten:
        survey = straighten(survey).survey
    return Layout(_moved(survey.sources, config.origin), _moved(survey.receivers, config.origin), survey.live)


def read_positions(path: Path) -> NDArray[np.float64]:
    """Positions [m] from a file.

    Args:
        path: ``.npy``: an array (n, ndim) or (nsrc, nrec, ndim). Otherwise text with a position a line,
            separated by commas, and optionally a first line with the names of the columns: x, y, z are taken
            in this order and others left out.

    Raises:
        GeometryError: If the file is missing or holds no positions.
    """
    if not path.is_file():
        raise GeometryError(f"expected a file of positions at {path}, got none")
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        return _read_csv(path)
    except ValueError as error:
        raise GeometryError(f"expected numbers x, (y,) z in metres in {path}, got: {error}") from None


def _read_csv(path: Path) -> NDArray[np.float64]:
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    names = [name.strip().lower() for name in lines[0].split(",")] if lines else []
    named = any(name.isidentifier() and name not in ("nan", "inf") for name in names)
    columns = [names.index(axis) for axis in "xyz" if axis in names] if named else range(len(names))
    if named and not {"x", "z"} <= set(names):
        raise ValueError(f"columns {names} without x and z")
    rows = [line.split(",") for line in lines[named:]]
    for number, row in enumerate(rows, start=1 + named):
        if len(row) != len(names):
            raise ValueError(f"{len(row)} instead of {len(names)} values in line {number}")
    return np.array([[float(row[column]) for column in columns] for row in rows])


def _moved(array: NDArray[np.float64], origin: tuple[float, ...] | None) -> NDArray[np.float64]:
    if origin is None:
        return array
    if array.ndim and len(origin) != array.shape[-1]:
        raise GeometryError(f"expected an origin of {array.shape[-1]} coordinates in metres, got {origin}")
    return array - np.array(origin)
