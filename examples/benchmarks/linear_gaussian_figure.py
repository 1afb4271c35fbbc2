"""The figure of the linear-Gaussian benchmark: one observation, exact and learned moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.image_axes import ImageAxes, symmetric_limits
from posterior.plots.style import DEPARTURE, MAGNITUDE, SIGNED, new_figure, styled

Image = NDArray[np.floating]
AXES = ImageAxes(spacing=(10.0, 10.0))


@final
@dataclass(frozen=True)
class Column:
    """Moments of one posterior for one y, each (nx, nz), and its errors over all held-out y."""

    name: str
    mean: Image
    std: Image
    mean_error: float
    std_error: float


@styled
def draw(x: Image, y: Image, illumination: Image, columns: list[Column]) -> Figure:
    """Rows: means, standard deviations, departures of the means; columns: the pair, then the posteriors.

    Args:
        x: What the posteriors are to find, (nx, nz).
        y: What they are given.
        illumination: Weights of the data.
        columns: The exact posterior first.
    """
    exact, others = columns[0], columns[1:]
    figure = new_figure("double", 13.2)
    grid = figure.subplots(3, len(columns) + 1, sharex=True, sharey=True)
    grey, widest = symmetric_limits(x, y), float(exact.std.max())
    reach = 0.2 * widest
    given = [("Truth x", x), ("Data y", y)]
    means = [(column.name + _percent("mean", column.mean_error), column.mean) for column in columns]
    ...
    return figure
