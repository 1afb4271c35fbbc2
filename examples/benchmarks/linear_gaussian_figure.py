"""The figure of the linear-Gaussian benchmark: one observation, exact and learned moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.image_axes import ImageAxes, symmetric_limits
from posterior.plots.style import DEPARTURE, MAGNITUDE, SIGNED, new_figure, styled

Image = NDArray[np.floating]


@final
@dataclass(frozen=True)
class Column:
    """Moments of one posterior for one y, each (nx, nz), and its relative errors over all held-out y."""

    name: str
    mean: Image
    std: Image
    mean_error: float
    std_error: float


@final
@dataclass(frozen=True)
class Scale:
    """What the panels of one colour bar share."""

    label: str
    limits: tuple[float, float]
    cmap: str
    extend: str = "neither"


@styled
def draw(given: dict[str, Image], exact: Column, networks: Sequence[Column], wrong: Column) -> Figure:
    """Draw rows of means, of standard deviations, and of departures of means from the exact one.

    Args:
        given: Titles and images, (nx, nz), of the truth, the data and their illumination.
        exact: The exact posterior.
        networks: The learned ones.
        wrong: A posterior that fails, for comparison.
    """
    figure = new_figure("double", 14.0)
    grid = figure.subplots(3, len(networks) + 2, sharex=True, sharey=True)
    truth, data, light = ({title: image} for title, image in given.items())
    grey, widest = symmetric_limits(*truth.values(), *data.values()), float(exact.std.max())
    means: dict[str, Image] = {"Exact mean": exact.mean}
    stds: dict[str, Image] = {"Exact std": exact.std}
    for one in networks:
        means[f"{one.name}: mean\nerror {100 * one.mean_error:.1f} %"] = one.mean
        stds[f"{one.name}: std\nerror {100 * one.std_error:.1f} %"] = one.std
    departures: dict[str, Image] = {
        f"{one.name}:\nmean − exact mean": one.mean - exact.mean for one in (wrong, *networks)
    }
    for axes, sections, scale in (
        (grid[0], truth | means, Scale("Reflectivity", grey, SIGNED, "both")),
        (grid[1, :1], data, Scale("", grey, SIGNED)),
        (grid[1, 1:], stds, Scale("Standard deviation", (0.0, 1.1 * widest), MAGNITUDE)),
        (grid[2, :1], light, Scale("", (0.0, 1.0), MAGNITUDE)),
        (grid[2, 1:], departures, Scale("Difference", (-0.2 * widest, 0.2 * widest), DEPARTURE, "both")),
    ):
        left, bottom = axes[0] in grid[:, 0], axes[0] in grid[-1]
        _show(figure, list(axes), sections, scale, labels="z" * left + "x" * bottom)
    return figure


def _show(
    figure: Figure, axes: Sequence[Axes], sections: dict[str, Image], scale: Scale, *, labels: str
) -> None:
    """Sections side by side, with one colour bar behind the last; depths on the first alone."""
    images = ImageAxes(spacing=(10.0, 10.0))
    for ax, (title, section) in zip(axes, sections.items(), strict=True):
        shown = labels if ax is axes[0] else labels.replace("z", "")
        drawn = images.show(ax, section, limits=scale.limits, cmap=scale.cmap, labels=shown)
        ax.locator_params(nbins=3)
        ax.set_title(title)
    bar = figure.colorbar(drawn, ax=axes, label=scale.label, extend=scale.extend, aspect=18, pad=0.02)
    bar.ax.locator_params(nbins=5)
