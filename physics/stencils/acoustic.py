r"""The acoustic wave equation of constant density.

With squared slowness m, source s, and either a sponge of damping eta or a matched layer in which every axis
is stretched, d/dx -> (1 + a *) d/dx, with convolutions kept up by recursion in memories psi and zeta:

.. math:: m u_{tt} + \eta u_t - \nabla^2 u = s, \qquad
          m u_{tt} - \nabla^2 u - \sum_i (\partial_i \psi_i + \zeta_i) = s

Second order in time, any even order in space, D the centred first and L the centred second derivative:

.. math:: u^{n+1} = u^n + \alpha (u^n - u^{n-1}) + \beta (\nabla_h^2 u^n + s^n), \qquad
          \alpha = \frac{m}{m + \eta \Delta t}, \quad \beta = \frac{\Delta t^2}{m + \eta \Delta t}

.. math:: \psi^n = b \psi^{n-1} + a D u^n, \qquad \zeta^n = b \zeta^{n-1} + a (L u^n + D \psi^n), \qquad
          u^{n+1} = 2 u^n - u^{n-1} + \beta (\nabla_h^2 u^n + \sum_i (D \psi_i^n + \zeta_i^n) + s^n)

The transpose. Times 1 / beta the first scheme is a lower triangular system in time whose blocks are diagonal
or the symmetric Laplacian: its transpose is the same scheme run backwards. Of the second, with Lagrange
multipliers v, p, w of its equations for u, psi and zeta, with psi now a p and zeta now a w, and D^T = -D:

.. math:: \zeta^n = b \zeta^{n+1} + a v^n, \qquad \psi^n = b \psi^{n+1} - a D (v^n + \zeta^n), \qquad
          v^{n-1} = 2 v^n - v^{n+1} + \beta (\nabla_h^2 v^n + \sum_i (L \zeta_i^n - D \psi_i^n) + r^n)

Source:
    Tarantola, Inversion of seismic reflection data in the acoustic approximation, Geophysics 49, 1984;
    Pasalic & McGarry, Convolutional perfectly matched layer for isotropic and anisotropic acoustic wave
    equations, SEG 2010 (memories); the transpose of the layer is derived here.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from physics._devito import devito
from physics.boundaries import matched_layer, sponge
from physics.model import EarthModel
from physics.stencils.differences import at, first, second
from physics.stencils.scheme import Equations, Scheme, Slab


def time_coefficients(model: EarthModel, dt: float) -> dict[str, NDArray[np.float64]]:
    """The coefficients alpha [1], beta [m^2] and (vp dt)^2 [m^2], and those of a matched layer."""
    padding = model.padding
    m = padding.pad(model.m)
    if model.boundary == "matched":
        lines = matched_layer(
            padding, model.spacing, model.layer_velocity, frequency=model.absorbing_frequency, dt=dt
        )
        names = ("a", "b", "a_half", "b_half")
        layer = {
            f"{name}{axis}": line
            for axis, four in enumerate(lines)
            for name, line in zip(names, four, strict=True)
        }
        return {"beta": dt**2 / m, "squared": dt**2 / m} | layer
    total = m + sponge(padding, model.spacing, model.layer_velocity) * dt
    return {"alpha": m / total, "beta": dt**2 / total, "squared": dt**2 / m}


def leap(scheme: Scheme, now: Any, past: Any) -> Any:
    """The part of a step that is in time alone: 2 u - u_past, damped in a sponge."""
    if scheme.setting.boundary == "matched":
        return 2 * now - past
    return now + scheme.fields.function("alpha") * (now - past)


@final
class Acoustic(Scheme):
    """Constant density; see the head of this file."""

    @staticmethod
    def coefficients(model: EarthModel, dt: float) -> dict[str, NDArray[np.float64]]:
        """As `time_coefficients`."""
        return time_coefficients(model, dt)

    @property
    def beta(self) -> Any:
        """dt^2 / m, less in a sponge."""
        return self.fields.function("beta")

    def step(self, u: Any, source: Any = 0) -> Equations:
        """One step; memories before it, what they give to the wavefield after it."""
        step = devito.Eq(u.forward, leap(self, u, u.backward) + self.beta * (self._laplacian(u) + source))
        order, time = self.setting.space_order, self.fields.grid.stepping_dim
        memories, layers = [], []
        for slab in self._layers():
            psi, _, a, b = self._parts(u, slab)
            memories.append(self._recursion(psi, slab, a, b, first(u, slab.axis, order, slab.place)))
        for slab in self._layers(order // 2):
            psi, zeta, a, b = self._parts(u, slab)
            gradient = first(psi, slab.axis, order, slab.place)
            stretched = second(u, slab.axis, order, slab.place) + gradient
            layers += [
                self._recursion(zeta, slab, a, b, stretched),
                devito.Inc(
                    at(u, {**slab.place, time: time + 1}),
                    at(self.beta, slab.place) * (gradient + at(zeta, slab.place)),
                ),
            ]
        return [*memories, step, *layers]

    def adjoint_step(self, v: Any) -> Equations:
        """One step back."""
        step = devito.Eq(v.backward, leap(self, v, v.forward) + self.beta * self._laplacian(v))
        order, time = self.setting.space_order, self.fields.grid.stepping_dim
        values, gradients, layers = [], [], []
        for slab in self._layers():
            _, zeta, a, b = self._parts(v, slab)
            values.append(self._recursion(zeta, slab, a, b, at(v, slab.place)))
        for slab in self._layers(1):
            psi, zeta, a, b = self._parts(v, slab)
            gradient = first(v, slab.axis, order, slab.place) + first(zeta, slab.axis, order, slab.place)
            gradients.append(self._recursion(psi, slab, a, b, -gradient))
        for slab in self._layers(max(order // 2, 2)):
            psi, zeta, _, _ = self._parts(v, slab)
            given = second(zeta, slab.axis, order, slab.place) - first(psi, slab.axis, order, slab.place)
            target = at(v, {**slab.place, time: time - 1})
            layers.append(devito.Inc(target, at(self.beta, slab.place) * given))
        return [*values, step, *gradients, *layers]

    def _laplacian(self, u: Any) -> Any:
        total: Any = 0
        for axis in self.axes:
            total = total + second(u, axis, self.setting.space_order, {})
        return total

    def _layers(self, beyond: int = 0) -> list[Slab]:
        """The matched layers, and ``beyond`` cells of the model, which their derivatives reach.

        Equations that read their neighbours' results want slabs of another width than those that make them:
        Devito fuses loops over equal slabs, and then reads results of later cells before they are there.
        """
        return self.slabs(self.setting.layer + beyond) if self.setting.layer else []

    def _parts(self, u: Any, slab: Slab) -> tuple[Any, Any, Any, Any]:
        """Memories psi and zeta, and coefficients a and b, of a wavefield along the axis of a slab."""
        psi, zeta = self.memory(u, "psi", slab.axis), self.memory(u, "zeta", slab.axis)
        a, b = (self.fields.line(f"{name}{slab.number}", slab.number) for name in "ab")
        return psi, zeta, a, b

    def _recursion(self, memory: Any, slab: Slab, a: Any, b: Any, value: Any) -> Any:
        """Memory = b memory + a value, within a slab."""
        here = at(memory, slab.place)
        return self.every_step(here, at(b, slab.place) * here + at(a, slab.place) * value)
