"""Compiled Devito operators: built once per setting, reused for every model, grid shape and record length.

Everything that Devito bakes into the generated code is in the key of `compiled`; everything else (fields,
sizes, positions, number of steps) is an argument of the compiled function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np

from physics import stencils
from physics._devito import devito
from physics.jit_locks import clear_stale_locks

Kind = Literal["forward", "background", "adjoint", "born", "born_keep", "born_adjoint"]

_VECTOR_BYTES = 64
"""Rows start at a multiple of this: one cache line, one AVX-512 vector. Worth 30 % of the time."""


@dataclass(frozen=True)
class Setting:
    """What the generated code depends on.

    Args:
        spacing: Grid spacing of each axis [m]; its length is the number of dimensions.
        space_order: Order of accuracy in space.
        dtype: "float32" or "float64".
    """

    spacing: tuple[float, ...]
    space_order: int
    dtype: str


class Fields:
    """The Devito fields of one setting on a grid of one shape, each made at its first use.

    Args:
        setting: What the code depends on.
        shape: Cells of the padded grid.
        num_steps: Computing steps of a shot.
        num_receivers: Receivers of a shot.
        subsample: Every how many steps the background is kept.
    """

    def __init__(
        self, setting: Setting, shape: tuple[int, ...], *, num_steps: int, num_receivers: int, subsample: int
    ) -> None:
        extent = tuple((n - 1) * h for n, h in zip(shape, setting.spacing, strict=True))
        self.num_steps = num_steps
        self.grid = devito.Grid(shape=shape, extent=extent, dtype=np.dtype(setting.dtype).type)
        self._num_receivers = num_receivers
        self._subsample = subsample
        self._space_order = (setting.space_order, self._halo(setting))

    def _halo(self, setting: Setting) -> tuple[tuple[int, int], ...]:
        """Cells around the grid: what the stencil reads, rounded up along the last axis to align the rows."""
        reach = max(setting.space_order // 2, 1)
        vector = _VECTOR_BYTES // np.dtype(setting.dtype).itemsize
        left = -(-reach // vector) * vector
        right = left + -(self.grid.shape[-1] + 2 * left) % vector
        return ((reach, reach),) * (self.grid.dim - 1) + ((left, right),)

    def _wavefield(self, name: str) -> Any:
        return devito.TimeFunction(name=name, grid=self.grid, time_order=2, space_order=self._space_order)

    def _function(self, name: str) -> Any:
        return devito.Function(name=name, grid=self.grid, space_order=self._space_order)

    def _sparse(self, name: str, npoint: int) -> Any:
        return devito.SparseTimeFunction(name=name, grid=self.grid, npoint=npoint, nt=self.num_steps)

    @cached_property
    def u(self) -> Any:
        """Wavefield of F and background of J."""
        return self._wavefield("u")

    @cached_property
    def du(self) -> Any:
        """Scattered wavefield of J."""
        return self._wavefield("du")

    @cached_property
    def v(self) -> Any:
        """Adjoint wavefield."""
        return self._wavefield("v")

    @cached_property
    def alpha(self) -> Any:
        """First coefficient of the update."""
        return self._function("alpha")

    @cached_property
    def beta(self) -> Any:
        """Second coefficient of the update."""
        return self._function("beta")

    @cached_property
    def dm(self) -> Any:
        """Perturbation of the squared slowness, over dt^2."""
        return self._function("dm")

    @cached_property
    def image(self) -> Any:
        """Migrated image, times dt^2."""
        return self._function("image")

    @cached_property
    def src(self) -> Any:
        """One source and its signature."""
        return self._sparse("src", 1)

    @cached_property
    def rec(self) -> Any:
        """Receivers and their record."""
        return self._sparse("rec", self._num_receivers)

    def kept(self) -> Any:
        """A new store for the background wavefield of one shot, without halo."""
        every = devito.ConditionalDimension("every", parent=self.grid.time_dim, factor=self._subsample)
        return devito.TimeFunction(
            name="kept",
            grid=self.grid,
            time_order=0,
            space_order=0,
            save=-(-self.num_steps // self._subsample),
            time_dim=every,
        )


def _born(f: Fields) -> stencils.Equations:
    return stencils.born(f.u, f.du, f.alpha, f.beta, dm=f.dm, src=f.src, rec=f.rec)


_EQUATIONS: dict[Kind, Callable[[Fields], stencils.Equations]] = {
    "forward": lambda f: stencils.forward(f.u, f.alpha, f.beta, src=f.src, rec=f.rec),
    "background": lambda f: stencils.background(f.u, f.alpha, f.beta, src=f.src, kept=f.kept()),
    "adjoint": lambda f: stencils.adjoint(f.v, f.alpha, f.beta, src=f.src, rec=f.rec),
    "born": _born,
    "born_keep": lambda f: [*_born(f), devito.Eq(f.kept(), f.u)],
    "born_adjoint": lambda f: stencils.born_adjoint(
        f.v, f.alpha, f.beta, image=f.image, rec=f.rec, kept=f.kept()
    ),
}

KEEPING: frozenset[Kind] = frozenset({"background", "born_keep", "born_adjoint"})
"""The kinds that use the kept background, whose code depends on the subsampling."""


@cache
def compiled(kind: Kind, setting: Setting, subsample: int) -> Any:
    """The Devito operator of a kind; ``subsample`` is 1 for kinds that keep nothing."""
    clear_stale_locks()
    fields = Fields(
        setting, (16,) * len(setting.spacing), num_steps=4 * subsample, num_receivers=1, subsample=subsample
    )
    return devito.Operator(_EQUATIONS[kind](fields), name=kind, subs=fields.grid.spacing_map)
