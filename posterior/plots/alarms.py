"""Alarms: the scores of one survey within the scores of held-out surveys of the training distribution."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from posterior.plots.series import p_text
from posterior.plots.style import ESTIMATE, NEUTRAL, RAW, new_figure, styled
from posterior.uq import Reading, Reference, Verdict

_FAR = 0.6
"""A score farther beyond the histogram than this share of its width is shown by an arrow at the edge."""


@styled
def alarms(references: Sequence[Reference], verdict: Verdict) -> tuple[Figure, NDArray[np.object_]]:
    """Draw every score of a survey in the histogram of the reference scores, the verdict above.

    Shaded is what raises an alarm, at thresholds that share the false-alarm rate between the checks.

    Args:
        references: Scores of held-out surveys, as :class:`posterior.uq.Alarms` was given them.
        verdict: What it said of the survey.

    Returns:
        The figure and its axes, one a check.

    Raises:
        ValueError: If the verdict is of other checks than the references.
    """
    known = {reference.name: reference for reference in references}
    names = [reading.name for reading in verdict.readings]
    if not names or sorted(names) != sorted(known):
        raise ValueError(f"expected a verdict on {sorted(known)}, got one on {sorted(names)}")
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = new_figure("single" if columns == 1 else "double", 1.6 + 4.2 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in grid[len(names) :]:
        ax.remove()
    for place, (ax, reading) in enumerate(zip(grid, verdict.readings, strict=False)):
        _histogram(ax, known[reading.name], reading)
        ax.set_ylabel("" if place % columns else "Held-out surveys")
    raised = [reading.name for reading in verdict.readings if reading.alarm]
    words = (
        f"No alarm in {len(names)} checks: a survey like those of the training"
        if verdict
        else f"Do not trust this posterior: alarm by {', '.join(raised)}"
    )
    figure.suptitle(
        fill(words, 40 if columns == 1 else 100),
        color="black" if verdict else RAW,
        fontweight="bold",
        fontsize=8.0,
    )
    return figure, np.array(grid[: len(names)], dtype=object)


def _histogram(ax: Axes, reference: Reference, reading: Reading) -> None:
    scores, colour = reference.scores, RAW if reading.alarm else ESTIMATE
    bounds = [bound for bound in (reading.low, reading.high) if np.isfinite(bound)]
    low, high = min(scores[0], *bounds), max(scores[-1], *bounds)
    width = float(high - low) or abs(float(high)) or 1.0
    if np.isfinite(reading.score):
        low = max(min(low, reading.score), low - _FAR * width)
        high = min(max(high, reading.score), high + _FAR * width)
    low, high = low - 0.06 * width, high + 0.06 * width
    ax.hist(scores, bins=min(30, max(8, len(scores) // 6)), color=NEUTRAL, alpha=0.55)
    for edge, bound in ((low, reading.low), (high, reading.high)):
        if np.isfinite(bound):
            ax.axvspan(edge, bound, color=RAW, alpha=0.10, lw=0)
            ax.axvline(bound, color=RAW, lw=0.8, ls="--")
    ax.set_ylim(0.0, 1.3 * ax.get_ylim()[1])
    ax.set(xlim=(low, high), xlabel=reading.name)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.set_title(f"{'ALARM' if reading.alarm else 'no alarm'}, {p_text(reading.p_value)}", color=colour)
    _mark(ax, reading, colour)


def _mark(ax: Axes, reading: Reading, colour: str) -> None:
    """A line at the score; an arrow at the edge where it lies far outside; words where it is no number."""
    number = f"{reading.score:.4g}".replace("-", "−")
    low, high = ax.get_xlim()
    top = ax.get_ylim()[1]
    if not np.isfinite(reading.score):
        ax.text(0.5, 0.92, "score is not finite", color=colour, ha="center", va="top", transform=ax.transAxes)
    elif low <= reading.score <= high:
        ax.axvline(reading.score, ymax=0.86, color=colour, lw=1.6)
        right = reading.score > 0.5 * (low + high)
        ax.text(
            reading.score,
            0.97 * top,
            number,
            color=colour,
            ha="right" if right else "left",
            va="top",
        )
    else:
        edge, side = (high, 1.0) if reading.score > high else (low, -1.0)
        start = edge - 0.22 * side * (high - low)
        ax.annotate(
            "", (edge, 0.80 * top), (start, 0.80 * top), arrowprops={"arrowstyle": "->", "color": colour}
        )
        ax.text(
            edge - 0.03 * side * (high - low),
            0.97 * top,
            number,
            color=colour,
            ha="right" if side > 0 else "left",
            va="top",
        )
