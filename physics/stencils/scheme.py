"""What a wave equation must say of itself to be modelled, linearised and migrated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physics._devito import devito
from physics.fields import Fields
from physics.model import EarthModel
from physics.stencils.differences import at

Equations = list[Any]
"""Devito equations and sparse operations, in the order of execution."""
_VECTOR_BYTES = 32
"""Slabs of the last axis are a multiple of this wide: remainders of vectors would take half of their time."""


@dataclass(frozen=True)
class Slab:
    """The part of the grid where one axis lies in one of its two layers.

    Args:
        number: Number of the axis.
        axis: Dimension of the axis.
        place: What stands for the dimension there.
    """

    number: int
    axis: Any
    place: dict[Any, Any]


class Scheme(ABC):
    r"""A discrete wave equation, second order in time, with its transpose.

    Implementing a wave equation: one file with a subclass, one line in `physics.stencils.schemes`, one in the
    table of ``tests/physics/test_linear.py``, whose dot tests say whether `adjoint_step` is the transpose.

    .. math:: u^{n+1} = S(u^n, u^{n-1}) + \beta s^n, \qquad v^{n-1} = S^T(v^n, v^{n+1}) + \beta r^n

    The perturbation of the squared slowness scatters with s = -dm u_tt, in units of dm / dt^2.

    Args:
        fields: Where fields are made and found.
    """

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.setting = fields.setting
        self.axes = fields.grid.dimensions

    @staticmethod
    @abstractmethod
    def coefficients(model: EarthModel, dt: float) -> dict[str, NDArray[np.float64]]:
        """Coefficient fields on the padded grid by name, for a model and a computing step [s].

        Among them is ``squared``, (vp dt)^2 [m^2].
        """

    @abstractmethod
    def step(self, u: Any, source: Any = 0) -> Equations:
        """One step of a wavefield, u^n and u^{n-1} to u^{n+1}, with a source s^n in every cell."""

    @abstractmethod
    def adjoint_step(self, v: Any) -> Equations:
        """One step back, v^n and v^{n+1} to v^{n-1}."""

    @property
    @abstractmethod
    def beta(self) -> Any:
        """Weight of a source."""

    @property
    def squared(self) -> Any:
        """(vp dt)^2."""
        return self.fields.function("squared")

    def every_step(self, target: Any, value: Any) -> Any:
        """An assignment at every step: Devito would take one without a time index out of the loop."""
        return devito.Eq(target, value, implicit_dims=(self.fields.grid.time_dim,))

    def add_every_step(self, target: Any, value: Any) -> Any:
        """An addition at every step."""
        return devito.Inc(target, value, implicit_dims=(self.fields.grid.time_dim,))

    def memory(self, u: Any, name: str, axis: Any) -> Any:
        """A field that a layer keeps beside a wavefield."""
        return self.fields.function(f"{u.name}_{name}_{axis.name}")

    def slabs(self, width: int) -> list[Slab]:
        """The parts of the grid within ``width`` cells of its sides, but for a free surface."""
        found = []
        for number, axis in enumerate(self.axes):
            sides = ("right",) if self.setting.mirror and number == len(self.axes) - 1 else ("left", "right")
            for side in sides:
                here = self._side(axis, side, width)
                found.append(Slab(number, axis, {axis: here}))
        return found

    def _side(self, axis: Any, side: str, width: int) -> Any:
        """What stands for a dimension on one side of the grid."""
        name = f"{axis.name}{side[0]}{width}"
        if axis is not self.axes[-1]:
            return getattr(devito.SubDimension, side)(name=name, parent=axis, thickness=width)
        # Innermost loop: of whole vectors, and of a length that the compiler sees. With a parent, Devito
        # takes its rounds for independent; with a number for a size, it would take each for an offset.
        cells = self._whole_vectors(width)
        first, last = axis.symbolic_min, axis.symbolic_max
        ends = (first, first + cells - 1) if side == "left" else (last - (cells - 1), last)
        return devito.CustomDimension(name, *ends, symbolic_size=axis.symbolic_size, parent=axis)

    def _whole_vectors(self, width: int) -> int:
        """A width of a slab of the last axis, rounded up; beyond the layer its coefficients are zero.

        Not where slabs could overlap and count twice in the smallest model, of two cells more than the order.
        """
        vector = _VECTOR_BYTES // np.dtype(self.setting.dtype).itemsize
        cells = -(-width // vector) * vector
        return cells if cells <= self.setting.layer + self.setting.space_order // 2 + 1 else width

    def surface(self, field: Any, level: Any, *, sign: int = -1) -> Equations:
        """Mirror a field at the free surface: wavefields are odd there, and zero on it."""
        mirror, depth = self.setting.mirror, self.axes[-1]
        if not mirror:
            return []
        time = {} if level is None else {self.fields.grid.stepping_dim: level}
        rows = [
            self.every_step(
                at(field, {**time, depth: mirror - k}), sign * at(field, {**time, depth: mirror + k})
            )
            for k in range(1, mirror + 1)
        ]
        return rows if sign > 0 else [*rows, self.every_step(at(field, {**time, depth: mirror}), 0)]
