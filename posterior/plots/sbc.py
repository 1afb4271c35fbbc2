"""Simulation-based calibration: histograms of ranks and their ECDFs, with simultaneous bands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from posterior.plots.ranks import draw_band, ecdf_difference
from posterior.plots.series import p_text
from posterior.plots.style import ESTIMATE, NEUTRAL, RAW, new_figure, styled
from posterior.uq import RankTest


@styled
def sbc(
    histograms: Mapping[str, RankTest], ecdfs: Mapping[str, RankTest]
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the rank histogram of every functional, and all ECDFs less the uniform one.

    A calibrated posterior stays inside each band in all bins at once, with the band's probability. Ranks
    piled up at both
    ends: too narrow; in the middle: too wide; at one end: shifted.

    Args:
        histograms: Functional to its test with ``cumulative=False``.
        ecdfs: Functional to its test with ``cumulative=True``.

    Returns:
        The figure and its axes, histograms first, the ECDFs last.

    Raises:
        ValueError: Without a functional, or if the two name different ones.
    """
    if not histograms or histograms.keys() != ecdfs.keys():
        raise ValueError(f"expected tests of the same functionals, got {list(histograms)} and {list(ecdfs)}")
    columns = min(4, len(histograms) + 1)
    rows = -(-(len(histograms) + 1) // columns)
    figure = new_figure("double", 1.2 + 4.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    cells = grid.ravel().tolist()
    for ax, (name, test) in zip(cells, histograms.items(), strict=False):
        _histogram(ax, test)
        ax.set_title(f"{name}, {p_text(test.p_value)}")
    for ax in grid[:, 0]:
        ax.set_ylabel("Pairs in bin")
    used = cells[: len(histograms) + 1]
    for ax in cells[len(used) :]:
        ax.remove()
    _ecdf_differences(used[-1], ecdfs)
    for place, ax in enumerate(used):
        ax.set_xlabel("Rank of the truth / draws" if place + columns >= len(used) else "")
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    return figure, np.array(used, dtype=object)


def _histogram(ax: Axes, test: RankTest) -> None:
    left, width = test.edges[:-1], np.diff(test.edges)
    outside = (test.counts < test.lower) | (test.counts > test.upper)
    ax.stairs(test.upper, test.edges, baseline=test.lower, fill=True, color=NEUTRAL, alpha=0.25, lw=0)
    ax.stairs(test.expected, test.edges, color=NEUTRAL, lw=0.8, ls="--", baseline=None)
    colours = np.where(outside, RAW, ESTIMATE)
    ax.bar(
        left, test.counts, width, align="edge", color=colours, alpha=0.75, edgecolor="white", linewidth=0.4
    )
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.set_ylim(0, 1.15 * max(float(test.counts.max()), float(test.upper.max())))


def _ecdf_differences(ax: Axes, ecdfs: Mapping[str, RankTest]) -> None:
    draw_band(ax, next(iter(ecdfs.values())))
    for name, test in ecdfs.items():
        colour = RAW if test.outside else ESTIMATE
        ax.plot(*ecdf_difference(test), color=colour, lw=0.8, label=name)
    ax.set_ylabel("ECDF − uniform")
    ax.set_title(f"ECDFs, {sum(test.outside > 0 for test in ecdfs.values())} of {len(ecdfs)} outside")
