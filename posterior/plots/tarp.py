"""Accuracy with random points: how the credibilities of the truths are distributed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.ranks import draw_band, ecdf_difference
from posterior.plots.series import distinct, p_text
from posterior.plots.style import NEUTRAL, new_figure, styled
from posterior.uq import DEFAULT_LEVELS, TarpResult


@styled
def tarp(results: Mapping[str, TarpResult], *, level: float = 0.95) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the expected coverage of balls about random reference points, and its departure below.

    The p-value is of the credibilities of the pairs (Kolmogorov-Smirnov). The band holds for all
    credibilities at once. In an S shape a posterior is too narrow or too wide for the distances taken; all
    on one side, off centre.

    Args:
        results: Name of a posterior, or of a reference, to its credibilities, at most four.
        level: Probability that a calibrated posterior stays inside the band.

    Returns:
        The figure and its two axes.

    Raises:
        ValueError: With no result, or more than four.
    """
    drawn = list(distinct(results, "results"))
    figure = new_figure("single", 11.5)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1.0))
    above.plot([0, 100], [0, 100], color=NEUTRAL, lw=0.8, ls="--", label="calibrated")
    failed = []
    for colour, _, name, result in drawn:
        p_value = result.p_value
        failed += [name] if p_value < 1.0 - level else []
        covered = np.concatenate([[0.0], result.expected_coverage(), [1.0]])
        nominal = np.concatenate([[0.0], DEFAULT_LEVELS, [1.0]])
        above.plot(100.0 * nominal, 100.0 * covered, color=colour, label=f"{name}: {p_text(p_value)}")
    _departures(below, drawn, level)
    above.set(xlim=(0, 100), ylim=(0, 100), ylabel="Truths inside the ball (%)")
    above.set_title(f"Not calibrated: {', '.join(failed)}" if failed else "No sign of miscalibration")
    above.legend(loc="upper left")
    return figure, np.array([above, below], dtype=object)


def _departures(ax: Axes, drawn: list[tuple[str, str, str, TarpResult]], level: float) -> None:
    bands = set()
    pairs = []
    for colour, _, _, result in drawn:
        test = result.test(level=level)
        x, difference = ecdf_difference(test)
        size = (len(result.ranks), result.num_samples)
        if size not in bands:
            draw_band(ax, test, unit=100.0)
        bands.add(size)
        pairs.append(size[0])
        ax.plot(100.0 * x, 100.0 * difference, color=colour)
    many = str(pairs[0]) if len(set(pairs)) == 1 else f"{min(pairs)} to {max(pairs)}"
    ax.set(xlabel="Credibility of the ball (%)", ylabel="Difference (points)")
    ax.set_title(f"shaded: {100 * level:.4g} % of calibrated posteriors, {many} pairs")
