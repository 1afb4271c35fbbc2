"""Smooth Gaussian random functions of any dimension, drawn by one FFT."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

_PAD = 4.0
"""Padding in correlation lengths: the periodic image of a point then correlates with it by exp(-8)."""
_MESH = 5.0
"""Mesh points a correlation length: a cubic spline between them errs by less than 1e-3."""
_MARGIN = 0.5
"""How far beyond its extent a random function is drawn, as a share of the extent."""


def gaussian_field(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    length: float,
) -> NDArray[np.float64]:
    """Draw a stationary Gaussian field of zero mean and unit variance.

    ``E[f(p) f(q)] = exp(-|p - q|^2 / (2 length^2))``: white noise times the square root of the spectral
    density, on a grid padded so far that the periodicity of the FFT cannot be seen.

    Args:
        rng: Source of the white noise.
        shape: Cells on each axis.
        spacing: Grid spacing of each axis [m].
        length: Correlation length [m].

    Returns:
        The field, of shape ``shape``.

    Source:
        Dietrich and Newsam (1997), SIAM J. Sci. Comput. 18(4), 1088-1107 (circulant embedding).

    Example:
        >>> gaussian_field(np.random.default_rng(0), (16, 8), (10.0, 10.0), 50.0).shape
        (16, 8)
    """
    padded = [
        scipy.fft.next_fast_len(n + int(_PAD * length / h), real=True)
        for n, h in zip(shape, spacing, strict=True)
    ]
    spectrum = scipy.fft.rfftn(rng.standard_normal(padded))
    for axis, (n, h) in enumerate(zip(padded, spacing, strict=True)):
        wavenumber = 2.0 * np.pi * scipy.fft.fftfreq(n, d=h)
        amplitude = np.exp(-((length * wavenumber) ** 2) / 4.0)
        amplitude /= np.sqrt(np.mean(amplitude**2))
        kept = amplitude[: spectrum.shape[axis]]
        spectrum *= kept.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    field = scipy.fft.irfftn(spectrum, s=padded)
    return field[tuple(slice(n) for n in shape)]


@final
class RandomFunction:
    """A smooth Gaussian random function of position: zero mean, unit variance, the same on every grid.

    It is drawn on a mesh that follows from the extent and the correlation length alone, and evaluated by a
    cubic spline; so a draw describes one earth, however finely that is sampled afterwards. Beyond half an
    extent outside, it keeps its value at the edge.

    Args:
        rng: Source of randomness.
        extent: Size of the region on each axis [m].
        length: Correlation length [m].
        lower: The region's corner of smallest coordinates [m]; the origin by default.

    Example:
        >>> f = RandomFunction(np.random.default_rng(0), (1000.0,), 200.0)
        >>> f(np.linspace(0.0, 1000.0, 5)).shape
        (5,)
    """

    def __init__(
        self,
        rng: np.random.Generator,
        extent: tuple[float, ...],
        length: float,
        *,
        lower: tuple[float, ...] | None = None,
    ) -> None:
        corner = np.zeros(len(extent)) if lower is None else np.array(lower)
        self._start = corner - _MARGIN * np.array(extent)
        sides = (1.0 + 2.0 * _MARGIN) * np.array(extent)
        counts = [max(8, int(np.ceil(_MESH * side / length))) + 1 for side in sides]
        self._step = sides / (np.array(counts) - 1)
        mesh = gaussian_field(rng, tuple(counts), tuple(self._step), length)
        self._spline = scipy.ndimage.spline_filter(mesh, order=3, mode="nearest")

    def __call__(self, *coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate at positions [m], one array for each axis, all of one shape."""
        axes = zip(np.broadcast_arrays(*coordinates), self._start, self._step, strict=True)
        index = np.stack([(position - start) / step for position, start, step in axes])
        # The spline's own continuation of the edge differs from the function by its overshoot: stay inside.
        for axis, count in zip(index, self._spline.shape, strict=True):
            np.clip(axis, 0.0, count - 1.0, out=axis)
        return scipy.ndimage.map_coordinates(self._spline, index, order=3, mode="nearest", prefilter=False)
