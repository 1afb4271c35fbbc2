"""A wave on its way through a model: a strip of snapshots."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from physics.errors import PhysicsError
from physics.plots.fields import in_km
from physics.plots.frame import Frame, Look, clip, percent
from physics.plots.style import SOURCE, WAVES, WIDTHS, Width, new_figure, styled

_WAVES_QUANTILE = 0.99
"""Of the magnitudes of all snapshots: a wave fills only part of each."""
_WIDE = 1.6
"""Width over depth from which a strip has two columns, not three."""
_OPACITY = 0.6
"""Exponent of the opacity of waves: below 1 so that weak ones are seen."""


@styled
def plot_wavefield(
    snapshots: ArrayLike,
    times: ArrayLike,
    frame: Frame,
    *,
    vp: ArrayLike | None = None,
    source: ArrayLike | None = None,
    quantile: float = _WAVES_QUANTILE,
    width: Width = "single",
) -> tuple[Figure, NDArray[Any]]:
    """Draw snapshots of the pressure over the model, all in one symmetric scale, with their times.

    Args:
        snapshots: Pressure (n, nx, nz) of a section.
        times: Time of each (n,) [s].
        frame: Axes (x, z) of the section.
        vp: Velocity (nx, nz) below the waves [m/s].
        source: Position (x, z) of the source [m].
        quantile: Share of all values that is not clipped.
        width: One or two columns of a page.

    Returns:
        The figure and its axes (rows, columns).

    Raises:
        ValueError: If the snapshots are no sections of the frame, or their number is not that of the times.
    """
    waves, when = np.asarray(snapshots), np.asarray(times)
    if waves.ndim != 3 or frame.ndim != 2 or len(waves) != len(when) or not len(waves):
        raise PhysicsError(
            f"expected snapshots (n, nx, nz) with times (n,) in a frame of 2 axes, got shapes {waves.shape} "
            f"and {when.shape} in one of {frame.ndim}: take a section of a volume"
        )
    backdrop = None if vp is None else _backdrop(in_km(frame.check(vp, "a velocity model")), waves.shape[1:])
    figure, grid = _panels(waves.shape, frame, width)
    size = clip(waves, quantile)
    look = Look(WAVES, (-1.0, 1.0), f"pressure over its {percent(quantile)} quantile")
    for ax, wave, t in zip(grid.flat, waves / size, when, strict=False):
        if backdrop is not None:
            frame.show(ax, *backdrop)
        opacity = np.clip(np.abs(wave), 0.0, 1.0) ** _OPACITY if backdrop is not None else None
        drawn = frame.show(ax, wave, look, alpha=opacity)
        if source is not None:
            ax.plot(*(np.asarray(source) / 1e3), marker="*", color=SOURCE, markersize=5.0, clip_on=False)
        ax.set_title(f"{t:.2f} s")
        ax.label_outer()
    for ax in grid.flat[len(waves) :]:
        ax.set_visible(False)
    figure.colorbar(drawn, ax=grid, location="bottom", label=look.label, extend="both", shrink=0.6, aspect=30)
    return figure, grid


def _panels(shape: tuple[int, ...], frame: Frame, width: Width) -> tuple[Figure, NDArray[Any]]:
    """Panels for so many sections at true proportions."""
    proportion = shape[1] * frame.spacing[0] / (shape[2] * frame.spacing[1])
    columns = min(shape[0], 2 if proportion >= _WIDE else 3)
    rows = -(-shape[0] // columns)
    panel = (WIDTHS[width] - 1.5) / columns / proportion
    figure = new_figure(width, rows * (panel + 0.6) + 2.2)
    return figure, figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)


def _backdrop(vp: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[NDArray[Any], Look]:
    """The model in light greys, which leave colours to the waves."""
    if vp.shape != shape:
        raise PhysicsError(f"expected a velocity model of the snapshots' shape {shape}, got {vp.shape}")
    low, high = float(vp.min()), float(vp.max())
    return vp, Look("gray_r", (low - 0.2 * (high - low), high + 1.2 * (high - low) + 1e-9), "")
