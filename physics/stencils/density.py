r"""The acoustic wave equation of varying density.

With b the density of water over density, its flux f and the layers of `physics.stencils.acoustic`:

.. math:: b m u_{tt} + b \eta u_t - \nabla \cdot f = s, \qquad f_i = b \, \partial_i u

in space with derivatives half a cell after every cell (D^+) and back (D^-), D^{-T} = -D^+:

.. math:: f_i = b_i D^+ u + \psi_i, \qquad \psi_i^n = b' \psi_i^{n-1} + a' b_i D^+ u^n, \qquad
          \zeta_i^n = b \zeta_i^{n-1} + a D^- f_i^n

.. math:: u^{n+1} = 2 u^n - u^{n-1} + \beta \left( \sum_i (D^- f_i^n + \zeta_i^n) + s^n \right), \qquad
          \beta = \frac{\Delta t^2}{b m}

and the transpose, derived like that of constant density:

.. math:: \zeta_i^n = b \zeta_i^{n+1} + a v^n, \quad
          \psi_i^n = b' \psi_i^{n+1} - a' b_i D^+ (v^n + \zeta_i^n), \quad
          f_i = b_i D^+ (v^n + \zeta_i^n) - \psi_i^n

.. math:: v^{n-1} = 2 v^n - v^{n+1} + \beta \left( \sum_i D^- f_i^n + r^n \right)

Source:
    Tarantola, Inversion of seismic reflection data in the acoustic approximation, Geophysics 49, 1984.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from physics._devito import devito
from physics.model import EarthModel
from physics.stencils.acoustic import leap, time_coefficients
from physics.stencils.differences import after, at, before
from physics.stencils.scheme import Equations, Scheme, Slab


@final
class AcousticDensity(Scheme):
    """Varying density; see the head of this file."""

    @staticmethod
    def coefficients(model: EarthModel, dt: float) -> dict[str, NDArray[np.float64]]:
        """As for constant density, and the buoyancy half a cell after every cell, along each axis."""
        buoyancy = model.padding.pad(model.buoyancy)
        given = time_coefficients(model, dt)
        given["beta"] = given["beta"] / buoyancy
        for axis in range(model.ndim):
            following = np.roll(buoyancy, -1, axis=axis)
            edge = [slice(None)] * model.ndim
            edge[axis] = slice(-1, None)
            following[tuple(edge)] = buoyancy[tuple(edge)]
            # Arithmetic mean of densities: what a wave across an interface sees.
            given[f"buoyancy{axis}"] = 2.0 / (1.0 / buoyancy + 1.0 / following)
        return given

    @property
    def beta(self) -> Any:
        """dt^2 / (b m), less in a sponge."""
        return self.fields.function("beta")

    def step(self, u: Any, source: Any = 0) -> Equations:
        """One step: fluxes, layers, divergence."""
        time = self.fields.grid.stepping_dim
        fluxes, layers, given = [], [], []
        for number, axis in enumerate(self.axes):
            fluxes.append(
                self.every_step(self._flux(axis), self._buoyancy(number) * self._after(u, axis, {}))
            )
        for slab in self._layers(1):
            psi, a, b = self._half(u, slab)
            flux = at(self._flux(slab.axis), slab.place)
            here = at(psi, slab.place)
            layers += [self.every_step(here, b * here + a * flux), self.add_every_step(flux, here)]
        for slab in self._layers():
            zeta, a, b = self._full(u, slab)
            here = at(zeta, slab.place)
            divergence = self._before(self._flux(slab.axis), slab.axis, slab.place)
            given += [
                self.every_step(here, b * here + a * divergence),
                devito.Inc(at(u, {**slab.place, time: time + 1}), at(self.beta, slab.place) * here),
            ]
        step = leap(self, u, u.backward) + self.beta * (self._divergence() + source)
        return [*fluxes, *layers, devito.Eq(u.forward, step), *given]

    def adjoint_step(self, v: Any) -> Equations:
        """One step back."""
        fluxes, values, layers = [], [], []
        for number, axis in enumerate(self.axes):
            fluxes.append(
                self.every_step(self._flux(axis), self._buoyancy(number) * self._after(v, axis, {}))
            )
        for slab in self._layers():
            zeta, a, b = self._full(v, slab)
            here = at(zeta, slab.place)
            values.append(self.every_step(here, b * here + a * at(v, slab.place)))
        for slab in self._layers(self.setting.space_order // 2):
            zeta, *_ = self._full(v, slab)
            gradient = at(self._buoyancy(slab.number), slab.place) * self._after(zeta, slab.axis, slab.place)
            layers.append(self.add_every_step(at(self._flux(slab.axis), slab.place), gradient))
        for slab in self._layers(1):
            psi, a, b = self._half(v, slab)
            here, flux = at(psi, slab.place), at(self._flux(slab.axis), slab.place)
            layers += [self.every_step(here, b * here - a * flux), self.add_every_step(flux, -here)]
        step = leap(self, v, v.forward) + self.beta * self._divergence()
        return [*fluxes, *values, *layers, devito.Eq(v.backward, step)]

    def _after(self, field: Any, axis: Any, place: dict[Any, Any]) -> Any:
        return after(field, axis, self.setting.space_order, place)

    def _before(self, field: Any, axis: Any, place: dict[Any, Any]) -> Any:
        return before(field, axis, self.setting.space_order, place)

    def _divergence(self) -> Any:
        total: Any = 0
        for axis in self.axes:
            total = total + self._before(self._flux(axis), axis, {})
        return total

    def _flux(self, axis: Any) -> Any:
        return self.fields.function(f"flux_{axis.name}")

    def _buoyancy(self, number: int) -> Any:
        return self.fields.function(f"buoyancy{number}")

    def _layers(self, beyond: int = 0) -> list[Slab]:
        """The matched layers, and ``beyond`` cells of the model, which half cells or derivatives reach."""
        return self.slabs(self.setting.layer + beyond) if self.setting.layer else []

    def _half(self, u: Any, slab: Slab) -> tuple[Any, Any, Any]:
        """Memory psi and its coefficients, half a cell after every cell."""
        a, b = (self.fields.line(f"{name}_half{slab.number}", slab.number) for name in "ab")
        return self.memory(u, "psi", slab.axis), at(a, slab.place), at(b, slab.place)

    def _full(self, u: Any, slab: Slab) -> tuple[Any, Any, Any]:
        """Memory zeta and its coefficients, on the cells."""
        a, b = (self.fields.line(f"{name}{slab.number}", slab.number) for name in "ab")
        return self.memory(u, "zeta", slab.axis), at(a, slab.place), at(b, slab.place)
