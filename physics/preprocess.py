"""Mutes and weights of images and records: diagonal, so each is its own adjoint."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics.algebra import LinearOperator
from physics.errors import PhysicsError, as_array
from physics.geometry import Acquisition


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
        distance = np.linalg.norm(survey.sources[:, None, :] - survey.receivers[None, :, :], axis=-1)
        time = np.arange(survey.nt)[None, :, None] * survey.dt
        super().__init__(_ramp(time - delay - distance[:, None, :] / velocity, taper), dtype)


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
