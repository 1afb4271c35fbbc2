r"""The acoustic wave equation and its linearisation as Devito expressions. Nothing runs here.

Equation, with squared slowness m, absorbing layer eta, source q and record d at the receivers:

.. math:: m u_{tt} + \eta u_t - \nabla^2 u = q, \qquad d = P_r u

Second order in time (u_tt centred, u_t to the newer side), any even order in space:

.. math:: u^{n+1} = u^n + \alpha (u^n - u^{n-1}) + \beta (\nabla_h^2 u^n + q^n), \qquad
          \alpha = \frac{m}{m + \eta \Delta t}, \quad \beta = \frac{\Delta t^2}{m + \eta \Delta t}

Times (m + eta dt) / dt^2 the scheme is a lower triangular system in time whose blocks are diagonal or the
symmetric Laplacian. Its transpose is therefore the same scheme run backwards, and the adjoints below are
exact to rounding.

Neither the time step nor the model stands in the generated code: they come with alpha and beta, in units
where the perturbation is dm / dt^2 and the image is to be multiplied by 1 / dt^2.

Source:
    Tarantola, Inversion of seismic reflection data in the acoustic approximation, Geophysics 49, 1984;
    Louboutin et al., Devito (v3.1.0), Geosci. Model Dev. 12, 2019, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from physics._devito import devito

Equations = list[Any]
"""Devito equations and sparse operations, in the order of execution."""


def coefficients(
    m: NDArray[np.float64], eta: NDArray[np.float64], dt: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The fields alpha [1] and beta [m^2] of the update, from m [s^2/m^2], eta [s/m^2] and dt [s]."""
    total = m + eta * dt
    return m / total, dt**2 / total


def forward(u: Any, alpha: Any, beta: Any, *, src: Any, rec: Any) -> Equations:
    """F: inject ``src`` (one source), propagate u, record u at ``rec``."""
    return [*_propagate(u, alpha, beta, src=src), rec.interpolate(expr=u)]


def background(u: Any, alpha: Any, beta: Any, *, src: Any, kept: Any) -> Equations:
    """Propagate u and keep it every few steps in ``kept``."""
    return [*_propagate(u, alpha, beta, src=src), devito.Eq(kept, u)]


def adjoint(v: Any, alpha: Any, beta: Any, *, src: Any, rec: Any) -> Equations:
    """F^T: inject the record ``rec`` at the receivers, propagate v backwards, read it at the source."""
    return [*_back_propagate(v, alpha, beta, rec=rec), src.interpolate(expr=v)]


def born(u: Any, du: Any, alpha: Any, beta: Any, *, dm: Any, src: Any, rec: Any) -> Equations:
    """J: the background u scatters at dm into du, m du_tt + eta du_t - lap du = -dm u_tt; record du.

    The second difference of u includes the injected source, so du is the exact derivative of the discrete u.
    """
    scattering = -dm * (u.forward - 2 * u + u.backward)
    return [
        *_propagate(u, alpha, beta, src=src),
        devito.Eq(du.forward, du + alpha * (du - du.backward) + beta * (du.laplace + scattering)),
        rec.interpolate(expr=du),
    ]


def born_adjoint(v: Any, alpha: Any, beta: Any, *, image: Any, rec: Any, kept: Any) -> Equations:
    """J^T: propagate the record backwards, correlate with the background: image = -sum_n u^n v_tt^n."""
    return [
        *_back_propagate(v, alpha, beta, rec=rec),
        devito.Inc(image, -kept * (v.backward - 2 * v + v.forward)),
    ]


def _propagate(u: Any, alpha: Any, beta: Any, *, src: Any) -> Equations:
    step = u + alpha * (u - u.backward) + beta * u.laplace
    return [devito.Eq(u.forward, step), src.inject(field=u.forward, expr=beta * src)]


def _back_propagate(v: Any, alpha: Any, beta: Any, *, rec: Any) -> Equations:
    step = v + alpha * (v - v.forward) + beta * v.laplace
    return [devito.Eq(v.backward, step), rec.inject(field=v.backward, expr=beta * rec)]
