"""Spread relative to size: coefficient of variation, and std normalised by an image's envelope."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array


def coefficient_of_variation(mean: ArrayLike, std: ArrayLike) -> Array:
    """Standard deviation relative to the mean, ``std / |mean|``, per cell.

    For quantities that keep away from 0, such as velocity. A reflectivity passes through 0 in every wiggle:
    take :func:`normalised_std` for it.

    Args:
        mean: Posterior mean, (...).
        std: Posterior standard deviation, (...), in the unit of the mean.

    Returns:
        Ratio without a unit, (...); NaN where the mean is 0.

    Raises:
        ValueError: If the shapes differ, a value is not finite, or a std is negative.
    """
    centre, spread = _checked(mean, std)
    size = np.abs(centre)
    return np.divide(spread, size, out=np.full(size.shape, np.nan), where=size > 0.0)


def envelope(image: ArrayLike, *, axis: int = -1) -> Array:
    """Envelope of traces, ``|x + i H x|`` with the Hilbert transform H along one axis.

    The spectrum's negative frequencies are set to 0 and its positive ones doubled. The trace is mirrored at
    both ends first, so that its two ends, which the Fourier transform takes for neighbours, meet smoothly.

    Args:
        image: Traces of any number of dimensions, (..., nz, ...).
        axis: Axis of the traces; depth, the last one, by default.

    Returns:
        Envelope in units of the image, never below ``|image|``, the image's shape.

    Raises:
        ValueError: If the image has no axis or a value is not finite.

    Source: Taner, Koehler and Sheriff, Geophysics 44 (1979), equations 1 to 4.

    Example:
        >>> wave = np.cos(2 * np.pi * np.arange(64) / 8)
        >>> bool(np.allclose(envelope(wave)[16:48], 1.0, atol=0.03))
        True
    """
    traces = np.asarray(image, dtype=np.float64)
    if traces.ndim == 0 or not np.isfinite(traces).all():
        raise ValueError(
            f"expected a finite image of shape (..., nz), got {traces.shape} or values not finite"
        )
    traces = np.moveaxis(traces, axis, -1)
    size = traces.shape[-1]
    mirrored = np.concatenate([traces, traces[..., ::-1]], axis=-1)
    weight = np.zeros(2 * size)
    weight[0] = weight[size] = 1.0
    weight[1:size] = 2.0
    analytic = np.fft.ifft(np.fft.fft(mirrored, axis=-1) * weight, axis=-1)[..., :size]
    return np.moveaxis(np.abs(analytic), -1, axis)


def normalised_std(mean: ArrayLike, std: ArrayLike, *, floor: float = 0.05, axis: int = -1) -> Array:
    r"""Standard deviation relative to the strength of the image around a cell.

    .. math:: \sigma A / (A^2 + \epsilon^2), \qquad A = |\bar x + i H \bar x|, \quad
        \epsilon = \text{floor} \cdot \max A

    A is the envelope of the posterior mean along depth: where a reflector is strong the result is ``std /
    A``, without the zeros of its wiggle; where there is none, noise divided by nothing is held down.

    Args:
        mean: Posterior mean, (...).
        std: Posterior standard deviation, (...), in the unit of the mean.
        floor: Share of the largest envelope below which an image counts as empty.
        axis: Axis of depth.

    Returns:
        Ratio without a unit, (...).

    Raises:
        ValueError: As :func:`coefficient_of_variation`; if the floor is not positive or the mean is 0
            everywhere.
    """
    centre, spread = _checked(mean, std)
    if not (np.isfinite(floor) and floor > 0.0):
        raise ValueError(f"expected a positive floor, got {floor!r}")
    strength = envelope(centre, axis=axis)
    largest = float(strength.max())
    if largest == 0.0:
        raise ValueError("expected a posterior mean that does not vanish everywhere, got zeros")
    # Relative to the largest: squares of images in s^2/m^2 would leave the range of floats.
    strength = strength / largest
    return (spread / largest) * strength / (strength**2 + floor**2)


def _checked(mean: ArrayLike, std: ArrayLike) -> tuple[Array, Array]:
    centre, spread = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    if centre.shape != spread.shape:
        raise ValueError(f"expected mean and std of one shape, got {centre.shape} and {spread.shape}")
    if not (np.isfinite(centre).all() and np.isfinite(spread).all() and (spread >= 0.0).all()):
        raise ValueError("expected a finite mean and a std of at least 0, got values that are not")
    return centre, spread
