"""RMSE against posterior std: does the std tell where the error is large."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from posterior.plots.image_axes import Quantity
from posterior.plots.series import distinct
from posterior.plots.style import NEUTRAL, new_figure, styled
from posterior.uq import StdRmse


@styled
def std_rmse(results: Mapping[str, StdRmse], *, quantity: Quantity) -> tuple[Figure, Axes]:
    """Draw the RMSE of the posterior mean over bins of the posterior std.

    A calibrated posterior lies on the diagonal; above it the error bars are too small.

    Args:
        results: Name (``raw``, ``recalibrated``) to bins, at most four.
        quantity: Name and unit of the values.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: With no result, or more than four.
    """
    drawn = distinct(results, "results")
    figure = new_figure("single", 8.2)
    ax = figure.subplots()
    largest = 1.08 * quantity.scale * max(max(bins.std.max(), bins.rmse.max()) for bins in results.values())
    ax.plot([0, largest], [0, largest], color=NEUTRAL, lw=0.8, ls="--", label="calibrated, slope 1")
    for colour, marker, name, bins in drawn:
        label = f"{name}: slope {bins.slope:.2f}"
        std, rmse = bins.std * quantity.scale, bins.rmse * quantity.scale
        ax.plot(std, rmse, color=colour, marker=marker, ms=3.2, lw=0.8, label=label)
    suffix = f" ({quantity.unit})" if quantity.unit else ""
    ax.set(xlim=(0, largest), ylim=(0, largest), box_aspect=1)
    ax.set_xlabel(f"Posterior std{suffix}")
    ax.set_ylabel(f"RMSE of the posterior mean{suffix}")
    ax.set_title(f"{len(next(iter(results.values())).std)} bins of about equal count")
    ax.legend(loc="upper left")
    return figure, ax
