"""Mutes, weights and gains of images and records: diagonal, so each is its own adjoint."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics.algebra import LinearOperator
from physics.errors import PhysicsError, as_array
from physics.geometry import Acquisition

_MAX_EXPONENT = 80.0
"""Largest exponent of a gain: single precision ends at exp(88)."""


class _Weighting(LinearOperator):
    """Multiplication by fixed weights; base of the operators below, which only differ in their weights."""

    def __init__(self, weights: NDArray[np.float64], dtype: Any) -> None:
        super().__init__(weights.shape, weights.shape, dtype)
        self.weights = weights.astype(self.dtype)
        self.weights.flags.writeable = False

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """Weights times x."""
        return self.weights * as_array(x, self.domain_shape, "input", self.dtype)

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """Weights times y: the operator is its own adjoint."""
        return self.forward(y)


@final
class WaterMute(_Weighting):
    r"""Zero above a depth, one below depth + taper, a squared sine between.

    .. math:: w(z) = \sin^2 \left( \tfrac{\pi}{2} \, \mathrm{clip}((z - z_0) / T, 0, 1) \right)

    Args:
        shape: Shape of the image, depth last.
        spacing: Grid spacing of each axis [m].
        depth: Depth z0 down to which the weight is zero [m]: a number, or a map over the horizontal axes, for
            example of the water bottom, shape ``shape[:-1]``.
        taper: Length T of the taper [m]; 0 for a sharp edge.
        dtype: Precision of the results.

    Example:
        >>> mute = WaterMute(J.domain_shape, m0.spacing, depth=25.0, taper=25.0)
        >>> image = mute @ rtm
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        spacing: tuple[float, ...],
        *,
        depth: ArrayLike,
        taper: float,
        dtype: Any = np.float32,
    ) -> None:
        if np.ndim(depth) != 0 and np.shape(depth) != shape[:-1]:
            raise PhysicsError(
                f"expected depth as a number or a map of shape {shape[:-1]}, got shape {np.shape(depth)}"
            )
        top = np.broadcast_to(as_array(depth, np.shape(depth), "depth", np.float64), shape[:-1])
        super().__init__(_ramp(_depths(shape, spacing) - top[..., None], taper), dtype)


@final
class DepthWeight(_Weighting):
    r"""Weight by relative depth to a power, against the geometric loss of amplitude in a migrated image.

    .. math:: w(z) = (z / z_{max})^p

    Args:
        shape: Shape of the image, depth last.
        power: Exponent p, at least 0.
        dtype: Precision of the results.
    """

    def __init__(self, shape: tuple[int, ...], *, power: float, dtype: Any = np.float32) -> None:
        if not (np.isfinite(power) and power >= 0.0):
            raise PhysicsError(f"expected a finite power of at least 0, got {power}")
        depth = np.linspace(0.0, 1.0, shape[-1])
        super().__init__(np.broadcast_to(depth**power, shape), dtype)


@final
class DirectMute(_Weighting):
    r"""Zero in the records before the direct wave has passed, with a smooth taper after it.

    .. math:: w(t) = \sin^2 \left( \tfrac{\pi}{2} \, \mathrm{clip}((t - t_0 - r / v) / T, 0, 1) \right)

    Args:
        survey: The survey, for the distance r from each source to each receiver.
        velocity: Velocity v of the direct wave [m/s].
        delay: Time t0 to add [s], for example the length of the wavelet.
        taper: Length T of the taper [s]; 0 for a sharp edge.
        dtype: Precision of the results.
    """

    def __init__(
        self, survey: Acquisition, *, velocity: float, delay: float, taper: float, dtype: Any = np.float32
    ) -> None:
        if not (np.isfinite(velocity) and velocity >= 100.0):
            raise PhysicsError(
                f"expected the velocity of the direct wave in m/s, at least 100, got {velocity}"
            )
        arrival = survey.distances() / velocity
        super().__init__(_ramp(_times(survey) - delay - arrival[:, None, :], taper), dtype)


