r"""Subsurface-offset image gathers, and extended Born modelling, their adjoint.

.. math:: g(x, h) = -\sum_n u^n(x - h) \, v^n_{tt}(x + h), \qquad
          s^n(x) = -\sum_h g(x - h, h) \, u^n_{tt}(x - 2 h)

with a half-offset h along one axis; h = 0 is the migrated image. Waves are taken within the model only.

For every line of cells along that axis, all products u(x_1) v_tt(x_2) summed over n are one product of
matrices, and offset h is the diagonal x_2 - x_1 = 2 h: many offsets cost little more than few.

Source:
    Rickett & Sava, Offset and angle-domain common image-point gathers for shot-profile migration, Geophysics
    67, 2002; Symes, Migration velocity analysis and waveform inversion, Geophys. Prospect. 56, 2008, sec. 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics import errors
from physics.algebra import LinearOperator
from physics.geometry import Acquisition
from physics.model import EarthModel
from physics.modelling import Modelling, Numerics

_BYTES = 2**25
"""Of products held at a time."""


@final
class GatherOperator(LinearOperator):
    """Extended Born modelling; its adjoint makes image gathers.

    Args:
        model: Background m0.
        survey: Sources, receivers and sampling.
        wavelet: Signature of every source, shape (nt,), sampled like the records.
        offsets: Half-offsets h [m], multiples of the spacing along ``axis``; see `symmetric_offsets`.
        axis: Axis along which the offset lies: 0 is x, -1 is depth.
        numerics: How waves are computed; ``subsample=1`` is the exact adjoint.

    Shapes:
        gather: (noffsets, *shape of the model) [s^2/m^2]; records: (nsrc, nt, nrec).

    Raises:
        ValueError: If an offset is not on the grid, comes twice or is beyond the model, or as `BornOperator`.

    Example:
        >>> G = GatherOperator(m0, survey, wavelet=w, offsets=symmetric_offsets(250.0, 12.5))
        >>> gather = G.adjoint(d)  # (41, nx, nz)
    """

    def __init__(
        self,
        model: EarthModel,
        survey: Acquisition,
        *,
        wavelet: ArrayLike,
        offsets: ArrayLike,
        axis: int = 0,
        numerics: Numerics | None = None,
    ) -> None:
        self._axis = _check_axis(axis, model.ndim)
        self._shifts = _check_offsets(offsets, model.spacing[self._axis], model.shape[self._axis])
        self._modelling = Modelling(model, survey, numerics or Numerics())
        signature = self._modelling.check_wavelet(wavelet)
        self._shots = self._modelling.shots([signature] * survey.num_sources)
        super().__init__((len(self._shifts), *model.shape), survey.record_shape, model.dtype)

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """Records (nsrc, nt, nrec) of an extended perturbation (noffsets, *shape) [s^2/m^2]."""
        extended = errors.as_array(x, self.domain_shape, "extended dm", np.float64)
        scale = -self._modelling.numerics.subsample / self._modelling.dt**2
        weights = (scale * extended * self._modelling.model.buoyancy).astype(self.dtype)
        records = np.empty(self.range_shape, self.dtype)
        runner, inside = self._modelling.propagator(), self._modelling.model.padding.inside
        for index, shot in enumerate(self._shots):
            source = self._scatter(weights, runner.curvature(shot)[(slice(None), *inside)])
            records[index] = self._modelling.sample(index, runner.extended(shot, source, inside))
            errors.check_result(records[index], f"record of shot {index}")
        return records

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """Image gathers (noffsets, *shape) of records (nsrc, nt, nrec)."""
        records = errors.as_array(y, self.range_shape, "records", self.dtype)
        gather = np.zeros(self.domain_shape)
        runner = self._modelling.propagator()
        inside = (slice(None), *self._modelling.model.padding.inside)
        for index, (shot, record) in enumerate(zip(self._shots, records, strict=True)):
            u = runner.wavefield(shot)[inside]
            v = runner.adjoint_curvature(shot, self._modelling.sample_adjoint(index, record))[inside]
            self._correlate(u, v, gather)
            errors.check_result(gather, f"gather of shot {index}")
        scale = -self._modelling.numerics.subsample / self._modelling.dt**2
        return (scale * gather * self._modelling.model.buoyancy).astype(self.dtype)

    def _correlate(self, u: NDArray[Any], v: NDArray[Any], gather: NDArray[np.float64]) -> None:
        """Add sum_n u(x - h) v(x + h) to a gather."""
        for u_lines, v_lines, image in self._sheets(u, v, gather):
            for some, window, block in self._windows(image.shape[0], image.shape[2]):
                products = _rows(u_lines[some, :, window]) @ np.ascontiguousarray(v_lines[some, :, window])
                for number, shift in enumerate(self._shifts):
                    points, diagonal = _points(window, block, shift)
                    values = products.diagonal(2 * shift, axis1=1, axis2=2)
                    image[some, number, points] += values[:, diagonal]

    def _scatter(self, weights: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
        """The source sum_h w(x - h, h) u(x - 2 h), shape of u: the adjoint of `_correlate` in v."""
        source = np.zeros_like(u)
        for u_lines, given, made in self._sheets(u, weights, source):
            for some, window, block in self._windows(given.shape[0], given.shape[2]):
                width = window.stop - window.start
                products = np.zeros((some.stop - some.start, width, width), self.dtype)
                for number, shift in enumerate(self._shifts):
                    points, diagonal = _points(window, block, shift)
                    row = np.arange(max(-2 * shift, 0), width - max(2 * shift, 0))[diagonal]
                    products[:, row, row + 2 * shift] = given[some, number, points]
                made[some, :, window] += np.ascontiguousarray(u_lines[some, :, window]) @ products
        return source

    def _sheets(self, *arrays: NDArray[Any]) -> Iterator[list[NDArray[Any]]]:
        """Views (lines, first axis, cells of a line) of arrays whose further axes are those of the model."""
        moved = [np.moveaxis(np.moveaxis(values, 1 + self._axis, -1), 0, -2) for values in arrays]
        if moved[0].ndim == 3:
            yield moved
            return
        for sheet in range(len(moved[0])):
            yield [values[sheet] for values in moved]

    def _windows(self, lines: int, cells: int) -> Iterator[tuple[slice, slice, slice]]:
        """Lines, cells that are multiplied, and the points among them whose products are then complete."""
        reach = max(abs(shift) for shift in self._shifts)
        block = max(2 * reach, 64)
        width = min(cells, block + 2 * reach)
        chunk = max(1, _BYTES // (width**2 * self.dtype.itemsize))
        for start in range(0, lines, chunk):
            for first in range(0, cells, block):
                last = min(first + block, cells)
                window = slice(max(first - reach, 0), min(last + reach, cells))
                yield slice(start, min(start + chunk, lines)), window, slice(first, last)


def _rows(lines: NDArray[Any]) -> NDArray[Any]:
    """The transpose of every line's matrix, as the product of matrices wants it in memory."""
    return np.ascontiguousarray(lines.mT)


