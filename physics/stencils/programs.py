r"""Modelling, linearised modelling and imaging of any wave equation.

With the wavefield u of the sources q, records d, and back-propagated records v:

.. math:: d = P_r u, \qquad q = P_s v, \qquad
          \delta u \leftarrow s = -\delta m \, u_{tt}, \qquad \delta m = -\sum_n u^n v^n_{tt}

The image of inverse scattering takes out what waves leave along their way, where u and v run in the same
direction, and equals the one above where v is reflected:

.. math:: \delta m = -\tfrac12 \sum_n \left( u^n v^n_{tt} + v_p^2 \nabla u^n \cdot \nabla v^n \right), \qquad
          s = -\tfrac12 \left( \delta m \, u_{tt} - \nabla \cdot (v_p^2 \delta m \nabla u) \right)

Neither the time step nor the model stands in the generated code: they come with the coefficients, in units
where the perturbation is dm / dt^2 and the image is to be multiplied by 1 / dt^2.

Source:
    Tarantola, Inversion of seismic reflection data in the acoustic approximation, Geophysics 49, 1984;
    Op 't Root, Stolk & de Hoop, Linearized inverse scattering based on seismic reverse time migration,
    J. Math. Pures Appl. 98, 2012; Whitmore & Crawley, Applications of RTM inverse scattering imaging
    conditions, SEG 2012.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from physics._devito import devito
from physics.fields import Fields
from physics.stencils.differences import first
from physics.stencils.scheme import Equations, Scheme

Kind = Literal[
    "forward",
    "forward_keep",
    "curvature_keep",
    "adjoint",
    "adjoint_keep",
    "born",
    "born_keep",
    "born_adjoint",
    "scattering",
    "scattering_keep",
    "scattering_adjoint",
    "extended",
]


@dataclass(frozen=True)
class Program:
    """Equations in the order of execution, and the stores that they read or write.

    Args:
        equations: What is run at every step.
        stores: Names of the kept wavefields.
        halo: The kept wavefields have a halo.
    """

    equations: Equations
    stores: tuple[str, ...] = ()
    halo: bool = False


def _forward(f: Fields, s: Scheme) -> Equations:
    """Propagate u from the sources."""
    u = f.wavefield("u")
    fire = f.src.inject(field=u.forward, expr=s.beta * f.src)
    return [*s.step(u), fire, *_surface(s, u, 1)]


def _backward(f: Fields, s: Scheme) -> Equations:
    """Propagate v back from the receivers."""
    v = f.wavefield("v")
    fire = f.rec.inject(field=v.backward, expr=s.beta * f.rec)
    return [*s.adjoint_step(v), fire, *_surface(s, v, -1)]


def _surface(s: Scheme, u: Any, direction: int) -> Equations:
    return s.surface(u, s.fields.grid.stepping_dim + direction)


def _curvature(u: Any) -> Any:
    """u_tt times dt^2. That of u includes the injected source, so J is the exact derivative of F."""
    return u.forward - 2 * u + u.backward


def _scattered(f: Fields, s: Scheme, source: Any) -> Equations:
    """Propagate and record what scatters off a source in every cell."""
    du = f.wavefield("du")
    return [*s.step(du, source), *_surface(s, du, 1), f.rec.interpolate(expr=du)]


def _born(f: Fields, s: Scheme) -> Equations:
    return [*_forward(f, s), *_scattered(f, s, -f.function("dm") * _curvature(f.wavefield("u")))]


def _inverse_scattering(f: Fields, s: Scheme) -> Equations:
    """J of the image that inverse scattering makes."""
    u, dm, order = f.wavefield("u"), f.function("dm"), f.setting.space_order
    gradients: Equations = []
    divergence: Any = 0
    for axis in s.axes:
        flux = f.function(f"bent_{axis.name}")
        gradients += [
            devito.Eq(flux, s.squared * dm * first(u, axis, order, {})),
            *s.surface(flux, None, sign=1),
        ]
        divergence = divergence + first(flux, axis, order, {})
    source = 0.5 * (divergence - dm * _curvature(u))
    return [*_forward(f, s), *gradients, *_scattered(f, s, source)]


def _correlate(f: Fields, s: Scheme) -> Equations:
    v = f.wavefield("v")
    return [*_backward(f, s), devito.Inc(f.function("image"), -f.kept("kept") * _curvature(v))]


def _correlate_gradients(f: Fields, s: Scheme) -> Equations:
    v, kept, order = f.wavefield("v"), f.kept("kept", halo=True), f.setting.space_order
    value: Any = kept * _curvature(v)
    for axis in s.axes:
        value = value + s.squared * first(kept, axis, order, {}) * first(v, axis, order, {})
    return [*_backward(f, s), devito.Inc(f.function("image"), -0.5 * value)]


def _keep(f: Fields, name: str, value: Any, *, halo: bool = False) -> Any:
    return devito.Eq(f.kept(name, halo=halo), value)


PROGRAMS: dict[Kind, Callable[[Fields, Scheme], Program]] = {
    "forward": lambda f, s: Program([*_forward(f, s), f.rec.interpolate(expr=f.wavefield("u"))]),
    "adjoint": lambda f, s: Program([*_backward(f, s), f.src.interpolate(expr=f.wavefield("v"))]),
    "forward_keep": lambda f, s: Program(
        [
            *_forward(f, s),
            f.rec.interpolate(expr=f.wavefield("u")),
            _keep(f, "kept", f.wavefield("u")),
        ],
        ("kept",),
    ),
    "born": lambda f, s: Program(_born(f, s)),
    "born_keep": lambda f, s: Program([*_born(f, s), _keep(f, "kept", f.wavefield("u"))], ("kept",)),
    "born_adjoint": lambda f, s: Program(_correlate(f, s), ("kept",)),
    "scattering": lambda f, s: Program(_inverse_scattering(f, s)),
    "scattering_keep": lambda f, s: Program(
        [*_forward(f, s), _keep(f, "kept", f.wavefield("u"), halo=True)], ("kept",), halo=True
    ),
    "scattering_adjoint": lambda f, s: Program(_correlate_gradients(f, s), ("kept",), halo=True),
    "curvature_keep": lambda f, s: Program(
        [*_forward(f, s), _keep(f, "kept", _curvature(f.wavefield("u")))], ("kept",)
    ),
    "adjoint_keep": lambda f, s: Program(
        [*_backward(f, s), _keep(f, "kept_v", _curvature(f.wavefield("v")))], ("kept_v",)
    ),
    "extended": lambda f, s: Program(
        [
            *s.step(f.wavefield("du")),
            devito.Inc(f.wavefield("du").forward, s.beta * f.kept("kept_v")),
            *_surface(s, f.wavefield("du"), 1),
            f.rec.interpolate(expr=f.wavefield("du")),
        ],
        ("kept_v",),
    ),
}
