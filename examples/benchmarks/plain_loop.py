"""The wave equation as a plain loop in C: what a compiler makes of the stencil and nothing else."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physics.accuracy import second_derivative_weights

FLAGS = ("-O3", "-march=native", "-ffast-math")
REACH = 4
LINE = 16
"""Floats of a cache line, of which rows are a whole number."""

SOURCE = r"""
void loop(float *restrict even, float *restrict odd, const float *restrict scale, int nx, int nz, int nt)
{
    const float c0 = %s, c1 = %s, c2 = %s, c3 = %s, c4 = %s;
    for (int t = 0; t < nt; t++) {
        const float *restrict u = t & 1 ? odd : even;
        float *restrict v = t & 1 ? even : odd;
        for (int i = 4; i < nx - 4; i++)
            for (int j = 4; j < nz - 4; j++) {
                const int k = i * nz + j;
                const float laplacian = 2 * c0 * u[k]
                    + c1 * (u[k - 1] + u[k + 1] + u[k - nz] + u[k + nz])
                    + c2 * (u[k - 2] + u[k + 2] + u[k - 2 * nz] + u[k + 2 * nz])
                    + c3 * (u[k - 3] + u[k + 3] + u[k - 3 * nz] + u[k + 3 * nz])
                    + c4 * (u[k - 4] + u[k + 4] + u[k - 4 * nz] + u[k + 4 * nz]);
                v[k] = 2 * u[k] - v[k] + scale[k] * laplacian;
            }
    }
}
"""


def plain_loop(cells: int, steps: int, *, aligned: bool = False) -> Callable[[], object]:
    """A call that moves a wavefield of ``cells`` squared by so many steps of order 8: no source, no receiver.

    Args:
        cells: Cells along each axis that are updated.
        steps: Time steps.
        aligned: Begin every row's updated cells at a cache line, as this package does; otherwise memory is
            as it comes.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "loop.c"), Path(folder, "loop.so")
        source.write_text(SOURCE % tuple(f"{weight!r}f" for weight in second_derivative_weights(2 * REACH)))
        subprocess.run(["gcc", *FLAGS, "-shared", "-fPIC", source, "-o", library], check=True)
        loop = ctypes.CDLL(str(library)).loop
    rows, width = cells + 2 * REACH, -(-(cells + 2 * REACH) // LINE) * LINE
    fields = [_field(rows, width, aligned=aligned) for _ in range(3)]
    for field in fields[:2]:
        field[...] = 1e-3 * np.random.default_rng(0).standard_normal((rows, width))
    fields[2][...] = 0.09  # (v dt / h)^2: stable, so nothing overflows
    pointers = [field.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for field in fields]

    def run() -> object:
        loop(*pointers, rows, width, steps)
        return fields  # the pointers do not own what they point at

    return run


def _field(rows: int, width: int, *, aligned: bool) -> NDArray[np.float32]:
    """Memory for a field."""
    if not aligned:
        return np.empty((rows, width), np.float32)
    memory = np.empty(rows * width + 2 * LINE, np.float32)
    start = -(memory.ctypes.data // memory.itemsize + REACH) % LINE
    return memory[start : start + rows * width].reshape(rows, width)
