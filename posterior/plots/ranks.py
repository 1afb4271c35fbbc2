"""Ranks of many functionals at once: their ECDFs in one simultaneous band, and the p-value of each."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.series import COLOURS
from posterior.plots.style import NEUTRAL, new_figure, styled
from posterior.uq import RankTest, holm

_WITHIN = "#8FB8DE"
_LINE = 40
"""Letters of a line of the title."""


@styled
def ranks(tests: Mapping[str, RankTest]) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the ECDF of every functional's ranks less the uniform one, and the p-values below.

    A calibrated posterior keeps each line inside the band everywhere at once, with the band's probability.
    An S shape, first above and then below: too narrow; first below: too wide; all on one side: off centre.
    The p-values are adjusted for the number of functionals (:func:`posterior.uq.holm`), so that one of them
    left of the line is more than chance.

    Args:
        tests: Functional to the test of its ranks, ``cumulative=True``, over the same pairs and draws; the
            four smallest p-values that fail get a colour each.

    Returns:
        The figure and its two axes.

    Raises:
        ValueError: Without a test, with one of a histogram, or with tests of different pairs or draws.
    """
    first = _first(tests)
    adjusted = holm({name: test.p_value for name, test in tests.items()})
    order = sorted(tests, key=lambda name: (adjusted[name], tests[name].p_value))
    failed = [name for name in order if adjusted[name] < 1.0 - first.level]
    colours = dict.fromkeys(order, _WITHIN) | dict.fromkeys(failed, NEUTRAL)
    colours |= dict(zip(failed, COLOURS, strict=False))
    below_height = 1.5 + 0.36 * len(order)
    figure = new_figure("single", 5.6 + below_height)
    above, below = figure.subplots(2, 1, height_ratios=(5.6, below_height))
    draw_band(above, first)
    for name in reversed(order):
        x, difference = ecdf_difference(tests[name])
        above.plot(x, difference, color=colours[name], lw=1.1 if name in failed else 0.7)
    above.set(xlim=(0, 1), xlabel="Rank of the truth / draws", ylabel="ECDF − uniform")
    # One column is narrower than the sentence.
    above.set_title(fill(_verdict(failed, len(order), first), _LINE))
    _p_values(below, order, adjusted, colours, 1.0 - first.level)
    return figure, np.array([above, below], dtype=object)


def draw_band(ax: Axes, test: RankTest, *, unit: float = 1.0) -> None:
    """Fill the band that the ECDF of a calibrated posterior keeps to, about zero; percent with unit 100."""
    total = test.expected[-1] / test.edges[-2]
    lower, upper = (unit * _anchored((bound - test.expected) / total) for bound in (test.lower, test.upper))
    ax.fill_between(unit * test.edges, lower, upper, color=NEUTRAL, alpha=0.25, lw=0)
    ax.axhline(0.0, color=NEUTRAL, lw=0.8, ls="--")


def ecdf_difference(test: RankTest) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fraction of the ranks and ECDF less the uniform one, both ends included."""
    total = test.expected[-1] / test.edges[-2]
    return np.asarray(test.edges, dtype=np.float64), _anchored((test.counts - test.expected) / total)


def _anchored(inner: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], inner, [0.0]])


def _first(tests: Mapping[str, RankTest]) -> RankTest:
    if not tests:
        raise ValueError("expected tests of at least 1 functional, got none")
    first = next(iter(tests.values()))
    for name, test in tests.items():
        if not test.cumulative:
            raise ValueError(f"expected a test with cumulative=True, got a histogram for {name!r}")
        if test.edges.shape != first.edges.shape or not np.allclose(test.expected, first.expected):
            raise ValueError(f"expected tests over the same pairs and draws, got others for {name!r}")
    return first


def _verdict(failed: list[str], count: int, test: RankTest) -> str:
    pairs = round(float(test.expected[-1] / test.edges[-2]))
    if not failed:
        return f"No sign of miscalibration in {count} functionals, {pairs} pairs"
    return f"Not calibrated: {len(failed)} of {count} functionals fail, {pairs} pairs"


def _p_values(
    ax: Axes, order: list[str], adjusted: Mapping[str, float], colours: Mapping[str, str], level: float
) -> None:
    places = np.arange(len(order))
    values = [adjusted[name] for name in order]
    ax.axvspan(min(5e-5, 0.5 * min(values)), level, color=COLOURS[0], alpha=0.10, lw=0)
    ax.axvline(level, color=NEUTRAL, lw=0.8, ls="--")
    ax.hlines(places, values, 1.0, color=[colours[name] for name in order], lw=0.7)
    ax.scatter(values, places, color=[colours[name] for name in order], s=13, zorder=3)
    ax.set(xscale="log", xlim=(min(5e-5, 0.5 * min(values)), 1.15), ylim=(len(order) - 0.4, -0.6))
    ax.set_yticks(places, order)
    ax.set_xlabel(f"p-value adjusted for {len(order)} tests; fails below {level:.2g}")
