"""From the samples of records to computing steps and back, with or without the scheme's time dispersion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len

from physics.wavelets import interpolate, interpolate_adjoint

_TAPERED, _GONE = 1.0, 1.5
"""Frequencies [radians a step] between which a correction fades out; at 2 waves stand still.

No grid that carries a wavelet at a stable step has it there. Without the taper, what is moved near 2 comes
from far off: a record that is cut off while it is loud would ripple over its whole length.
"""
_COLUMNS = 256
"""Columns of a correction that are transformed at a time: bounds the memory."""
_ROWS = 64
"""Rows of a correction that share a range of columns."""
_NEGLIGIBLE = {"float32": 1e-7, "float64": 1e-15}
"""Norm of what a correction's matrix, itself of norm 1, loses outside the ranges."""


@final
@dataclass(frozen=True)
class TimeAxis:
    r"""Sampling of records, and computing steps.

    A scheme of second order in time moves a wave of frequency omega as the exact equation moves one of

    .. math:: \Omega(\omega) = \frac{2}{\Delta t} \sin \frac{\omega \Delta t}{2}

    So with the source's spectrum read at Omega instead of omega, and then the record's spectrum read at
    Omega^-1, what is computed is free of time dispersion, whatever the model and the distance. Both are
    linear maps in time, exact transposes included; nothing changes in the propagation.

    Args:
        nt: Samples of a record.
        steps: Computing steps a sample.
        corrected: Take the time dispersion out; otherwise signatures are interpolated, records decimated.
        dtype: Precision.

    Source:
        Koene, Robertsson, Broggini & Andersson, Eliminating time dispersion from seismic wave modeling,
        Geophys. J. Int. 213, 2018, eqs. (13)-(20).
    """

    nt: int
    steps: int
    corrected: bool
    dtype: str

    @property
    def num_steps(self) -> int:
        """Computing steps of a shot."""
        return (self.nt - 1) * self.steps + 1

    def refine(self, signatures: NDArray[Any]) -> NDArray[Any]:
        """Signatures (n, nt) at the computing steps, (n, num_steps)."""
        if self.corrected:
            return _source_map(self.nt, self.steps, self.dtype).apply(signatures.T).T
        return interpolate(signatures, self.steps)

    def refine_adjoint(self, fine: NDArray[Any]) -> NDArray[Any]:
        """Adjoint of `refine`."""
        if self.corrected:
            return _source_map(self.nt, self.steps, self.dtype).transposed(fine.T).T
        return interpolate_adjoint(fine, self.steps)

    def sample(self, steps: NDArray[Any]) -> NDArray[Any]:
        """Samples (nt, n) of what was recorded at the computing steps, (num_steps, n)."""
        if self.corrected:
            return _record_map(self.nt, self.steps, self.dtype).apply(steps)
        return steps[:: self.steps]

    def sample_adjoint(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Adjoint of `sample`."""
        if self.corrected:
            return _record_map(self.nt, self.steps, self.dtype).transposed(samples)
        spread = np.zeros((self.num_steps, samples.shape[1]), dtype=samples.dtype)
        spread[:: self.steps] = samples
        return spread


@final
class Band:
    r"""A matrix that is small away from its diagonal: blocks of rows, each with the columns that matter.

    .. math:: \| B - A \|_2 \le \| B - A \|_F \le \varepsilon

    Args:
        matrix: The matrix A.
        dtype: Precision of the products.
        negligible: Bound epsilon of the norm of all that is left out.
    """

    def __init__(self, matrix: NDArray[np.float64], dtype: str, *, negligible: float) -> None:
        self.shape = matrix.shape
        self.dtype = np.dtype(dtype)
        starts = range(0, len(matrix), _ROWS)
        share = negligible**2 / len(starts)
        self._blocks = []
        for start in starts:
            rows = slice(start, start + _ROWS)
            columns = _that_matter(np.square(matrix[rows]).sum(axis=0), share)
            self._blocks.append((rows, columns, np.ascontiguousarray(matrix[rows, columns], dtype)))

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        """B x of columns (n, k)."""
        x, result = self._cast(x), np.empty((self.shape[0], x.shape[1]), self.dtype)
        for rows, columns, block in self._blocks:
            np.matmul(block, x[columns], out=result[rows])
        return result

    def transposed(self, y: NDArray[Any]) -> NDArray[Any]:
        """B^T y of columns (m, k)."""
        y, result = self._cast(y), np.zeros((self.shape[1], y.shape[1]), self.dtype)
        for rows, columns, block in self._blocks:
            result[columns] += block.T @ y[rows]
        return result

    def _cast(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values in the matrix' precision, or every product would convert the matrix instead."""
        with np.errstate(over="ignore"):  # what overflows single precision is refused in the result
            return values.astype(self.dtype, copy=False)


def _that_matter(energy: NDArray[np.float64], negligible: float) -> slice:
    """The range outside which the energy of columns sums up to no more than ``negligible``."""
    first = np.searchsorted(np.cumsum(energy), 0.5 * negligible, side="right")
    last = len(energy) - np.searchsorted(np.cumsum(energy[::-1]), 0.5 * negligible, side="right")
    return slice(int(min(first, last)), int(last))


def _frequencies(num_steps: int) -> tuple[int, NDArray[np.float64]]:
    """Length of a transform that leaves room for what is shifted, and its frequencies [radians a step]."""
    length = next_fast_len(2 * num_steps, real=True)
    return length, 2.0 * np.pi * np.arange(length // 2 + 1) / length


@lru_cache(maxsize=4)
def _source_map(nt: int, steps: int, dtype: str) -> Band:
    """The matrix (num_steps, nt) of signatures: their spectrum at Omega, inverted at omega."""
    length, omega = _frequencies((nt - 1) * steps + 1)
    moved = 2.0 * np.sin(0.5 * omega)
    # Interpolated signatures have nothing above the Nyquist frequency of the samples.
    kept = moved < np.pi / steps
    rows = (nt - 1) * steps + 1
    weights = steps * _taper(moved[kept])
    matrix = _matrix(moved[kept], kept, length, rows=rows, columns=np.arange(nt) * steps, weights=weights)
    return Band(matrix, dtype, negligible=_NEGLIGIBLE[dtype])


@lru_cache(maxsize=4)
def _record_map(nt: int, steps: int, dtype: str) -> Band:
    """The matrix (nt, num_steps) of records: their spectrum at Omega^-1, inverted at omega."""
    length, omega = _frequencies((nt - 1) * steps + 1)
    kept = omega < min(2.0, np.pi / steps)
    moved = 2.0 * np.arcsin(0.5 * omega[kept])
    rows, columns = (nt - 1) * steps + 1, np.arange((nt - 1) * steps + 1)
    matrix = _matrix(moved, kept, length, rows=rows, columns=columns, weights=_taper(omega[kept]))
    return Band(matrix[::steps], dtype, negligible=_NEGLIGIBLE[dtype])


def _taper(omega: NDArray[np.float64]) -> NDArray[np.float64]:
    """One up to ``_TAPERED``, zero from ``_GONE``, and so smooth that kernels in time are short."""
    share = np.clip((omega - _TAPERED) / (_GONE - _TAPERED), 2e-3, 1.0 - 2e-3)
    return 1.0 / (1.0 + np.exp(1.0 / (1.0 - share) - 1.0 / share))


def _matrix(
    moved: NDArray[np.float64],
    kept: NDArray[np.bool_],
    length: int,
    *,
    rows: int,
    columns: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Inverse transforms of weights exp(-i moved n), for every column's n, at the first ``rows`` times."""
    matrix = np.empty((rows, len(columns)))
    for start in range(0, len(columns), _COLUMNS):
        some = columns[start : start + _COLUMNS]
        spectrum = np.zeros((len(kept), len(some)), complex)
        spectrum[kept] = weights[:, None] * np.exp(-1j * moved[:, None] * some)
        matrix[:, start : start + _COLUMNS] = irfft(spectrum, length, axis=0)[:rows]
    return matrix
