"""Smooth Gaussian random functions of any dimension, drawn by one FFT."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

_PAD = 4.0
"""Padding in correlation lengths: the periodic image of a point then correlates with it by exp(-8)."""


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