def _points(window: slice, block: slice, shift: int) -> tuple[slice, slice]:
    """Points of a block whose x - h and x + h are in the window, and their place on the diagonal 2 h."""
    first = max(window.start + abs(shift), block.start)
    last = max(min(window.stop - abs(shift), block.stop), first)
    start = first - window.start - abs(shift)
    return slice(first, last), slice(start, start + last - first)


def symmetric_offsets(largest: float, spacing: float) -> NDArray[np.float64]:
    """Half-offsets on the grid from -``largest`` to ``largest`` [m], zero among them.

    Example:
        >>> symmetric_offsets(25.0, 12.5)
        array([-25. , -12.5,   0. ,  12.5,  25. ])
    """
    count = round(largest / spacing)
    offsets: NDArray[np.float64] = np.arange(-count, count + 1, dtype=np.float64) * spacing
    return offsets


def _check_axis(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise errors.PhysicsError(f"expected an axis from {-ndim} to {ndim - 1} for the offsets, got {axis}")
    return axis % ndim


def _check_offsets(offsets: ArrayLike, spacing: float, cells: int) -> list[int]:
    """Offsets as numbers of cells."""
    array = np.asarray(offsets, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise errors.PhysicsError(f"expected finite offsets of shape (n,) in metres, got shape {array.shape}")
    shifts = np.round(array / spacing).astype(int)
    off = np.flatnonzero(np.abs(shifts * spacing - array) > 1e-6 * spacing)
    if off.size:
        raise errors.GeometryError(
            f"expected offsets on the grid, multiples of {spacing:g} m, got {array[off[0]]:g} m "
            f"at index {off[0]}: `symmetric_offsets` makes them"
        )
    if len(set(shifts.tolist())) < len(shifts):
        raise errors.GeometryError("expected every offset once, got some twice")
    beyond = np.flatnonzero(2 * np.abs(shifts) >= cells)
    if beyond.size:
        raise errors.GeometryError(
            f"expected offsets within the model, at most {(cells - 1) // 2 * spacing:g} m, "
            f"got {array[beyond[0]]:g} m at index {beyond[0]}"
        )
    return [int(shift) for shift in shifts]
