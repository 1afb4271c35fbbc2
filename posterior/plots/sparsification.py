"""Sparsification: how the error falls when the least certain cells are taken away."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from posterior.plots.series import distinct
from posterior.plots.style import NEUTRAL, new_figure, styled
from posterior.uq import Sparsification


@styled
def sparsification(curves: Mapping[str, Sparsification]) -> tuple[Figure, Axes]:
    """Draw the RMSE of the cells left against the share taken away, the least certain first.

    A std that says where errors are lies on its dashed line, where it would be if errors were Gaussian with
    that very std; one that says nothing stays at 1. Dotted: the best order there is, by the error itself,
    which no posterior reaches. The order only is judged: a std that is twice too large changes nothing.

    Args:
        curves: Name of a posterior to its curves, at most four.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: With no curve, or more than four.
    """
    figure = new_figure("single", 8.8)
    ax = figure.subplots()
    ax.axhline(1.0, color=NEUTRAL, lw=0.8, label="std without information")
    for colour, _, name, curve in distinct(curves, "curves"):
        x = 100.0 * curve.removed
        label = f"{name}: area {curve.ause:.3f}, expected {curve.expected_ause:.3f}"
        ax.plot(x, curve.by_std, color=colour, label=label)
        ax.plot(x, curve.expected, color=colour, lw=0.8, ls="--")
        ax.plot(x, curve.by_error, color=colour, lw=0.8, ls=":")
    ax.plot([], [], color=NEUTRAL, lw=0.8, ls="--", label="expected of a right Gaussian posterior")
    ax.plot([], [], color=NEUTRAL, lw=0.8, ls=":", label="by the error itself (best)")
    ax.set_xlim(0, 100)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("Cells taken away, largest std first (%)")
    ax.set_ylabel("RMSE of the rest / RMSE of all")
    ax.set_title("area: between the curves by std and by error")
    figure.legend(loc="outside lower left")
    return figure, ax
