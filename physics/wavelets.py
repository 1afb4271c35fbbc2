"""Source wavelets, their bandwidth, and their way from the sampling of the records to the computing steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from physics.errors import PhysicsError, UnitError, check_sampling

_MIN_FREQUENCY = 0.5
"""No seismic source peaks lower [Hz]; a value below it was written in kHz."""


def ricker(f0: float, dt: float, nt: int, delay: float | None = None) -> NDArray[np.float64]:
    r"""Ricker wavelet, the second derivative of a Gaussian.

    .. math:: w(t) = (1 - 2 a) e^{-a}, \qquad a = (\pi f_0 (t - t_0))^2

    Args:
        f0: Peak frequency [Hz].
        dt: Sampling interval [s].
        nt: Number of samples.
        delay: Time t0 of the peak [s]; 1.5 / f0 by default, where the first sample is 1e-8 of the peak.

    Returns:
        The wavelet, shape (nt,), peak 1.

    Raises:
        ValueError: If a value is not positive or looks like kHz or milliseconds.

    Source:
        Ricker, The form and laws of propagation of seismic wavelets, Geophysics 18, 1953.

    Example:
        >>> int(ricker(f0=15.0, dt=0.004, nt=376).argmax())
        25
    """
    check_sampling(dt, nt)
    if not (np.isfinite(f0) and f0 > 0.0):
        raise PhysicsError(f"expected a positive peak frequency f0 in hertz, got {f0!r}")
    if f0 < _MIN_FREQUENCY:
        raise UnitError(
            f"expected a peak frequency f0 in hertz, got {f0:g}: looks like kHz, multiply by 1000"
        )
    if f0 > 0.5 / dt:
        raise PhysicsError(
            f"expected a peak frequency below the Nyquist frequency {0.5 / dt:g} Hz, got {f0:g} Hz"
        )
    t0 = 1.5 / f0 if delay is None else delay
    a = (np.pi * f0 * (np.arange(nt) * dt - t0)) ** 2
    return (1.0 - 2.0 * a) * np.exp(-a)


def frequency_below(wavelet: NDArray[np.float64], dt: float, energy: float) -> float:
    """Frequency [Hz] below which the share ``energy`` of a wavelet's energy lies.

    For a Ricker wavelet: 1.5 f0 at 0.9, and 3.0 f0 at 1 - 1e-6.
    """
    size = 4 * len(wavelet)
    cumulative = np.cumsum(np.abs(np.fft.rfft(wavelet, size)) ** 2)
    return float(np.searchsorted(cumulative, energy * cumulative[-1]) / (size * dt))


def interpolate(samples: NDArray[Any], factor: int) -> NDArray[Any]:
    r"""Band-limited interpolation from (..., nt) to (..., (nt - 1) factor + 1) samples.

    .. math:: q_j = \sum_n \mathrm{sinc}(j / k - n) q_n

    The samples before the first and after the last count as zero. A linear map; its adjoint is
    `interpolate_adjoint`.
    """
    if factor == 1:
        return samples
    fine = np.zeros((*samples.shape[:-1], (samples.shape[-1] - 1) * factor + 1))
    fine[..., ::factor] = samples
    return _convolve_sinc(fine, factor)


def interpolate_adjoint(samples: NDArray[Any], factor: int) -> NDArray[Any]:
    """Adjoint of `interpolate`: the sinc is even, so it is the same convolution, then decimation."""
    return samples if factor == 1 else _convolve_sinc(samples, factor)[..., ::factor]


def _convolve_sinc(samples: NDArray[Any], factor: int) -> NDArray[Any]:
    """Convolution with the sinc at full length, so that interpolated samples pass through the given ones."""
    length = samples.shape[-1]
    kernel = np.sinc(np.arange(1 - length, length) / factor)
    return fftconvolve(samples, kernel.reshape((1,) * (samples.ndim - 1) + (-1,)), mode="same", axes=-1)
