"""Power of calibration tests: how often each finds each fault, as a table in colours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.style import new_figure, styled

Rates = Mapping[str, Mapping[str, Mapping[str, float]]]
_ROW, _COLUMN_HEADING = 0.42, 3.0  # [cm]


@styled
def power(rates: Rates, *, level: float = 0.05) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the share of trials in which each test rejects each posterior, in per cent.

    In the column of the right posterior the numbers should be about the level; in all others near 100.

    Args:
        rates: Posterior (``right``, ``std 15 % too small``) to size (``60 pairs``) to test to rejection
            rate, the same sizes and tests throughout.
        level: Level of the tests.

    Returns:
        The figure and its axes, one a size.

    Raises:
        ValueError: If posteriors have different sizes or tests, or a rate is not in [0, 1].
    """
    sizes, tests = _checked(rates)
    posteriors = list(rates)
    height = _COLUMN_HEADING + _ROW * len(tests) + 1.3
    figure = new_figure("double" if len(sizes) > 1 else "single", height)
    axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for ax, size in zip(axes, sizes, strict=True):
        table = 100.0 * np.array([[rates[name][size][test] for name in posteriors] for test in tests])
        drawn = ax.imshow(table, cmap="Blues", vmin=0.0, vmax=100.0, aspect="auto")
        _numbers(ax, table)
        ax.set_xticks(range(len(posteriors)), posteriors, rotation=90)
        ax.set_yticks(range(len(tests)), tests)
        ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        ax.set_xlabel(size)
    bar = figure.colorbar(drawn, ax=axes.tolist(), location="bottom", aspect=50, shrink=0.6)
    bar.set_label(f"trials rejected at the {100 * level:g} % level (%)")
    return figure, axes


def _numbers(ax: Axes, table: NDArray[np.float64]) -> None:
    for (row, column), value in np.ndenumerate(table):
        colour = "white" if value > 60.0 else "black"
        ax.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=7.0)


def _checked(rates: Rates) -> tuple[list[str], list[str]]:
    if not rates:
        raise ValueError("expected rejection rates of at least 1 posterior, got none")
    first = next(iter(rates.values()))
    sizes = list(first)
    tests = list(next(iter(first.values()))) if sizes else []
    for name, by_size in rates.items():
        if list(by_size) != sizes or any(list(by_test) != tests for by_test in by_size.values()):
            raise ValueError(
                f"expected rates of {sizes} and {tests} for every posterior, got others for {name!r}"
            )
        values = [rate for by_test in by_size.values() for rate in by_test.values()]
        if not values or not all(0.0 <= rate <= 1.0 for rate in values):
            raise ValueError(f"expected rates in [0, 1] for {name!r}, got {values}")
    return sizes, tests
