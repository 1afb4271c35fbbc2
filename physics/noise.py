"""Gaussian noise in records: band-limited, alike on neighbouring traces if so wished, at a stated ratio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from physics.config import (
    NoiseConfig,
    RecordedSpectrumConfig,
    SwellConfig,
    TableSpectrumConfig,
    WaveletSpectrumConfig,
)
from physics.errors import PhysicsError, as_array
from physics.geometry import Acquisition

_SEGMENT = 256
"""Samples of the segments over which a recorded window's spectrum is averaged."""
_SWELL_ORDER = 4
"""Power of frequency by which the amplitude of swell falls: 24 dB an octave."""


def add_noise(
    d: NDArray[Any], snr_db: float, wavelet: ArrayLike, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    r"""Add white Gaussian noise that was filtered to the wavelet's amplitude spectrum.

    .. math:: e_s = \sigma_s \, \mathcal{F}^{-1}(|W| \, \mathcal{F}(\varepsilon_s)), \qquad
              20 \log_{10} \frac{\|d_s\|_2}{\|e_s\|_2} = \mathrm{snr\_db} \quad \text{for every shot } s

    The ratio is that of the norms over all samples and receivers of a shot, and it is met exactly, not on
    average. A shot of zeros gets no noise. The noise is stationary over the record. `add_survey_noise` has
    other spectra, correlated traces and swell.

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
    if not np.isfinite(snr_db):
        raise PhysicsError(f"expected a finite snr_db in decibels, got {snr_db}")
    noise = _coloured(d, _wavelet_spectrum(wavelet, d.shape[1]), rng)
    noise *= _gain(d, noise, snr_db, axes=(1, 2))
    return d + noise, noise


def add_survey_noise(
    d: NDArray[Any],
    survey: Acquisition,
    config: NoiseConfig,
    *,
    wavelet: ArrayLike | None = None,
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any]]:
    r"""Add the noise that a configuration describes.

    .. math:: e_s = \sigma_s \left( \sqrt{1 - w} \, \hat{n}_s + \sqrt{w} \, \hat{b}_s \right), \qquad
              \mathrm{corr}(n_{sr}, n_{sr'}) = e^{-|x_r - x_{r'}| / L}

    with coloured noise n and swell b, each scaled to norm one in every shot, and the share w of swell. The
    ratio of the norms of d and e is met exactly, in each shot or over the survey. Dead traces stay zero.

    Args:
        d: Records, shape (nsrc, nt, nrec).
        survey: The survey that recorded them: sampling, distances of receivers, dead traces.
        config: Spectrum, correlation, swell and ratio.
        wavelet: Source wavelet, shape (nt,), for noise with its spectrum.
        rng: Random generator.

    Returns:
        The noisy records and the noise, each shape (nsrc, nt, nrec) in the dtype of ``d``.

    Raises:
        ValueError: If a shape does not fit, a value is not finite, or the spectrum is zero in the band.

    Example:
        >>> config = NoiseConfig(snr_db=6.0, swell=SwellConfig(share=0.5))
        >>> noisy, noise = add_survey_noise(d, survey, config, wavelet=wavelet, rng=rng)
    """
    d = as_array(d, survey.record_shape, "records d", np.result_type(d, np.float32))
    noise = _coloured(d, _spectrum(config, survey, wavelet), rng)
    noise = _correlate(noise, survey, config.correlation_length)
    if config.swell is not None:
        swell = _coloured(d, _swell_spectrum(config.swell, survey), rng)
        swell = _correlate(swell, survey, config.swell.correlation_length)
        for part, share in ((noise, 1.0 - config.swell.share), (swell, config.swell.share)):
            part *= (np.sqrt(share) / _norms(part, (1, 2))).astype(d.dtype)
        noise += swell
    noise *= _gain(d, noise, config.snr_db, axes=(1, 2) if config.ratio == "shot" else (0, 1, 2))
    return d + noise, noise


def _coloured(d: NDArray[Any], amplitude: NDArray[np.float64], rng: np.random.Generator) -> NDArray[Any]:
    """White noise shaped like d, filtered by an amplitude spectrum; time is last for the transforms."""
    num_shots, nt, num_receivers = d.shape
    size = next_fast_len(nt, real=True)
    white = rng.standard_normal((num_shots, num_receivers, size), dtype=d.dtype)
    noise = irfft(rfft(white) * amplitude.astype(d.dtype), size)[..., :nt]
    return np.ascontiguousarray(np.moveaxis(noise, 1, 2))


def _spectrum(config: NoiseConfig, survey: Acquisition, wavelet: ArrayLike | None) -> NDArray[np.float64]:
    """Amplitudes at the frequencies of the transform that `_coloured` makes."""
    spectrum = config.spectrum
    if isinstance(spectrum, WaveletSpectrumConfig):
        if wavelet is None:
            raise PhysicsError("expected a wavelet for noise with its spectrum, got None")
        return _wavelet_spectrum(wavelet, survey.nt)
    frequencies = _frequencies(survey)
    if isinstance(spectrum, TableSpectrumConfig):
        amplitude = np.interp(frequencies, spectrum.frequencies, spectrum.amplitudes)
    elif isinstance(spectrum, RecordedSpectrumConfig):
        amplitude = np.interp(frequencies, *_recorded_spectrum(spectrum), right=0.0)
    else:
        amplitude = np.ones_like(frequencies)
    if not amplitude.any():
        raise PhysicsError(
            f"expected a noise spectrum with power below the Nyquist frequency {0.5 / survey.dt:g} Hz, "
            f"got none"
        )
    return amplitude


def _frequencies(survey: Acquisition) -> NDArray[np.float64]:
    return rfftfreq(next_fast_len(survey.nt, real=True), survey.dt)


def _wavelet_spectrum(wavelet: ArrayLike, nt: int) -> NDArray[np.float64]:
    signature: NDArray[np.float64] = as_array(wavelet, (nt,), "wavelet", np.float64)
    if not signature.any():
        raise PhysicsError("expected a wavelet that is not zero everywhere, got zeros only")
    return np.abs(rfft(signature, next_fast_len(nt, real=True)))


def _swell_spectrum(swell: SwellConfig, survey: Acquisition) -> NDArray[np.float64]:
    """Flat up to the corner, then falling; without a mean, which is no swell."""
    amplitude = (1.0 + (_frequencies(survey) / swell.corner) ** (2 * _SWELL_ORDER)) ** -0.5
    amplitude[0] = 0.0
    return amplitude


def _recorded_spectrum(config: RecordedSpectrumConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies [Hz] and mean amplitudes of a recorded window (samples, traces).

    Source: Welch, IEEE Trans. Audio Electroacoust. 15, 1967.
    """
    path = Path(config.window)
    if not path.is_file():
        raise PhysicsError(f"expected a recorded window as an npy file at {path}, got none")
    window = np.load(path, allow_pickle=False)
    if window.ndim != 2 or window.shape[0] < 16:
        raise PhysicsError(
            f"expected a recorded window of shape (samples, traces) with at least 16 samples, "
            f"got {window.shape}"
        )
    window = as_array(window, window.shape, "recorded window", np.float64)
    frequencies, power = scipy.signal.welch(
        window, fs=1.0 / config.window_dt, nperseg=min(_SEGMENT, len(window)), axis=0
    )
    return frequencies, np.sqrt(power.mean(axis=1))


def _correlate(noise: NDArray[Any], survey: Acquisition, length: float) -> NDArray[Any]:
    """Mix independent traces of a shot so that they correlate by exp(-distance / length); dead ones: zero."""
    alike = not survey.moves and survey.live is None
    root = _root(survey.receivers, length) if alike and length > 0.0 else None
    for shot in range(survey.num_sources):
        used = np.arange(survey.num_receivers) if survey.live is None else np.flatnonzero(survey.live[shot])
        mixed = noise[shot][:, used]
        if length > 0.0:
            own = _root(survey.receivers_of(shot)[used], length) if root is None else root
            mixed = mixed @ own.T.astype(noise.dtype)
        noise[shot] = 0.0
        noise[shot][:, used] = mixed
    return noise


def _root(receivers: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Cholesky factor of the correlation, which is positive definite for distinct receivers."""
    distance = np.linalg.norm(receivers[:, None, :] - receivers[None, :, :], axis=-1)
    return np.linalg.cholesky(np.exp(-distance / length))


def _gain(d: NDArray[Any], noise: NDArray[Any], snr_db: float, *, axes: tuple[int, ...]) -> NDArray[Any]:
    """Factor on the noise that meets the ratio over some axes."""
    target = _norms(d, axes) * 10.0 ** (-snr_db / 20.0)
    return (target / _norms(noise, axes)).astype(d.dtype)


def _norms(records: NDArray[Any], axes: tuple[int, ...]) -> NDArray[np.float64]:
    """Norm over some axes, which are kept."""
    return np.sqrt(np.sum(np.square(records, dtype=np.float64), axis=axes, keepdims=True))
