"""Common-image gathers at some positions, below the image at zero offset."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from physics.errors import PhysicsError
from physics.plots.frame import Frame, Look, clip, percent
from physics.plots.style import SOURCE, WIDTHS, Width, new_figure, styled

_QUANTILE = 0.995
"""Of the magnitudes at zero offset, where the energy of a right background is."""
_HEIGHT = 4.6
"""Of the row of gathers [cm]."""


@styled
def plot_gathers(
    gather: ArrayLike,
    offsets: ArrayLike,
    frame: Frame,
    *,
    positions: ArrayLike,
    axis: int = 0,
    quantile: float = _QUANTILE,
    width: Width = "single",
) -> tuple[Figure, NDArray[Any]]:
    """Draw the image at zero offset, and below it the gathers at some x: offset across, depth down.

    In the right background the energy of every reflector gathers at zero offset. All panels share one
    symmetric grey scale, clipped at a quantile of the image at zero offset.

    Args:
        gather: Image gathers (noffsets, nx, nz) of a section.
        offsets: Half-offsets h (noffsets,), zero among them [m].
        frame: Axes (x, z) of the section.
        positions: Where to show gathers: x (n,) [m].
        axis: Axis of the half-offset: 0 is x, -1 is depth.
        quantile: Share of the zero-offset image that is not clipped.
        width: One or two columns of a page.

    Returns:
        The figure and its axes: the image, then the gathers.

    Raises:
        ValueError: If the gather is none of a section, does not fit the offsets, or a position is outside.
    """
    values, half = np.asarray(gather), np.asarray(offsets, dtype=np.float64)
    _check(values, half, frame)
    columns = [frame.nearest(0, x, values.shape[1]) for x in np.atleast_1d(positions)]
    image = values[np.abs(half).argmin()]
    look = Look.signed(np.ones(1), f"relative amplitude, clipped at {percent(quantile)} of h = 0")
    proportion = values.shape[1] * frame.spacing[0] / (values.shape[2] * frame.spacing[1])
    top = (WIDTHS[width] - 1.6) / proportion + 1.0
    figure = new_figure(width, top + _HEIGHT + 2.2)
    upper, lower = figure.subfigures(2, 1, height_ratios=[top, _HEIGHT + 2.2], squeeze=False)[:, 0]
    first = upper.subplots()
    size = clip(image, quantile)
    frame.show(first, image / size, look)
    first.set_title("Image at zero offset")
    row = lower.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
    for ax, column in zip(row, columns, strict=True):
        x = frame.centre(0, column)
        first.axvline(x, color=SOURCE, linewidth=0.7)
        drawn = _show(ax, values[:, column] / size, half, frame, look)
        ax.set(title=f"x = {x:.2f} km", xlabel=f"h$_{'xz'[axis]}$ (km)", ylabel="z (km)")
        ax.label_outer()
    lower.colorbar(drawn, ax=row, location="bottom", label=look.label, extend="both", shrink=0.7, aspect=30)
    return figure, np.array([first, *row], dtype=object)


def _show(ax: Axes, panel: NDArray[Any], half: NDArray[np.float64], frame: Frame, look: Look) -> Any:
    """Draw one gather (noffsets, nz)."""
    step = 0.5 * (half[1] - half[0]) / 1e3
    top, bottom = frame.edges(1, panel.shape[1])
    ax.axvline(0.0, color=SOURCE, linewidth=0.5, linestyle=(0, (4, 3)))
    far = float(f"{0.85 * half[-1] / 1e3:.1g}")
    ax.set_xticks([-far, 0.0, far], [f"−{far:g}", "0", f"{far:g}"])
    extent = (half[0] / 1e3 - step, half[-1] / 1e3 + step, bottom, top)
    low, high = look.limits
    return ax.imshow(panel.T, extent=extent, cmap=look.cmap, vmin=low, vmax=high, aspect="auto")


def _check(gather: NDArray[Any], half: NDArray[np.float64], frame: Frame) -> None:
    if gather.ndim != 3 or frame.ndim != 2 or half.shape != gather.shape[:1]:
        raise PhysicsError(
            f"expected gathers (noffsets, nx, nz) with offsets (noffsets,) in a frame of 2 axes, got shapes "
            f"{gather.shape} and {half.shape} in one of {frame.ndim}: take a section of a volume"
        )
    steps = np.diff(half)
    if not len(steps) or steps.min() <= 0.0 or np.ptp(steps) > 1e-6 * steps[0]:
        raise PhysicsError(
            "expected at least 2 rising offsets in equal steps, as `symmetric_offsets` makes them"
        )
    if np.abs(half).min() > 1e-6 * steps[0]:
        raise PhysicsError(
            f"expected zero among the offsets, got {half[0]:g} to {half[-1]:g} m in steps of {steps[0]:g} m"
        )
