"""The earth: acoustic velocity on a regular grid, surrounded by an absorbing layer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from physics.accuracy import stable_time_step
from physics.errors import PhysicsError, check_velocity


@dataclass(frozen=True, eq=False)
class EarthModel:
    """An acoustic earth model with its absorbing layer.

    Args:
        vp: Velocity, shape (nx, nz) or (nx, ny, nz) [m/s], positive; depth is the last axis.
        spacing: Grid spacing of each axis [m].
        origin: Position of the first cell [m]; zeros by default.
        nbl: Cells of the absorbing layer on every side.
        space_order: Even order of accuracy in space.
        dtype: Precision of the computation.
        absorbing_velocity: Velocity [m/s] that the absorbing layer is tuned to. A constant of the setting,
            not of ``vp``: so the modelling depends on the model through m alone, and Born modelling is its
            exact derivative.

    Raises:
        ValueError: If the velocity is not finite, not positive or looks like km/s, or if another value is out
            of range.

    Example:
        >>> model = EarthModel(vp=np.full((64, 64), 2000.0), spacing=(12.5, 12.5))
        >>> model.extent
        (787.5, 787.5)
    """

    vp: NDArray[np.float64]
    spacing: tuple[float, ...]
    origin: tuple[float, ...] | None = field(default=None, kw_only=True)
    nbl: int = field(default=40, kw_only=True)
    space_order: int = field(default=8, kw_only=True)
    dtype: Literal["float32", "float64"] = field(default="float32", kw_only=True)
    absorbing_velocity: float = field(default=2300.0, kw_only=True)

    def __post_init__(self) -> None:
        vp = np.array(self.vp, dtype=np.float64)
        check_velocity(vp)
        vp.flags.writeable = False
        origin = (0.0,) * vp.ndim if self.origin is None else self.origin
        object.__setattr__(self, "vp", vp)
        object.__setattr__(self, "spacing", tuple(float(h) for h in self.spacing))
        object.__setattr__(self, "origin", tuple(float(o) for o in origin))
        self._check_setting()

    def _check_setting(self) -> None:
        if len(self.spacing) != self.ndim or not all(np.isfinite(h) and h > 0.0 for h in self.spacing):
            raise PhysicsError(f"expected {self.ndim} positive spacings in metres, got {self.spacing}")
        if len(self.lower) != self.ndim or not np.isfinite(self.lower).all():
            raise PhysicsError(f"expected {self.ndim} finite origin coordinates in metres, got {self.origin}")
        if self.nbl < 0:
            raise PhysicsError(f"expected nbl of at least 0 absorbing cells, got {self.nbl}")
        if self.space_order < 2 or self.space_order % 2:
            raise PhysicsError(f"expected an even space_order of at least 2, got {self.space_order}")
        if self.dtype not in ("float32", "float64"):
            raise PhysicsError(f"expected dtype 'float32' or 'float64', got {self.dtype!r}")
        if not self.absorbing_velocity > 0.0:
            raise PhysicsError(
                f"expected a positive absorbing_velocity in m/s, got {self.absorbing_velocity}"
            )

    @cached_property
    def m(self) -> NDArray[np.float64]:
        """Squared slowness 1 / vp**2 [s^2/m^2]."""
        m = self.vp**-2
        m.flags.writeable = False
        return m

    def with_m(self, m: NDArray[Any]) -> EarthModel:
        """The same setting with another squared slowness [s^2/m^2]."""
        if m.shape != self.shape:
            raise PhysicsError(f"expected m of shape {self.shape}, got {m.shape}")
        if not (np.isfinite(m).all() and m.min() > 0.0):
            raise PhysicsError("expected finite and positive squared slowness m, got values that are not")
        return replace(self, vp=m.astype(np.float64) ** -0.5)

    @property
    def ndim(self) -> int:
        """Number of space dimensions."""
        return self.vp.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells of the physical grid."""
        return self.vp.shape

    @property
    def lower(self) -> tuple[float, ...]:
        """Position of the first cell [m]."""
        assert self.origin is not None  # __post_init__ fills it in
        return self.origin

    @property
    def upper(self) -> tuple[float, ...]:
        """Position of the last cell [m]."""
        return tuple(o + e for o, e in zip(self.lower, self.extent, strict=True))

    @property
    def extent(self) -> tuple[float, ...]:
        """Distance from the first to the last cell of each axis [m]."""
        return tuple((n - 1) * h for n, h in zip(self.shape, self.spacing, strict=True))

    @cached_property
    def vmin(self) -> float:
        """Smallest velocity [m/s]."""
        return float(self.vp.min())

    @cached_property
    def vmax(self) -> float:
        """Largest velocity [m/s]."""
        return float(self.vp.max())

    @property
    def critical_dt(self) -> float:
        """Largest stable computing step [s]."""
        return stable_time_step(self.space_order, self.spacing, self.vmax)

    @property
    def padded_shape(self) -> tuple[int, ...]:
        """Cells of the grid with the absorbing layer."""
        return tuple(n + 2 * self.nbl for n in self.shape)

    def pad(self, values: NDArray[Any]) -> NDArray[Any]:
        """Continue cell values into the absorbing layer by replicating the edge."""
        return np.pad(values, self.nbl, mode="edge")

    def pad_adjoint(self, values: NDArray[Any]) -> NDArray[Any]:
        """Adjoint of `pad`: every edge cell collects the sum of the layer cells that replicate it."""
        for axis, n in enumerate(self.shape):
            values = np.moveaxis(values, axis, 0)
            inner = values[self.nbl : self.nbl + n].copy()
            inner[0] += values[: self.nbl].sum(axis=0)
            inner[-1] += values[self.nbl + n :].sum(axis=0)
            values = np.moveaxis(inner, 0, axis)
        return np.ascontiguousarray(values)

    @cached_property
    def damping(self) -> NDArray[np.float64]:
        r"""Damping eta on the padded grid [s/m^2] of m u_tt + eta u_t - lap u = q.

        .. math:: \eta(x) = \sum_{axes} \frac{4 A}{v L} p^3

        with the depth fraction p in the layer of width L. A wave that crosses the layer and returns has lost
        a factor exp(-A) at velocity v; a larger A reflects at the entrance instead. A = 3 + nbl / 10 was
        best, or within a tenth of it, in records of six models at 12.5 m and 15 Hz with layers of 20 to 40
        cells.
        """
        strength = 3.0 + 0.1 * self.nbl
        eta = np.zeros(self.padded_shape)
        for axis, (n, h) in enumerate(zip(self.shape, self.spacing, strict=True)):
            index = np.arange(-self.nbl, n + self.nbl)
            depth = np.maximum(np.maximum(-index, index - (n - 1)), 0) / max(self.nbl, 1)
            profile = 4.0 * strength / (self.absorbing_velocity * max(self.nbl, 1) * h) * depth**3
            eta += profile.reshape([-1 if i == axis else 1 for i in range(self.ndim)])
        return eta
