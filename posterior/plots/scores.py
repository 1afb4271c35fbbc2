"""Scores of several posteriors side by side: dots with error bars, and what differences between them mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.series import COLOURS, distinct
from posterior.plots.style import NEUTRAL, new_figure, styled

Array = NDArray[np.float64]

_BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}


@styled
def scores(
    values: Mapping[str, Mapping[str, ArrayLike]], *, labels: Mapping[str, str] | None = None
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the mean score of each posterior over the same pairs; lower is better in all of them.

    Thin bars: two standard errors of the mean over pairs. Thick bars, from the second posterior on: two
    standard errors of its mean difference to the first, pair by pair, which is what tells the two apart,
    as pairs are hard or easy for all. Beside it the difference in per cent of the first.

    Args:
        values: Score (``CRPS``) to posterior (``raw``) to its value in each pair, (P,). The same posteriors
            in every score, at most four; of scores that need it (log score) negative values are fine.
        labels: Score to the label of its axis, with the unit; the score's name by default.

    Returns:
        The figure and its axes, one a score.

    Raises:
        ValueError: Without a score, with other posteriors from one score to the next, or with values that
            are not finite, or of different or fewer than two pairs.
    """
    if not values:
        raise ValueError("expected at least 1 score, got none")
    tables = {score: _checked(score, dict(row)) for score, row in values.items()}
    names = list(next(iter(tables.values())))
    for score, table in tables.items():
        if list(table) != names:
            raise ValueError(f"expected {names} in every score, got {list(table)} for {score!r}")
    columns = 1 if len(tables) == 1 else 2
    rows = -(-len(tables) // columns)
    figure = new_figure("single" if columns == 1 else "double", rows * (1.9 + 0.62 * len(names)) + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel().tolist()
    for ax in grid[len(tables) :]:
        ax.remove()
    axes = grid[: len(tables)]
    for ax, (score, table) in zip(axes, tables.items(), strict=True):
        _dots(ax, table)
        ax.set_xlabel(f"{(labels or {}).get(score, score)}, lower is better")
    pairs = len(next(iter(next(iter(tables.values())).values())))
    figure.suptitle(f"{pairs} pairs; thick bars: difference to {names[0]}, ± 2 standard errors", fontsize=7.5)
    return figure, np.array(axes, dtype=object)


def _checked(score: str, row: Mapping[str, ArrayLike]) -> dict[str, Array]:
    table = {name: np.asarray(values, dtype=np.float64) for *_, name, values in distinct(row, "posteriors")}
    shapes = {values.shape for values in table.values()}
    if len(shapes) > 1 or len(shape := shapes.pop()) != 1 or shape[0] < 2:
        raise ValueError(
            f"expected {score!r} of the same pairs (P,), P >= 2, for every posterior, "
            f"got {[values.shape for values in table.values()]}"
        )
    if not all(np.isfinite(values).all() for values in table.values()):
        raise ValueError(f"expected finite values of {score!r}, got some that are NaN or infinite")
    return table


def _dots(ax: Axes, table: Mapping[str, Array]) -> None:
    first = next(iter(table.values()))
    base = float(first.mean())
    for place, (colour, (_, values)) in enumerate(zip(COLOURS, table.items(), strict=False)):
        mean = float(values.mean())
        ax.errorbar(mean, place, xerr=2.0 * _error(values), color=colour, marker="o", ms=4, lw=0.8)
        if place:
            margin = 2.0 * _error(values - first)
            ax.plot([mean - margin, mean + margin], [place, place], color=colour, lw=3.2, alpha=0.45)
            text = _difference(mean - base, margin, base)
            ax.annotate(
                text,
                (mean, place),
                (0, 5),
                textcoords="offset points",
                ha="center",
                color=colour,
                bbox=_BLANK,
            )
    ax.axvline(base, color=NEUTRAL, lw=0.8, ls="--")
    ax.set_yticks(range(len(table)), list(table))
    ax.set_ylim(len(table) - 0.5, -0.7)
    ax.margins(x=0.18)
    ax.locator_params(axis="x", nbins=5)


def _error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(values.size))


def _difference(difference: float, margin: float, base: float) -> str:
    """Difference and margin, to two digits of the margin."""
    if not margin:
        return "the same" if not difference else "the same difference in all pairs"
    unit, sign = (100.0 / abs(base), " %") if base else (1.0, "")
    digits = max(0, 1 - int(np.floor(np.log10(unit * margin))))
    return f"{unit * difference:+.{digits}f} ± {unit * margin:.{digits}f}{sign}".replace("-", "−")
