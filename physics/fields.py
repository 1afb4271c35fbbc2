"""The Devito fields of one setting on a grid of one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from physics._devito import SubFunction, devito
from physics.model import Boundary, Equation

_VECTOR_BYTES = 64
"""Rows start at a multiple of this: one cache line, one AVX-512 vector. Worth 30 % of the time."""


@dataclass(frozen=True)
class Setting:
    """What the generated code depends on.

    Args:
        equation: Which wave equation.
        spacing: Grid spacing of each axis [m]; its length is the number of dimensions.
        space_order: Order of accuracy in space.
        dtype: "float32" or "float64".
        boundary: Kind of the absorbing layer.
        layer: Cells of a matched layer; 0 for a sponge, whose width is in the coefficients.
        mirror: Rows above a free surface; 0 without one.
        source_reach: Half the cells along an axis that a source touches.
        receiver_reach: Half the cells along an axis that a receiver touches.
    """

    equation: Equation
    spacing: tuple[float, ...]
    space_order: int
    dtype: str
    boundary: Boundary
    layer: int
    mirror: int
    source_reach: int
    receiver_reach: int


@dataclass(frozen=True)
class Sizes:
    """What the generated code does not depend on.

    Args:
        shape: Cells of the padded grid.
        num_steps: Computing steps of a shot.
        num_sources: Sources that fire together in a shot.
        num_receivers: Receivers of a shot.
        subsample: Every how many steps the background is kept.
    """

    shape: tuple[int, ...]
    num_steps: int
    num_sources: int
    num_receivers: int
    subsample: int


@final
class Fields:
    """Devito's fields, each made at its first use and found again by its name.

    Args:
        setting: What the code depends on.
        sizes: Shapes and lengths.
    """

    def __init__(self, setting: Setting, sizes: Sizes) -> None:
        extent = tuple((n - 1) * h for n, h in zip(sizes.shape, setting.spacing, strict=True))
        self.setting = setting
        self.sizes = sizes
        self.grid = devito.Grid(shape=sizes.shape, extent=extent, dtype=np.dtype(setting.dtype).type)
        self.named: dict[str, Any] = {}
        self._space_order = (setting.space_order, self._halo())

    def _halo(self) -> tuple[tuple[int, int], ...]:
        """Cells around the grid: what the stencil reads, rounded up along the last axis to align the rows."""
        reach = max(self.setting.space_order // 2, 1)
        vector = _VECTOR_BYTES // np.dtype(self.setting.dtype).itemsize
        left = -(-reach // vector) * vector
        right = left + -(self.grid.shape[-1] + 2 * left) % vector
        return ((reach, reach),) * (self.grid.dim - 1) + ((left, right),)

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.named:
            self.named[name] = make()
        return self.named[name]

    def wavefield(self, name: str) -> Any:
        """A field at three time levels."""
        return self._once(
            name,
            lambda: devito.TimeFunction(
                name=name, grid=self.grid, time_order=2, space_order=self._space_order
            ),
        )

    def function(self, name: str) -> Any:
        """A field without time."""
        return self._once(
            name, lambda: devito.Function(name=name, grid=self.grid, space_order=self._space_order)
        )

    def line(self, name: str, axis: int) -> Any:
        """A coefficient that varies along one axis only."""
        dimension, cells = self.grid.dimensions[axis], self.grid.shape[axis]
        return self._once(
            name,
            lambda: devito.Function(
                name=name, grid=self.grid, dimensions=(dimension,), shape=(cells,), space_order=0
            ),
        )

    @property
    def src(self) -> Any:
        """The sources of a shot and their signatures."""
        return self._once(
            "src", lambda: self._sparse("src", self.sizes.num_sources, self.setting.source_reach)
        )

    @property
    def rec(self) -> Any:
        """The receivers of a shot and their record."""
        return self._once(
            "rec", lambda: self._sparse("rec", self.sizes.num_receivers, self.setting.receiver_reach)
        )

    def _sparse(self, name: str, npoint: int, reach: int) -> Any:
        point = devito.Dimension(name=f"p_{name}")
        # Devito's own would share the name of its last dimension with those of another width.
        coefficients = SubFunction(
            name=f"{name}_interp_coeffs",
            dtype=self.grid.dtype,
            shape=(npoint, self.grid.dim, 2 * reach),
            dimensions=(point, devito.Dimension(name="d"), devito.Dimension(name=f"i_{name}")),
            space_order=0,
            parent=None,
        )
        return devito.PrecomputedSparseTimeFunction(
            name=name,
            grid=self.grid,
            dimensions=(self.grid.time_dim, point),
            npoint=npoint,
            nt=self.sizes.num_steps,
            r=reach,
            gridpoints=np.zeros((npoint, self.grid.dim), np.int32),
            interpolation_coeffs=coefficients,
        )

    def kept(self, name: str, *, halo: bool = False) -> Any:
        """A store of a wavefield every few steps; with a halo where its derivatives are wanted."""
        return self._once(name, lambda: self.new_store(name, halo=halo))

    def new_store(self, name: str, *, halo: bool) -> Any:
        """Another store under the same name, for the wavefield of another shot."""
        return devito.TimeFunction(
            name=name,
            grid=self.grid,
            time_order=0,
            space_order=self._space_order if halo else 0,
            save=-(-self.sizes.num_steps // self.sizes.subsample),
            time_dim=self._every,
        )

    @cached_property
    def _every(self) -> Any:
        return devito.ConditionalDimension("every", parent=self.grid.time_dim, factor=self.sizes.subsample)
