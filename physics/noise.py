"""Band-limited noise at a stated signal-to-noise ratio."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft

from physics.errors import PhysicsError, as_array


def add_noise(
    d: NDArray[Any], snr_db: float, wavelet: ArrayLike, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    r"""Add white Gaussian noise that was filtered to the wavelet's amplitude spectrum.

    .. math:: e_s = \sigma_s \, \mathcal{F}^{-1}(|W| \, \mathcal{F}(\varepsilon_s)), \qquad
              20 \log_{10} \frac{\|d_s\|_2}{\|e_s\|_2} = \mathrm{snr\_db} \quad \text{for every shot } s

    The ratio is that of the norms over all samples and receivers of a shot, and it is met exactly, not on
    average. A shot of zeros gets no noise. The noise is stationary over the record.

    Args:
        d: Records, shape (nsrc, nt, nrec).
        snr_db: Signal-to-noise ratio of each shot [dB].
        wavelet: Source wavelet, shape (nt,), sampled like the records.
        rng: Random generator.

    Returns:
        The noisy records and the noise, each shape (nsrc, nt, nrec) in the dtype of ``d``.

    Raises:
        ValueError: If a shape does not fit or a value is not finite.

    Example:
        >>> noisy, noise = add_noise(d, snr_db=12.0, wavelet=ricker(f0=15.0, dt=0.004, nt=376), rng=rng)
    """
    if np.ndim(d) != 3:
        raise PhysicsError(f"expected records d of shape (nsrc, nt, nrec), got {np.shape(d)}")
    d = as_array(d, np.shape(d), "records d", np.result_type(d, np.float32))
    signature: NDArray[np.float64] = as_array(wavelet, (d.shape[1],), "wavelet", np.float64)
    if not np.isfinite(snr_db):
        raise PhysicsError(f"expected a finite snr_db in decibels, got {snr_db}")
    if not signature.any():
        raise PhysicsError("expected a wavelet that is not zero everywhere, got zeros only")
    noise = _coloured(d.shape, signature, rng, d.dtype)
    target = _norms(d) * 10.0 ** (-snr_db / 20.0)
    noise *= (target / _norms(noise)).astype(d.dtype)
    return d + noise, noise


def _coloured(
    shape: tuple[int, ...], wavelet: NDArray[np.float64], rng: np.random.Generator, dtype: Any
) -> NDArray[Any]:
    """White noise (nsrc, nt, nrec) filtered by the wavelet's spectrum; time is last for the transforms."""
    num_shots, nt, num_receivers = shape
    size = next_fast_len(nt, real=True)
    white = rng.standard_normal((num_shots, num_receivers, size), dtype=dtype)
    spectrum = np.abs(rfft(wavelet, size)).astype(dtype)
    noise = irfft(rfft(white) * spectrum, size)[..., :nt]
    return np.ascontiguousarray(np.moveaxis(noise, 1, 2))


def _norms(records: NDArray[Any]) -> NDArray[np.float64]:
    """Norm of every shot, shape (nsrc, 1, 1)."""
    return np.sqrt(np.sum(np.square(records, dtype=np.float64), axis=(1, 2), keepdims=True))