@final
class TopMute(_Weighting):
    r"""Zero in the records before given times, with a smooth taper after them.

    .. math:: w(t) = \sin^2 \left( \tfrac{\pi}{2} \, \mathrm{clip}((t - t_0) / T, 0, 1) \right)

    Args:
        survey: The survey.
        times: Time t0 [s]: a number, one of each receiver (nrec,), or one of each trace (nsrc, nrec), for
            example picked first breaks.
        taper: Length T of the taper [s]; 0 for a sharp edge.
        dtype: Precision of the results.
    """

    def __init__(
        self, survey: Acquisition, *, times: ArrayLike, taper: float, dtype: Any = np.float32
    ) -> None:
        traces = (survey.num_sources, survey.num_receivers)
        if np.shape(times) not in ((), traces[1:], traces):
            raise PhysicsError(
                f"expected times as a number or of shape {traces[1:]} or {traces}, "
                f"got shape {np.shape(times)}"
            )
        start = np.broadcast_to(as_array(times, np.shape(times), "times", np.float64), traces)
        super().__init__(_ramp(_times(survey) - start[:, None, :], taper), dtype)


@final
class OffsetMute(_Weighting):
    """Zero in traces with offsets up to ``minimum`` and from ``maximum`` on, with smooth tapers inside.

    Args:
        survey: The survey, for the horizontal distance from each source to each receiver.
        minimum: Largest near offset that is muted [m]; None keeps all near offsets.
        maximum: Smallest far offset that is muted [m]; None keeps all far offsets.
        taper: Length of the tapers [m]; 0 for sharp edges.
        dtype: Precision of the results.
    """

    def __init__(
        self,
        survey: Acquisition,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        taper: float,
        dtype: Any = np.float32,
    ) -> None:
        low, high = (-np.inf if minimum is None else minimum), (np.inf if maximum is None else maximum)
        if not low < high:
            raise PhysicsError(f"expected a minimum below the maximum offset, got {minimum} and {maximum} m")
        offset = survey.distances(horizontal=True)[:, None, :]
        weights = _ramp(offset - low, taper) * _ramp(high - offset, taper)
        super().__init__(np.broadcast_to(weights, survey.record_shape), dtype)


@final
class TimeGain(_Weighting):
    r"""Gain against geometric spreading (power) and absorption (rate); free of the data, so linear.

    .. math:: w(t) = t^p e^{a t}

    Args:
        survey: The survey.
        power: Exponent p, at least 0; t is in seconds.
        rate: Rate a [1/s].
        dtype: Precision of the results.

    Source:
        Claerbout, Imaging the Earth's Interior, Blackwell, 1985 (t squared).
    """

    def __init__(
        self, survey: Acquisition, *, power: float = 0.0, rate: float = 0.0, dtype: Any = np.float32
    ) -> None:
        if not (np.isfinite(power) and power >= 0.0 and np.isfinite(rate)):
            raise PhysicsError(f"expected a power of at least 0 and a finite rate, got {power} and {rate}")
        time = _times(survey)
        exponent = rate * time.max()
        if exponent > _MAX_EXPONENT:
            raise PhysicsError(
                f"expected a rate below {_MAX_EXPONENT / time.max():.4g} 1/s for records of "
                f"{time.max():g} s, got {rate:g}: the gain would exceed 1e34"
            )
        super().__init__(np.broadcast_to(time**power * np.exp(rate * time), survey.record_shape), dtype)


@final
class LiveTraces(_Weighting):
    """Zero in dead traces, one in live ones.

    Args:
        survey: The survey.
        dtype: Precision of the results.
    """

    def __init__(self, survey: Acquisition, *, dtype: Any = np.float32) -> None:
        traces = (survey.num_sources, survey.num_receivers)
        live = np.ones(traces, np.bool_) if survey.live is None else survey.live
        super().__init__(np.broadcast_to(live[:, None, :], survey.record_shape).astype(np.float64), dtype)


def _times(survey: Acquisition) -> NDArray[np.float64]:
    """Times of the samples [s], shape (1, nt, 1)."""
    return np.arange(survey.nt, dtype=np.float64)[None, :, None] * survey.dt


def _depths(shape: tuple[int, ...], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Depth of every cell [m], shape of the image."""
    if len(spacing) != len(shape):
        raise PhysicsError(f"expected {len(shape)} spacings for shape {shape}, got {spacing}")
    return np.broadcast_to(np.arange(shape[-1]) * spacing[-1], shape)


def _ramp(distance: NDArray[np.float64], taper: float) -> NDArray[np.float64]:
    """Squared sine from 0 where ``distance`` is at most 0 to 1 where it is at least ``taper``."""
    if not (np.isfinite(taper) and taper >= 0.0):
        raise PhysicsError(f"expected a finite taper of at least 0, got {taper}")
    if taper == 0.0:
        return (distance > 0.0).astype(np.float64)
    return np.sin(0.5 * np.pi * np.clip(distance / taper, 0.0, 1.0)) ** 2
