"""Simultaneous sources: many shots fired together, each with its own weight and delay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft

from physics.algebra import LinearOperator
from physics.errors import GeometryError, PhysicsError, as_array
from physics.geometry import Acquisition


@final
class SourceEncoding(LinearOperator):
    r"""Sums of weighted and delayed shots.

    .. math:: (E d)_e(t) = \sum_s w_{es} \, d_s(t - \tau_{es}), \qquad
              (E^T y)_s(t) = \sum_e w_{es} \, y_e(t + \tau_{es})

    Delays are band-limited shifts (sinc interpolation) of records that count as zero outside. Modelling is
    linear and does not depend on time, so the records of all sources fired together with `signatures` are
    the encoded records of the single shots: exactly for delays of whole samples. A fraction of a sample feels
    where the record is cut off: 1e-2 of its peak at the last sample, 1e-3 twenty samples before, if the
    record is as loud at its end as elsewhere. The modelling's correction of time dispersion feels it alike.

    Args:
        survey: A survey whose receivers record all sources: a fixed spread without dead traces.
        weights: Weights w, shape (nenc, nsrc).
        delays: Delays tau [s], shape (nenc, nsrc), at least 0 and shorter than the record; none by default.
        dtype: Precision of the results.

    Shapes:
        d: (nsrc, nt, nrec), E d: (nenc, nt, nrec).

    Raises:
        ValueError: If the receivers move or a shape or a value does not fit.

    Source:
        Romero, Ghiglia, Ober and Morton, Phase encoding of shot records in prestack migration, Geophysics 65,
        2000; Krebs et al., Fast full-wavefield seismic inversion using encoded sources, Geophysics 74, 2009.

    Example:
        >>> E = random_signs(survey, 4, rng=np.random.default_rng(0))
        >>> few = E.forward(d)
        >>> q = E.signatures(wavelet)  # (4, nsrc, nt): what to fire together
    """

    def __init__(
        self,
        survey: Acquisition,
        *,
        weights: ArrayLike,
        delays: ArrayLike | None = None,
        dtype: Any = np.float32,
    ) -> None:
        _check_spread(survey)
        shape = (_count(weights), survey.num_sources)
        nsrc, nt, nrec = survey.record_shape
        super().__init__((nsrc, nt, nrec), (shape[0], nt, nrec), dtype)
        self.weights: NDArray[np.float64] = np.array(as_array(weights, shape, "weights", np.float64))
        given = np.zeros(shape) if delays is None else delays
        self.delays: NDArray[np.float64] = np.array(as_array(given, shape, "delays", np.float64))
        last = (nt - 1) * survey.dt
        if self.delays.min() < 0.0 or self.delays.max() > last:
            raise PhysicsError(
                f"expected delays from 0 to the record's length of {last:g} s, "
                f"got {self.delays.min():g} to {self.delays.max():g}"
            )
        for array in (self.weights, self.delays):
            array.flags.writeable = False
        self._dt = survey.dt
        # A Toeplitz matrix of nt lags either way is part of a circulant one of this size.
        self._size = next_fast_len(2 * nt - 1, real=True)

    @property
    def num_encodings(self) -> int:
        """Number of simultaneous shots."""
        return len(self.weights)

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """Encoded records (nenc, nt, nrec) of records (nsrc, nt, nrec)."""
        records = as_array(x, self.domain_shape, "records", self.dtype)
        if not self.delays.any():
            return np.tensordot(self.weights.astype(self.dtype), records, axes=1)
        encoded = np.zeros((self.num_encodings, self._size // 2 + 1, records.shape[2]), self._complex)
        for source, record in enumerate(records):
            spectrum = rfft(record, self._size, axis=0)
            for encoding, shift in self._shifts(source):
                encoded[encoding] += shift[:, None] * spectrum
        return self._back(encoded)

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """Records (nsrc, nt, nrec) of encoded records: undone delays, weights; crosstalk stays."""
        encoded = as_array(y, self.range_shape, "encoded records", self.dtype)
        if not self.delays.any():
            return np.tensordot(self.weights.T.astype(self.dtype), encoded, axes=1)
        spectra = rfft(encoded, self._size, axis=1)
        records = np.empty(self.domain_shape, self.dtype)
        for source in range(len(records)):
            total = sum(shift.conj()[:, None] * spectra[e] for e, shift in self._shifts(source))
            records[source] = self._back(np.asarray(total)[None])[0]
        return records

    def signatures(self, wavelet: ArrayLike) -> NDArray[np.float64]:
        """Signature of every source in every encoding: its weight times the delayed wavelet.

        Args:
            wavelet: Signature of all single shots, shape (nt,).

        Returns:
            Signatures, shape (nenc, nsrc, nt): the sources of encoding e fire ``signatures(w)[e]`` together.
        """
        nt = self.domain_shape[1]
        wave: NDArray[np.float64] = as_array(wavelet, (nt,), "wavelet", np.float64)
        spectrum = rfft(wave, self._size)
        fired = np.empty((*self.weights.shape, nt))
        for source in range(self.weights.shape[1]):
            for encoding, shift in self._shifts(source):
                fired[encoding, source] = irfft(shift * spectrum, self._size)[:nt]
        return fired

    @property
    def _complex(self) -> np.dtype[Any]:
        return np.result_type(self.dtype, np.complex64)

    def _shifts(self, source: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Spectrum of weight times sinc((n - tau / dt)), n from 1 - nt to nt - 1, for each encoding."""
        nt = self.domain_shape[1]
        lags = np.arange(self._size)
        lags = np.where(lags < nt, lags, lags - self._size)
        for encoding in range(self.num_encodings):
            delay = self.delays[encoding, source] / self._dt
            # A whole number of samples up to rounding is one: then the shift moves samples untouched.
            delay = round(delay) if abs(delay - round(delay)) < _WHOLE else delay
            kernel = self.weights[encoding, source] * np.sinc(lags - delay)
            yield encoding, rfft(kernel).astype(self._complex)

    def _back(self, spectra: NDArray[Any]) -> NDArray[Any]:
        records = irfft(spectra, self._size, axis=1)[:, : self.domain_shape[1]]
        return np.ascontiguousarray(records, dtype=self.dtype)


