"""What the physics refuses, and in which words: the value, the limit, the remedy.

Every check runs before anything is simulated, but for the last: a result that is not finite. All errors are
``ValueError``s, so that a caller need not know this module.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MIN_VELOCITY = 100.0
"""No rock is slower [m/s]; a model below it was written in km/s."""
_MAX_SAMPLING = 0.05
"""No survey samples more coarsely [s]; a value above it was written in milliseconds."""
_MAX_ONSET = 1e-3
"""Largest first sample of a wavelet over its peak: 60 dB down."""
_LARGEST_CORRECTION = 2e9
"""Bytes of a correction of time dispersion, in single precision."""
_LISTED = 5
"""Offending indices that a message names."""


class PhysicsError(ValueError):
    """Base of all errors of the wave physics."""


class UnitError(PhysicsError):
    """A value in other units than SI."""


class StabilityError(PhysicsError):
    """A time step above the stability limit."""


class DispersionError(PhysicsError):
    """A grid or a sampling too coarse for the wavelet."""


class GeometryError(PhysicsError):
    """Sources or receivers outside the model."""


class NonFiniteError(PhysicsError):
    """NaN or infinity in a model, in the input or in a result."""


def as_array(value: ArrayLike, shape: tuple[int, ...], name: str, dtype: Any) -> NDArray[Any]:
    """``value`` as a finite array of ``dtype``, or an error that names ``shape``, as ``name``."""
    array = np.asarray(value)
    if array.shape != shape:
        raise PhysicsError(f"expected {name} of shape {shape}, got {array.shape}")
    if np.iscomplexobj(array) or array.dtype.kind not in "fiub":
        raise PhysicsError(f"expected {name} of real numbers, got dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise NonFiniteError(f"expected finite {name}, got {_count(~np.isfinite(array))} NaN or infinite")
    return np.ascontiguousarray(array, dtype=dtype)


def check_velocity(vp: NDArray[np.float64]) -> None:
    """Refuse velocities that are not finite, not positive, or not in m/s."""
    if vp.ndim not in (2, 3) or min(vp.shape) < 2:
        raise PhysicsError(
            f"expected vp of shape (nx, nz) or (nx, ny, nz), at least 2 cells an axis, got {vp.shape}"
        )
    if not np.isfinite(vp).all():
        raise NonFiniteError(f"expected finite velocities, got {_count(~np.isfinite(vp))} NaN or infinite")
    if vp.min() <= 0.0:
        raise PhysicsError(f"expected positive velocities, got {_count(vp <= 0.0)} zero or negative")
    if vp.max() < _MIN_VELOCITY:
        raise UnitError(
            f"expected velocities in m/s, got a maximum of {vp.max():.4g}: looks like km/s, multiply by 1000"
        )


def check_sampling(dt: float, nt: int) -> None:
    """Refuse a sampling interval that is not positive seconds, or fewer than two samples."""
    if not (np.isfinite(dt) and dt > 0.0):
        raise PhysicsError(f"expected a positive sampling interval dt in seconds, got {dt!r}")
    if dt > _MAX_SAMPLING:
        raise UnitError(
            f"expected a sampling interval dt in seconds, got {dt:g}: looks like milliseconds, divide by 1000"
        )
    if nt < 2:
        raise PhysicsError(f"expected at least 2 time samples nt, got {nt}")


def check_inside(
    positions: NDArray[np.float64], name: str, *, lower: tuple[float, ...], upper: tuple[float, ...]
) -> None:
    """Refuse ``name`` positions (n, ndim) [m] outside the box from ``lower`` to ``upper``."""
    if positions.shape[1] != len(lower):
        raise GeometryError(
            f"expected {name} of shape (n, {len(lower)}) for a {len(lower)}-D model, got {positions.shape}"
        )
    # A position that was computed as a multiple of the spacing may round to just outside.
    slack = 1e-6 * (np.subtract(upper, lower).max() + 1.0)
    outside = ((positions < np.array(lower) - slack) | (positions > np.array(upper) + slack)).any(axis=1)
    if outside.any():
        bad = np.flatnonzero(outside)
        listed = ", ".join(f"{i} at {tuple(positions[i].tolist())}" for i in bad[:_LISTED])
        raise GeometryError(
            f"expected {name} inside the model, from {lower} to {upper} m, "
            f"got {bad.size} of {len(positions)} outside: {listed}{', ...' if bad.size > _LISTED else ''}"
        )


def check_time_step(dt: float, limit: float, vmax: float) -> None:
    """Refuse a computing step above the stability limit."""
    if dt > limit:
        raise StabilityError(
            f"expected a time step of at most {limit:.4g} s (stability limit at the largest velocity, "
            f"{vmax:.5g} m/s), got {dt:.4g} s: "
            f"use at least {int(np.ceil(dt / limit))} times as many steps a sample"
        )


def check_wavelet(wavelet: ArrayLike, nt: int) -> NDArray[np.float64]:
    """The wavelet as a float64 array (nt,); refuse one of other length, of zeros, or that starts abruptly."""
    array: NDArray[np.float64] = as_array(wavelet, (nt,), "wavelet, sampled like the records,", np.float64)
    peak = np.abs(array).max()
    if peak == 0.0:
        raise PhysicsError("expected a wavelet that is not zero everywhere, got zeros only")
    if abs(array[0]) > _MAX_ONSET * peak:
        raise PhysicsError(
            f"expected a wavelet that starts at zero (at most {_MAX_ONSET:g} of its peak), got "
            f"{abs(array[0]) / peak:.2g} at its first sample: delay it (a Ricker wavelet by 1.5 / f0)"
        )
    return array


def check_dispersion(vmin: float, spacing: float, *, frequency: float, needed: float, order: int) -> None:
    """Refuse fewer grid points a wavelength than ``needed`` by the space order at ``frequency`` [Hz]."""
    points = vmin / (spacing * frequency)
    if points < needed:
        raise DispersionError(
            f"expected at least {needed:.2f} grid points a wavelength for space order {order}, "
            f"got {points:.2f} ({vmin:.5g} m/s at {frequency:.3g} Hz, below which 90 % of the wavelet's "
            f"energy lies, spacing {spacing:g} m): use a spacing of at most "
            f"{vmin / (needed * frequency):.3g} m, a lower frequency by a factor of "
            f"{points / needed:.2f}, or a higher space order"
        )


def check_subsample(subsample: int, dt: float, f_max: float) -> None:
    """Refuse a background wavefield kept too rarely for the wavelet's highest frequency ``f_max`` [Hz]."""
    if subsample < 1:
        raise PhysicsError(f"expected subsample of at least 1 step, got {subsample}")
    nyquist = 0.5 / (subsample * dt)
    if subsample > 1 and nyquist < f_max:
        raise DispersionError(
            f"expected a kept wavefield whose Nyquist frequency is at least the wavelet's highest, "
            f"{f_max:.3g} Hz, got {nyquist:.3g} Hz (every {subsample} steps of {dt:g} s): "
            f"use subsample={max(1, int(0.5 / (f_max * dt)))} or less"
        )


def check_correction(nt: int, steps: int) -> None:
    """Refuse a correction of time dispersion whose matrix (nt, computing steps) would fill the memory."""
    size = 4.0 * nt * nt * steps
    if size > _LARGEST_CORRECTION:
        raise PhysicsError(
            f"expected records for which the correction of time dispersion fits into "
            f"{_LARGEST_CORRECTION / 1e9:.0f} GB, got {size / 1e9:.1f} GB for {nt} samples of {steps} steps: "
            "use a longer sampling interval, or Numerics(correct_dispersion=False)"
        )


def check_result(result: NDArray[Any], what: str) -> None:
    """Refuse a result that is not finite."""
    if not np.isfinite(result).all():
        raise NonFiniteError(
            f"expected a finite {what}, got {_count(~np.isfinite(result))} NaN or infinite: "
            f"the amplitudes overflow {result.dtype}, scale the input down"
        )


def _count(bad: NDArray[np.bool_]) -> str:
    """How many of how many, and where the first is."""
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{np.count_nonzero(bad)} of {bad.size} values (first at index {first})"
