"""A prior at a glance: some draws, the profile with depth, the histogram of velocities."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from physics.plots.style import BAND, LINE, VELOCITY, WIDTHS, new_figure, styled
from physics.priors.prior import GridPrior
from physics.priors.statistics import PriorStatistics, summarise

_SECTION_HEIGHTS = (1.4, 3.2)
"""Smallest and largest height of a section [cm]."""
_CURVES = 3.6
"""Height of the row of curves [cm]."""
_COLUMNS = 3


@styled
def plot_prior(
    prior: GridPrior, statistics: PriorStatistics | None = None, *, rows: int = 3, seed: int = 0
) -> Figure:
    """Draw a prior: a grid of earth models, mean and spread with depth, and the histogram of velocities.

    The draws are the first of `summarise` with the same seed, all in one colour scale, depth down. Of a 3-D
    draw the figure shows the vertical section through the middle of y.

    Args:
        prior: The prior.
        statistics: What `summarise` gave for it; computed from 100 draws if not given.
        rows: Rows of three draws.
        seed: Seed of the draws.

    Returns:
        A figure one journal column wide.
    """
    statistics = statistics or summarise(prior, seed=seed)
    draws = [prior.draw(np.random.default_rng([seed, i])) for i in range(rows * _COLUMNS)]
    width, depth = prior.grid.width / 1e3, prior.grid.depth / 1e3
    section = float(np.clip(0.75 * WIDTHS["single"] / _COLUMNS * depth / width, *_SECTION_HEIGHTS))
    heights = [*[section] * rows, _CURVES]
    figure = new_figure("single", sum(heights) + 1.6)
    parts = figure.subfigures(2, 1, height_ratios=[sum(heights[:-1]) + 1.0, _CURVES + 0.6], squeeze=False)
    _draw_sections(parts[0, 0], draws, (width, depth))
    profile, histogram = parts[1, 0].subplots(1, 2)
    _draw_profile(profile, statistics)
    _draw_histogram(histogram, statistics)
    return figure


def _draw_sections(figure: Any, draws: list[NDArray[np.float32]], size: tuple[float, float]) -> None:
    """Draw the sections on one colour scale, which spans what is drawn [km/s]."""
    sections = [(vp if vp.ndim == 2 else vp[:, vp.shape[1] // 2]) / 1e3 for vp in draws]
    limits = min(vp.min() for vp in sections), max(vp.max() for vp in sections)
    axes = figure.subplots(len(draws) // _COLUMNS, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    for ax, vp in zip(axes.flat, sections, strict=True):
        image = ax.imshow(
            vp.T,
            extent=(0.0, size[0], size[1], 0.0),
            vmin=limits[0],
            vmax=limits[1],
            cmap=VELOCITY,
            aspect="auto",
            interpolation="nearest",
        )
    for ax in axes[:, 0]:
        ax.set_ylabel("z (km)")
    for ax in axes[-1]:
        ax.set_xlabel("x (km)")
    figure.colorbar(image, ax=axes, label="velocity (km/s)", aspect=30, pad=0.02)


def _draw_profile(ax: Axes, statistics: PriorStatistics) -> None:
    """Draw the mean velocity with depth, and one standard deviation about it."""
    z = np.arange(statistics.mean.size) * statistics.spacing[-1] / 1e3
    mean, std = statistics.mean / 1e3, statistics.std / 1e3
    ax.fill_betweenx(z, mean - std, mean + std, color=BAND, linewidth=0.0)
    ax.plot(mean, z, color=LINE)
    ax.set(xlabel="velocity (km/s)", ylabel="z (km)", ylim=(z[-1], 0.0), title="mean ± std")


def _draw_histogram(ax: Axes, statistics: PriorStatistics) -> None:
    """Draw the share of the cells in each bin of velocity."""
    ax.stairs(100.0 * statistics.histogram, statistics.edges / 1e3, fill=True, color=LINE)
    ax.set(
        xlabel="velocity (km/s)",
        ylabel="cells (%)",
        title=f"{statistics.count} draws",
        xlim=(statistics.edges[0] / 1e3, statistics.edges[-1] / 1e3),
    )
