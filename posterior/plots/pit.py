"""Probability integral transforms over a section: where the posterior is off centre, where too narrow."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes
from posterior.plots.series import COLOURS
from posterior.plots.significance import NOT_COUNTED, bonferroni, labels_of, outline, row_of_sections
from posterior.plots.style import DEPARTURE, NEUTRAL, styled
from posterior.uq import PitMap
from posterior.uq.checks import as_mask


@styled
def pit(
    transforms: PitMap, *, axes: ImageAxes, where: ArrayLike | None = None, confidence: float = 0.95
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the two maps of standard scores, and how their cells are distributed.

    Left: where truths lie above (blue) or below (red) the draws; middle: where the posterior is too narrow
    (red) or too wide (blue). Outlined are cells that chance does not explain, allowing for their number.
    Right: both scores over cells; for a calibrated posterior of spread 1 (with cells that depend on one
    another, so that the histogram may be ragged).

    Args:
        transforms: Pairs taken in.
        axes: Spacing and origin of the grid.
        where: Cells that count, (nx, nz); all by default.
        confidence: Probability that a calibrated posterior has no cell outlined in a map.

    Returns:
        The figure and its three axes.

    Raises:
        ValueError: Without pairs, or if the cells are not those of a section.
    """
    bias, width = transforms.bias, transforms.width
    mask = as_mask(where, bias.shape)
    threshold = bonferroni(int(mask.sum()), confidence)
    figure, panels = row_of_sections(axes, bias.shape, 2, beside=0.85)
    maps = (
        (panels[0], bias, DEPARTURE, ("below", "above"), "truths against draws"),
        (panels[1], width, f"{DEPARTURE}_r", ("too wide", "too narrow"), "width of the posterior"),
    )
    for ax, score, cmap, words, title in maps:
        shown = np.where(mask, score, np.nan)
        limits = (-2.0 * threshold, 2.0 * threshold)
        drawn = axes.show(ax, shown, limits=limits, cmap=cmap, labels=labels_of(ax))
        ax.set_facecolor(NOT_COUNTED)
        outline(ax, drawn, mask & (np.abs(score) > threshold))
        low, high = (int(np.count_nonzero(mask & (sign * score > threshold))) for sign in (-1.0, 1.0))
        ax.set_title(f"{title}: {words[0]} in {low},\n{words[1]} in {high} of {int(mask.sum())} cells")
        bar = figure.colorbar(drawn, ax=ax, location="bottom", aspect=22, extend="both", panchor=False)
        bar.set_label(f"standard score, outlined beyond ± {threshold:.1f}")
    _distribution(panels[2], bias[mask], width[mask])
    return figure, np.array(panels, dtype=object)


def _distribution(ax: Axes, bias: NDArray[np.floating], width: NDArray[np.floating]) -> None:
    reach = float(np.clip(np.abs(np.concatenate([bias, width])).max(), 3.5, 12.0))
    edges = np.linspace(-reach, reach, 41)
    middle = 0.5 * (edges[1:] + edges[:-1])
    ax.plot(middle, [NormalDist().pdf(x) for x in middle], color=NEUTRAL, ls="--", label="calibrated")
    for colour, name, score in zip(COLOURS, ("width", "centre"), (width, bias), strict=False):
        density = np.histogram(np.clip(score, -reach, reach), edges)[0] / score.size / np.diff(edges)
        label = f"{name}: {score.mean():+.1f} ± {score.std():.1f}".replace("-", "−")
        ax.stairs(density, edges, color=colour, lw=0.9, label=label)
    ax.set(xlabel="Standard score of a cell", ylabel="Density over cells", xlim=(-reach, reach))
    ax.set_title("scores over cells:\n0 ± 1 if calibrated")
    ax.set_ylim(0.0, 1.55 * ax.get_ylim()[1])
    ax.legend(loc="upper left")
