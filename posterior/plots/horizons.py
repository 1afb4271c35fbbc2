"""An interface with its error bars: the fan of its depths over the section, and about its mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import draw_section
from posterior.plots.style import RAW, SIGNED, TRUTH, WIDTHS, new_figure, styled
from posterior.uq import Horizon

_LEVELS = (0.9, 0.5)


@styled
def horizons(
    horizon: Horizon,
    section: ArrayLike,
    *,
    axes: ImageAxes,
    quantity: Quantity,
    truth: ArrayLike | None = None,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw mean depth and its 50 and 90 % bands over a section; below, the bands about the mean, enlarged.

    Bands are of the draws in which the interface is there; in how many it is, the title says.

    Args:
        horizon: Picks of all draws, (S, nx) [m].
        section: What lies below, such as the posterior mean, (nx, nz), SI units.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the section's values.
        truth: True depth of the interface, (nx,) [m]; NaN where there is none.

    Returns:
        The figure and its two axes.

    Raises:
        ValueError: If picks, section and truth do not fit one another, or no draw has the interface.
    """
    image = np.asarray(section, dtype=np.float64)
    traces = horizon.picks.shape[1:]
    if image.ndim != 2 or image.shape[:1] != traces:
        raise ValueError(f"expected a section of shape (nx, nz) with picks (S, nx), got {image.shape} and "
                         f"{horizon.picks.shape}")  # fmt: skip
    known = None if truth is None else np.asarray(truth, dtype=np.float64)
    if known is not None and known.shape != traces:
        raise ValueError(f"expected a true depth of shape {traces}, got {known.shape}")
    presence = 100.0 * horizon.presence
    if not presence.any():
        raise ValueError("expected an interface in at least one draw, got none")
    depth = (WIDTHS["single"] - 1.5) / axes.width_over_depth(image.shape)
    figure = new_figure("single", depth + 6.3)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(depth, 2.7))
    grey = Look(Look.of(image).limits, SIGNED)  # under which the fan is seen
    drawn = draw_section(above, image, axes, quantity=quantity, look=grey, labels="z")
    x, _ = axes.coordinates(image.shape)
    factor, unit = axes.unit(image.shape)
    _fan(above, x, horizon, known, factor=factor, zero=np.zeros(traces))
    _fan(below, x, horizon, known, factor=1.0, zero=horizon.mean)
    most, least = presence.max(), presence.min()
    range_ = f"{least:.0f} %" if round(most) == round(least) else f"{least:.0f} to {most:.0f} %"
    above.set_title(f"Interface found in {range_} of {len(horizon.picks)} draws")
    below.set(xlabel=f"Distance ({unit})", ylabel="Depth less\nmean (m)")
    below.invert_yaxis()
    below.locator_params(nbins=5)
    figure.colorbar(drawn, ax=above, location="top", label=quantity.label, extend="both", aspect=30)
    handles, names = below.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, columnspacing=1.0, handlelength=1.6)
    return figure, np.array([above, below], dtype=object)


def _fan(
    ax: Axes,
    x: NDArray[Any],
    horizon: Horizon,
    truth: NDArray[Any] | None,
    *,
    factor: float,
    zero: NDArray[Any],
) -> None:
    """Bands, mean and truth, less ``zero``."""
    for shade, level in zip((0.25, 0.45), _LEVELS, strict=True):
        low, high = horizon.quantiles([0.5 * (1.0 - level), 0.5 * (1.0 + level)])
        bounds = (factor * (bound - zero) for bound in (low, high))
        ax.fill_between(x, *bounds, color=RAW, alpha=shade, lw=0, label=f"{100 * level:.0f} %")
    ax.plot(x, factor * (horizon.mean - zero), color=RAW, lw=1.0, label="mean")
    if truth is not None:
        ax.plot(x, factor * (truth - zero), color="white", lw=1.8)  # rim, for dark sections
        ax.plot(x, factor * (truth - zero), color=TRUTH, lw=1.0, ls=(0, (4, 1.5)), label="truth")
