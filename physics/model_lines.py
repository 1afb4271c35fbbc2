"""Earth models in 2-D SEG-Y files: a trace is a column of the model, its samples go down in depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physics.config.model_file import ModelFileConfig
from physics.errors import GeometryError, PhysicsError
from physics.segy_headers import load_segyio

_AGREES = 0.01
"""Relative difference between a stated spacing and that of the headers that is passed over."""


def read_line(path: Path, config: ModelFileConfig) -> NDArray[np.float32]:
    """Read the values of a 2-D SEG-Y file, ``(traces, samples)``.

    The sample interval in the headers may state the depth spacing in metres or, as is common, in millimetres
    (in the field that counts microseconds); the midpoints (CDP X, Y) may state the trace spacing. Where they
    do and contradict the stated spacing, that is an error.

    Args:
        path: The file.
        config: The stated axes and spacing.

    Raises:
        ImportError: If segyio is not installed.
        ValueError: If the axes are not "xz", or the headers contradict the stated spacing.
    """
    segyio = load_segyio()
    if config.axes != "xz":
        raise PhysicsError(
            f"expected prior.file.axes = 'xz' for the SEG-Y file {path} (a trace goes down in depth), "
            f"got {config.axes!r}"
        )
    with segyio.open(path, ignore_geometry=True) as file:
        if config.check:
            _check_interval(path, segyio.tools.dt(file, fallback_dt=0.0), config.spacing[1])
            _check_midpoints(path, _midpoints(file, segyio.TraceField), config.spacing[0])
        return np.array(file.trace.raw[:], dtype=np.float32)


def _check_interval(path: Path, interval: float, dz: float) -> None:
    if interval <= 0.0 or any(abs(read / dz - 1.0) <= _AGREES for read in (interval, interval / 1000.0)):
        return
    raise GeometryError(
        f"expected a depth spacing of {dz:g} m in {path} as stated, got a sample interval of {interval:g} in "
        f"its headers, which reads as {interval / 1000.0:g} m (or {interval:g} m): state that spacing, or "
        "set prior.file.check = false (a section in time is no earth model)"
    )


def _midpoints(file: Any, fields: Any) -> NDArray[np.float64]:
    """Positions of the traces' midpoints [m], ``(n, 2)``; zeros where the headers do not say."""
    scale = file.attributes(fields.SourceGroupScalar)[:].astype(np.float64)
    # A negative scalar divides, a positive one multiplies, 0 means 1.
    size = np.maximum(np.abs(scale), 1.0)
    factor = np.where(scale < 0.0, 1.0 / size, size)
    return np.stack([file.attributes(field)[:] * factor for field in (fields.CDP_X, fields.CDP_Y)], axis=-1)


def _check_midpoints(path: Path, midpoints: NDArray[np.float64], dx: float) -> None:
    if not midpoints.any() or len(midpoints) < 2:
        return
    steps = np.hypot(*np.diff(midpoints, axis=0).T)
    if steps.max() > 1.5 * np.median(steps):
        raise GeometryError(
            f"expected the traces of {path} to lie evenly along one 2-D line, got steps between midpoints "
            f"from {steps.min():.4g} to {steps.max():.4g} m: cut one line out of it, or set "
            "prior.file.check = false"
        )
    if abs(steps.mean() / dx - 1.0) > _AGREES:
        raise GeometryError(
            f"expected a trace spacing of {dx:g} m in {path} as stated, got {steps.mean():.4g} m from the "
            "midpoints in its headers: state that spacing, or set prior.file.check = false"
        )