_WHOLE = 1e-9
"""Departure from a whole number of samples that is rounding."""


def random_signs(
    survey: Acquisition, num: int, *, rng: np.random.Generator, dtype: Any = np.float32
) -> SourceEncoding:
    r"""Weights +-1 / sqrt(num) at random: the mean of E^T E is the identity, with the least variance.

    Args:
        survey: Survey with a fixed spread.
        num: Number of simultaneous shots.
        rng: Random generator.
        dtype: Precision of the results.
    """
    signs = rng.integers(0, 2, (_checked(num), survey.num_sources)) * 2.0 - 1.0
    return SourceEncoding(survey, weights=signs / np.sqrt(num), dtype=dtype)


def gaussian(
    survey: Acquisition, num: int, *, rng: np.random.Generator, dtype: Any = np.float32
) -> SourceEncoding:
    """Gaussian weights of variance 1 / num: the mean of E^T E is the identity. Arguments: `random_signs`."""
    weights = rng.standard_normal((_checked(num), survey.num_sources)) / np.sqrt(num)
    return SourceEncoding(survey, weights=weights, dtype=dtype)


def random_delays(
    survey: Acquisition, num: int, *, longest: float, rng: np.random.Generator, dtype: Any = np.float32
) -> SourceEncoding:
    """All sources with weight 1 / sqrt(num), at random whole samples from 0 to ``longest`` seconds."""
    shape = (_checked(num), survey.num_sources)
    delays = rng.integers(0, int(longest / survey.dt + _WHOLE), shape, endpoint=True) * survey.dt
    return SourceEncoding(survey, weights=np.full(shape, num**-0.5), delays=delays, dtype=dtype)


def plane_waves(survey: Acquisition, slownesses: ArrayLike, *, dtype: Any = np.float32) -> SourceEncoding:
    r"""Plane waves: linear delays along the sources, from zero at the first one to fire.

    .. math:: \tau_{es} = p_e \cdot x_s - \min_{s'} p_e \cdot x_{s'}, \qquad p = \sin\theta / v

    Args:
        survey: Survey with a fixed spread.
        slownesses: Horizontal slownesses p [s/m], shape (num,) in 2-D, (num, 2) in 3-D; sin(angle) over the
            velocity at the sources.
        dtype: Precision of the results.

    Source:
        Whitmore, Iterative depth migration by backward time propagation, SEG 1983; Zhang et al., Delayed-shot
        3D depth migration, Geophysics 70, 2005.

    Example:
        >>> E = plane_waves(survey, np.sin(np.deg2rad([-20.0, 0.0, 20.0])) / 1500.0)
    """
    array = np.asarray(slownesses, dtype=np.float64)
    if survey.ndim == 2 and array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != survey.ndim - 1 or not array.size:
        raise PhysicsError(
            f"expected slownesses of shape {'(num,)' if survey.ndim == 2 else '(num, 2)'} for a "
            f"{survey.ndim}-D survey, got {np.shape(slownesses)}"
        )
    delays = array @ survey.sources[:, :-1].T
    delays -= delays.min(axis=1, keepdims=True)
    weights = np.full(delays.shape, len(delays) ** -0.5)
    return SourceEncoding(survey, weights=weights, delays=delays, dtype=dtype)


def _checked(num: int) -> int:
    if num < 1:
        raise PhysicsError(f"expected at least 1 simultaneous shot, got {num}")
    return num


def _count(weights: ArrayLike) -> int:
    if np.ndim(weights) != 2 or len(np.asarray(weights)) < 1:
        raise PhysicsError(f"expected weights of shape (nenc, nsrc), got {np.shape(weights)}")
    return len(np.asarray(weights))


def _check_spread(survey: Acquisition) -> None:
    if survey.moves or survey.live is not None:
        what = "receivers that move with the source" if survey.moves else "dead traces"
        raise GeometryError(
            f"expected receivers that record all sources, to fire them together, got {what}: "
            f"encode a fixed spread"
        )
