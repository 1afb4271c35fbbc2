"""Gaussian fields of a given covariance on a grid, drawn exactly by circulant embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
import scipy.fft
import scipy.special
from numpy.typing import NDArray

from physics.errors import PhysicsError

Array = NDArray[np.float64]

_TOLERANCE = 1e-6
"""Largest share of the variance that the embedding may add where its spectrum is negative."""
_GROWTH = 1.4
"""Factor by which a side of the embedding grows, until the spectrum is positive."""
_LARGEST = 1 << 25
"""Cells of the largest embedding: a quarter of a gigabyte a field."""


def matern(distance: Array, smoothness: float) -> Array:
    r"""Matern correlation.

    .. math:: \rho(r) = \frac{2^{1 - \nu}}{\Gamma(\nu)} (\sqrt{2 \nu} r)^\nu K_\nu(\sqrt{2 \nu} r)

    Args:
        distance: Distance r over the correlation length.
        smoothness: The order nu; 0.5 gives exp(-r).

    Source:
        Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, eq. (4.14).

    Example:
        >>> float(matern(np.array(1.0), 0.5).round(6))
        0.367879
    """
    scaled = np.sqrt(2.0 * smoothness) * np.asarray(distance, dtype=np.float64)
    # Nearer than this the correlation is 1 to rounding, and K_nu would overflow.
    away = scaled > 1e-9
    argument = np.where(away, scaled, 1.0)
    factor = 2.0 ** (1.0 - smoothness) / scipy.special.gamma(smoothness)
    return np.where(away, factor * argument**smoothness * scipy.special.kv(smoothness, argument), 1.0)


@final
class CovarianceField:
    """Stationary Gaussian fields of zero mean, unit variance and a given correlation of any form.

    The grid is embedded in a torus, on which the correlation is diagonal in the Fourier basis. The torus
    grows until its spectrum is positive; then the correlation of the draws is the given one between any two
    cells, to 1e-6 and for any grid, however coarse.

    Args:
        shape: Cells of each axis.
        spacing: Grid spacing of each axis [m].
        correlation: Function of the lags along each axis [m] that gives the correlation.

    Raises:
        ValueError: If no torus of reasonable size does, because the correlation reaches too far.

    Source:
        Dietrich & Newsam, Fast and exact simulation of stationary Gaussian processes through circulant
        embedding of the covariance matrix, SIAM J. Sci. Comput. 18, 1997.

    Example:
        >>> field = CovarianceField((16, 8), (10.0, 10.0), lambda x, z: np.exp(-np.hypot(x, z) / 50.0))
        >>> field.draw(np.random.default_rng(0)).shape
        (16, 8)
    """

    def __init__(
        self, shape: tuple[int, ...], spacing: tuple[float, ...], correlation: Callable[..., Array]
    ) -> None:
        self._shape = shape
        sides = [2 * n for n in shape]
        while True:
            torus = tuple(scipy.fft.next_fast_len(n, real=True) for n in sides)
            if np.prod(torus, dtype=np.float64) > _LARGEST:
                reach = ", ".join(f"{n * h:g}" for n, h in zip(shape, spacing, strict=True))
                raise PhysicsError(
                    f"expected correlation lengths that fit the model of {reach} m, got some that reach too "
                    "far beyond it to be drawn exactly: make them shorter, or the smoothness smaller"
                )
            values = _on_torus(torus, spacing, correlation)
            # The real part makes lags of half the torus symmetric; no two cells are that far apart.
            spectrum = scipy.fft.rfftn(values).real
            if -spectrum[spectrum < 0.0].sum() <= _TOLERANCE * spectrum.sum():
                break
            # Where the correlation has not died out half way round, the torus is too short.
            left = [np.abs(values.take(n // 2, axis)).max() for axis, n in enumerate(torus)]
            widest = int(np.argmax(left))
            sides[widest] = int(np.ceil(_GROWTH * sides[widest]))
        self._torus = torus
        self._amplitude = np.sqrt(np.maximum(spectrum, 0.0))

    def draw(self, rng: np.random.Generator) -> Array:
        """Draw one field."""
        white = scipy.fft.rfftn(rng.standard_normal(self._torus))
        field = scipy.fft.irfftn(self._amplitude * white, s=self._torus)
        return field[tuple(slice(n) for n in self._shape)]


def _on_torus(torus: tuple[int, ...], spacing: tuple[float, ...], correlation: Callable[..., Array]) -> Array:
    """The correlation at the shortest lags between the first cell of a torus and all its cells."""
    lags = [h * n * scipy.fft.fftfreq(n) for n, h in zip(torus, spacing, strict=True)]
    return correlation(*np.meshgrid(*lags, indexing="ij"))
