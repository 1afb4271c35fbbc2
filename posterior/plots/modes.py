"""Principal modes of the draws: their images, how much they explain, the draws in their coordinates."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes, Quantity, symmetric_limits
from posterior.plots.look import Look
from posterior.plots.sections import as_sections, draw_section, optional_truth, unit_suffix, wide_bar
from posterior.plots.style import ESTIMATE, NEUTRAL, TRUTH, WIDTHS, new_figure, styled
from posterior.uq import Modes

_SHOWN = 4


@styled
def modes(
    result: Modes,
    draws: ArrayLike,
    *,
    axes: ImageAxes,
    quantity: Quantity,
    truth: ArrayLike | None = None,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the first modes, each times its std; their shares of the variance; scores of draws and truth.

    Scores count in std of the draws along the mode, so that a truth beyond 3 or so is one the posterior did
    not expect.

    Args:
        result: At least two modes.
        draws: Posterior draws, (S, nx, nz), SI units.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        truth: True section, (nx, nz), if it is known.

    Returns:
        The figure and its axes: modes, then spectrum, then one scatter for each two modes.

    Raises:
        ValueError: With fewer than two modes, or draws that are not finite or do not fit.
    """
    if len(result.variance) < 2:
        raise ValueError(f"expected at least 2 modes, got {len(result.variance)}")
    cube = as_sections(draws)
    target = optional_truth(truth, result.mean.shape)
    shown = min(_SHOWN, len(result.variance))
    size = np.sqrt(result.variance)
    scaled = result.images * size[:, None, None]
    section = (WIDTHS["double"] - 1.3) / _SHOWN - 0.25
    height = section / axes.width_over_depth(result.mean.shape) + 3.2
    figure = new_figure("double", height + 5.2)
    rows = figure.add_gridspec(2, 1, height_ratios=(height, 5.2))
    top = rows[0].subgridspec(1, shown).subplots(squeeze=False, sharex=True, sharey=True)[0]
    look = Look(symmetric_limits(scaled[:shown], percentile=99.5), "RdBu_r")
    for number, ax in enumerate(top):
        labels = "x" if number else "xz"
        drawn = draw_section(ax, scaled[number], axes, quantity=quantity, look=look, labels=labels)
        ax.set_title(f"Mode {number + 1}: {100 * result.explained[number]:.1f} %")
    wide_bar(figure, drawn, list(top), label=f"mode × std along it{unit_suffix(quantity)}")
    bottom = rows[1].subgridspec(1, 1 + shown // 2).subplots(squeeze=False)[0]
    _spectrum(bottom[0], result, len(cube))
    scores = result.scores(cube) / size
    true = None if target is None else (result.scores(target[None]) / size)[0]
    for number, ax in enumerate(bottom[1:]):
        _scatter(ax, scores, true, 2 * number)
    return figure, np.array([*top, *bottom], dtype=object)


def _spectrum(ax: Axes, result: Modes, num: int) -> None:
    number = np.arange(1, len(result.variance) + 1)
    ax.bar(number, 100.0 * result.explained, color=ESTIMATE, alpha=0.8, label="each")
    ax.plot(number, 100.0 * np.cumsum(result.explained), color=NEUTRAL, marker="o", ms=2.5, label="together")
    ax.set(xlabel="Mode", ylabel="Share of the variance (%)", ylim=(0.0, None))
    ax.set_title(f"{num} draws")
    ax.locator_params(axis="x", integer=True, nbins=8)
    ax.legend(loc="upper left")


def _scatter(ax: Axes, scores: NDArray[np.floating], truth: NDArray[np.floating] | None, first: int) -> None:
    second = first + 1
    ax.scatter(scores[:, first], scores[:, second], s=6, color=ESTIMATE, alpha=0.6, lw=0, label="draws")
    if truth is not None:
        ax.scatter(truth[first], truth[second], s=70, color=TRUTH, marker="*", label="truth", lw=0)
    ax.axhline(0.0, color=NEUTRAL, lw=0.5)
    ax.axvline(0.0, color=NEUTRAL, lw=0.5)
    ax.set(xlabel=f"Score {first + 1} (std)", ylabel=f"Score {second + 1} (std)")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.22 * (high - low))  # room for the legend
    ax.legend(loc="upper center", ncols=2, handletextpad=0.2)
