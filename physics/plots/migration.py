"""A migrated image beside the perturbation that it is an image of, and the light that fell on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from physics.errors import PhysicsError
from physics.plots.fields import Panel, draw_fields
from physics.plots.frame import QUANTILE, Frame, Look, clip, percent
from physics.plots.style import ENERGY, Width, styled

_RANGE, _STEP = 40.0, 5.0
"""Decibels of illumination that are shown below the largest, at most, and in which steps less."""
_TO_KM = 1e6
"""s^2/m^2 in s^2/km^2."""


@styled
def plot_migration(
    image: ArrayLike,
    frame: Frame,
    *,
    truth: ArrayLike | None = None,
    illumination: ArrayLike | None = None,
    quantile: float = QUANTILE,
    width: Width = "single",
) -> tuple[Figure, NDArray[Any]]:
    """Draw true perturbation, migrated image and illumination below each other, those that are given.

    Amplitudes are symmetric greys clipped at a stated quantile; the image, in no unit of rock, is divided by
    that quantile; illumination is in decibels below its largest. Volumes are drawn as three slices.

    Args:
        image: Migrated image of the frame's dimensions.
        frame: Axes of the fields.
        truth: Perturbation of squared slowness [s^2/m^2].
        illumination: Energy of the sources' wavefields in every cell.
        quantile: Share of a field's values that is not clipped.
        width: One or two columns of a page.

    Returns:
        The figure and its axes, (fields, 1) or (fields, 3).

    Raises:
        ValueError: If a field has other dimensions than the frame or another shape than the image.
    """
    field = frame.check(image, "an image")
    clipped = f"clipped at {percent(quantile)}"
    panels = [Panel("Migrated image", *_normalised(field, quantile, clipped))]
    if truth is not None:
        values = _TO_KM * _like(truth, field.shape, "a perturbation")
        look = Look.signed(values, f"δm (s²/km²),\n{clipped}", quantile=quantile)
        panels.insert(0, Panel("True perturbation", values, look))
    if illumination is not None:
        level = _decibels(_like(illumination, field.shape, "an illumination"))
        darkest = max(_STEP * np.floor(level.min() / _STEP), -_RANGE)
        panels.append(Panel("Source illumination", level, Look(ENERGY, (darkest, 0.0), "energy (dB)")))
    return draw_fields(panels, frame, width)


def _normalised(
    image: NDArray[np.floating], quantile: float, clipped: str
) -> tuple[NDArray[np.floating], Look]:
    return image / clip(image, quantile), Look.signed(np.ones(1), f"relative amplitude,\n{clipped}")


def _like(field: ArrayLike, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    array = np.asarray(field, dtype=np.float64)
    if array.shape != shape:
        raise PhysicsError(f"expected {what} of the image's shape {shape}, got {array.shape}")
    return array


def _decibels(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy relative to its largest [dB]; what has none is at the lower end of the scale."""
    largest = energy.max()
    if not largest > 0.0:
        raise PhysicsError("expected an illumination that is positive somewhere, got zeros only")
    return 10.0 * np.log10(np.maximum(energy / largest, 0.1 ** (_RANGE / 10.0)))
