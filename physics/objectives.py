r"""How far a predicted record is from an observed one, and the derivative of that: the adjoint source.

.. math:: \phi(p, d), \qquad s = \frac{\partial \phi}{\partial p}

An objective is any callable ``(predicted, observed) -> (value, adjoint source)`` of records (nt, nrec) of one
shot; these are some. Dead traces are zero in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from physics.errors import PhysicsError


class Objective(Protocol):
    """Value and adjoint source of a shot; arrays (nt, nrec). Must not write into its arguments."""

    def __call__(self, predicted: NDArray[Any], observed: NDArray[Any], /) -> tuple[float, NDArray[Any]]:
        """The value, and its derivative with respect to ``predicted``, of the same shape."""


@final
@dataclass(frozen=True)
class LeastSquares:
    r"""Half the squared residual, the negative log-likelihood of white Gaussian noise.

    .. math:: \phi = \tfrac12 \sum r^2, \qquad r = p - d

    Example:
        >>> value, source = LeastSquares()(predicted, observed)
    """

    def __call__(self, predicted: NDArray[Any], observed: NDArray[Any], /) -> tuple[float, NDArray[Any]]:
        """The residual is the adjoint source."""
        residual = predicted - observed
        return 0.5 * _sum(residual**2), residual


@final
@dataclass(frozen=True)
class Huber:
    r"""Squares of small residuals, absolute values of large ones.

    .. math:: \phi = \sum \begin{cases} \tfrac12 r^2 & |r| \le \delta \\
              \delta (|r| - \tfrac12 \delta) & |r| > \delta \end{cases}

    Args:
        threshold: The residual delta from which on the objective grows linearly, in units of the records.

    Raises:
        ValueError: If the threshold is not positive.

    Source:
        Huber, Robust estimation of a location parameter, Ann. Math. Stat. 35, 1964; Guitton & Symes, Robust
        inversion of seismic data using the Huber norm, Geophysics 68, 2003.
    """

    threshold: float

    def __post_init__(self) -> None:
        _check_positive(self.threshold, "threshold of the Huber objective")

    def __call__(self, predicted: NDArray[Any], observed: NDArray[Any], /) -> tuple[float, NDArray[Any]]:
        """The adjoint source is the residual, clipped."""
        residual = predicted - observed
        clipped = np.clip(residual, -self.threshold, self.threshold)
        return _sum(clipped * (residual - 0.5 * clipped)), clipped


@final
@dataclass(frozen=True)
class StudentT:
    r"""Negative log-likelihood of noise with heavy tails: the larger an outlier, the less it pulls.

    .. math:: \phi = \tfrac{\nu + 1}{2} \sum \log \left( 1 + \frac{r^2}{\nu \sigma^2} \right), \qquad
              s = \frac{(\nu + 1) \, r}{\nu \sigma^2 + r^2}

    Args:
        scale: Scale sigma of the noise, in units of the records.
        degrees: Degrees of freedom nu; many are Gaussian noise.

    Raises:
        ValueError: If a value is not positive.

    Source:
        Aravkin, van Leeuwen & Herrmann, Robust full-waveform inversion using the Student's t-distribution,
        SEG 2011.
    """

    scale: float
    degrees: float = 2.0

    def __post_init__(self) -> None:
        _check_positive(self.scale, "scale of the Student's t objective")
        _check_positive(self.degrees, "degrees of freedom of the Student's t objective")

    def __call__(self, predicted: NDArray[Any], observed: NDArray[Any], /) -> tuple[float, NDArray[Any]]:
        """The adjoint source is the residual, weighted down where it is large."""
        residual = predicted - observed
        width = self.degrees * self.scale**2
        value = 0.5 * (self.degrees + 1.0) * _sum(np.log1p(residual**2 / width))
        return value, (self.degrees + 1.0) * residual / (width + residual**2)


@final
@dataclass(frozen=True)
class TraceCorrelation:
    r"""One minus the correlation at zero lag, trace by trace: amplitudes do not count.

    .. math:: \phi = \sum_r \left( 1 - \hat p_r \cdot \hat d_r \right), \qquad
              s_r = \frac{(\hat p_r \cdot \hat d_r) \hat p_r - \hat d_r}{\|p_r\|}, \qquad
              \hat p = \frac{p}{\|p\|}

    A trace that is zero in either record does not count.

    Source:
        Choi & Alkhalifah, Application of multi-source waveform inversion to marine streamer data using the
        global correlation norm, Geophys. Prospect. 60, 2012.
    """

    def __call__(self, predicted: NDArray[Any], observed: NDArray[Any], /) -> tuple[float, NDArray[Any]]:
        """The adjoint source is orthogonal to the predicted trace."""
        norms = [np.linalg.norm(record.astype(np.float64), axis=0) for record in (predicted, observed)]
        live = (norms[0] > 0.0) & (norms[1] > 0.0)
        inverse = [np.where(live, 1.0 / np.where(live, norm, 1.0), 0.0) for norm in norms]
        unit, target = predicted * inverse[0], observed * inverse[1]
        correlation = np.sum(unit * target, axis=0)
        return _sum(1.0 - correlation[live]), (correlation * unit - target) * inverse[0]


def _sum(values: NDArray[Any]) -> float:
    return float(np.sum(values, dtype=np.float64))


def _check_positive(value: float, name: str) -> None:
    if not (np.isfinite(value) and value > 0.0):
        raise PhysicsError(f"expected a positive {name}, got {value!r}")
