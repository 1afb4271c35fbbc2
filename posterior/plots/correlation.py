"""Which cells vary with a given one, and which correlations are no more than noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import draw_section, one_section, wide_bar
from posterior.plots.significance import NOT_COUNTED
from posterior.plots.style import styled
from posterior.uq import correlation_noise

_COLOURS = 400


@styled
def correlation(
    found: ArrayLike, point: Sequence[int], *, num_samples: int, axes: ImageAxes, level: float = 0.95
) -> tuple[Figure, Axes]:
    """Draw the correlation of all cells with one, which a cross marks; white is what noise alone reaches.

    Args:
        found: Correlations, (nx, nz), as :func:`posterior.uq.correlation_map` gives them; NaN for cells that
            do not vary.
        point: Indices (x, z) of the cell.
        num_samples: Number of draws they come from.
        axes: Spacing and origin of the grid.
        level: Probability that an unrelated cell stays white.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: If values are no correlations, or the point lies outside.
    """
    values = np.asarray(found, dtype=np.float64)
    if not np.isfinite(values).any() or np.nanmax(np.abs(values)) > 1.0:
        raise ValueError("expected correlations in [-1, 1], got none or values beyond")
    noise = correlation_noise(num_samples, level)
    x, z = axes.coordinates(values.shape)
    if len(point) != 2 or not all(0 <= i < n for i, n in zip(point, values.shape, strict=True)):
        raise ValueError(f"expected a point within a section of shape {values.shape}, got {tuple(point)}")
    figure, ax = one_section(axes, values.shape)
    look = Look((-1.0, 1.0), _white_within(noise))
    drawn = draw_section(ax, values, axes, quantity=Quantity(), look=look)
    ax.set_facecolor(NOT_COUNTED)
    across, down = x[point[0]], z[point[1]]
    ax.plot(across, down, marker="+", ms=11, mew=2.6, color="white")
    ax.plot(across, down, marker="+", ms=10, mew=1.2, color="black")
    _, unit = axes.unit(values.shape)
    ax.set_title(
        f"Correlation with the cell at x = {across:.4g}, z = {down:.4g} {unit}\n"
        f"white: |r| < {noise:.2f}, noise of {num_samples} draws ({100 * level:.4g} %)"
    )
    bar = wide_bar(figure, drawn, [ax], label="Correlation r", extend="neither")
    bar.set_ticks([-1.0, -0.5, 0.0, 0.5, 1.0])
    return figure, ax


def _white_within(noise: float) -> ListedColormap:
    """Blue to red through white, white throughout ``|r| < noise``."""
    values = 2.0 * (np.arange(_COLOURS) + 0.5) / _COLOURS - 1.0
    colours = colormaps["RdBu_r"](0.5 + 0.5 * values)
    colours[np.abs(values) < noise] = 1.0
    return ListedColormap(colours, name="correlation")
