"""The earth: acoustic velocity on a regular grid, surrounded by an absorbing layer."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from physics.accuracy import stable_time_step
from physics.errors import PhysicsError, UnitError, as_array, check_velocity
from physics.padding import Padding

Equation = Literal["acoustic", "acoustic_density"]
Boundary = Literal["matched", "sponge"]

WATER_DENSITY = 1000.0
"""Densities enter the wave equation relative to this [kg/m^3]: in water it is that of constant density."""
_MIN_DENSITY = 100.0
"""No rock or fluid is lighter [kg/m^3]; a model below it was written in g/cm^3."""


@dataclass(frozen=True, eq=False)
class EarthModel:
    """An acoustic earth model with its absorbing layer.

    Args:
        vp: Velocity, shape (nx, nz) or (nx, ny, nz) [m/s], positive; depth is the last axis.
        spacing: Grid spacing of each axis [m].
        rho: Density, shape of ``vp`` [kg/m^3]; constant by default.
        origin: Position of the first cell [m]; zeros by default.
        free_surface: The first row of cells is the surface of the sea or the earth, where the pressure is
            zero; otherwise waves leave upwards as they leave on the other sides.
        boundary: The absorbing layer: "matched" (a convolutional perfectly matched layer), or "sponge" (one
            damping term, cheaper a cell, which needs 3 times as many cells and reflects more).
        nbl: Cells of the absorbing layer on every side; by default those of `layer_cells`.
        space_order: Even order of accuracy in space.
        dtype: Precision of the computation.
        absorbing_velocity: Velocity [m/s] that the absorbing layer is tuned to: for "matched" somewhat above
            the fastest (5000 by default), for "sponge" an average one (2300). A constant of the setting, not
            of ``vp``: so the modelling depends on the model through m alone, and Born modelling is its exact
            derivative.
        absorbing_frequency: Frequency [Hz] that a matched layer is tuned to, about a third of the source's
            peak.

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
    _: KW_ONLY
    rho: NDArray[np.float64] | None = None
    origin: tuple[float, ...] | None = None
    free_surface: bool = False
    boundary: Boundary = "matched"
    nbl: int | None = None
    space_order: int = 8
    dtype: Literal["float32", "float64"] = "float32"
    absorbing_velocity: float | None = None
    absorbing_frequency: float = 5.0

    def __post_init__(self) -> None:
        vp = np.array(self.vp, dtype=np.float64)
        check_velocity(vp)
        vp.flags.writeable = False
        origin = (0.0,) * vp.ndim if self.origin is None else self.origin
        object.__setattr__(self, "vp", vp)
        if self.rho is not None:
            object.__setattr__(self, "rho", _density(self.rho, vp.shape))
        object.__setattr__(self, "spacing", tuple(float(h) for h in self.spacing))
        object.__setattr__(self, "origin", tuple(float(o) for o in origin))
        self._check_setting()

    def _check_setting(self) -> None:
        if len(self.spacing) != self.ndim or not all(np.isfinite(h) and h > 0.0 for h in self.spacing):
            raise PhysicsError(f"expected {self.ndim} positive spacings in metres, got {self.spacing}")
        if len(self.lower) != self.ndim or not np.isfinite(self.lower).all():
            raise PhysicsError(f"expected {self.ndim} finite origin coordinates in metres, got {self.origin}")
        if self.boundary not in ("matched", "sponge"):
            raise PhysicsError(f"expected boundary 'matched' or 'sponge', got {self.boundary!r}")
        if self.nbl is not None and self.nbl < 0:
            raise PhysicsError(f"expected nbl of at least 0 absorbing cells, got {self.nbl}")
        if self.space_order < 2 or self.space_order % 2:
            raise PhysicsError(f"expected an even space_order of at least 2, got {self.space_order}")
        if self.dtype not in ("float32", "float64"):
            raise PhysicsError(f"expected dtype 'float32' or 'float64', got {self.dtype!r}")
        if not self.layer_velocity > 0.0:
            raise PhysicsError(f"expected a positive absorbing_velocity in m/s, got {self.layer_velocity}")
        if not self.absorbing_frequency > 0.0:
            raise PhysicsError(
                f"expected a positive absorbing_frequency in Hz, got {self.absorbing_frequency}"
            )
        if min(self.shape) < self.space_order + 2:
            raise PhysicsError(
                f"expected at least {self.space_order + 2} cells an axis for space order {self.space_order}, "
                f"got a model of shape {self.shape}"
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

    @cached_property
    def padding(self) -> Padding:
        """The cells around the model."""
        # What the stencil reads above the surface; that of a varying density is two derivatives in a row.
        reach = self.space_order // 2 if self.rho is None else self.space_order - 1
        cells = layer_cells(self.boundary, self.space_order) if self.nbl is None else self.nbl
        return Padding(self.shape, cells, reach if self.free_surface else 0)

    @property
    def layer_velocity(self) -> float:
        """Velocity that the absorbing layer is tuned to [m/s]."""
        if self.absorbing_velocity is not None:
            return self.absorbing_velocity
        return 5000.0 if self.boundary == "matched" else 2300.0

    @property
    def equation(self) -> Equation:
        """The wave equation that the model asks for."""
        return "acoustic" if self.rho is None else "acoustic_density"

    @cached_property
    def buoyancy(self) -> NDArray[np.float64]:
        """Density of water over density [1]; ones for a constant density."""
        return np.ones(self.shape) if self.rho is None else WATER_DENSITY / self.rho


def layer_cells(boundary: Boundary, space_order: int) -> int:
    """Cells of an absorbing layer, by default.

    As many as a matched layer needs to leave less than 0.2 % of the late half of every record in the sweep of
    ``examples/benchmarks/boundaries.py``; no sponge of any sensible width does.
    """
    if boundary == "sponge":
        return 40
    return 20 if space_order <= 4 else 14 if space_order == 6 else 12


def _density(rho: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A read-only float64 copy of densities that fit the velocities."""
    density: NDArray[np.float64] = np.array(as_array(rho, shape, "rho, like vp,", np.float64))
    if density.min() <= 0.0:
        raise PhysicsError(f"expected positive densities, got a minimum of {density.min():.4g} kg/m^3")
    if density.max() < _MIN_DENSITY:
        raise UnitError(
            f"expected densities in kg/m^3, got a maximum of {density.max():.4g}: looks like g/cm^3, "
            "multiply by 1000"
        )
    density.flags.writeable = False
    return density
