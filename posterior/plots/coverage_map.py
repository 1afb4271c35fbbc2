"""Where in a section the credible intervals hold, and where their failure is more than chance."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes
from posterior.plots.significance import NOT_COUNTED, labels_of, outline, row_of_sections
from posterior.plots.style import DEPARTURE, styled
from posterior.uq import CoverageMapTest


@styled
def coverage_map(
    coverage: ArrayLike, test: CoverageMapTest, *, level: float, axes: ImageAxes
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the coverage of every cell, and its departure from the level in standard errors.

    Red cells are covered too seldom (intervals too narrow), blue ones too often. Outlined are those that
    chance does not explain, allowing for the number of cells.

    Args:
        coverage: Share of pairs whose interval holds the truth, (nx, nz); NaN where a cell does not count.
        test: What :func:`posterior.uq.coverage_map_test` says of it.
        level: Level of the intervals.
        axes: Spacing and origin of the grid.

    Returns:
        The figure and its two axes.

    Raises:
        ValueError: If the test is of another map, or the level is not a probability.
    """
    share = np.asarray(coverage, dtype=np.float64)
    if share.shape != test.score.shape:
        raise ValueError(f"expected a coverage map of shape {test.score.shape}, as tested, got {share.shape}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"expected a level in (0, 1), got {level}")
    reach = 100.0 * min(level, 1.0 - level)
    middle = 100.0 * level
    far = 2.0 * test.threshold
    figure, panels = row_of_sections(axes, share.shape, 2)
    shown = (
        (100.0 * share, (middle - reach, middle + reach), "pairs covered (%)"),
        (test.score, (-far, far), f"standard errors,\noutlined beyond ± {test.threshold:.1f}"),
    )
    for ax, (section, limits, label) in zip(panels, shown, strict=True):
        drawn = axes.show(ax, section, limits=limits, cmap=DEPARTURE, labels=labels_of(ax))
        ax.locator_params(nbins=4)
        ax.set_facecolor(NOT_COUNTED)
        outline(ax, drawn, test.outside)
        figure.colorbar(drawn, ax=ax, location="bottom", label=label, aspect=16, extend="both")
    left, right = panels
    left.set_title(f"Coverage of\n{middle:.4g} % intervals")
    right.set_title(_verdict(test))
    return figure, np.array(panels, dtype=object)


def _verdict(test: CoverageMapTest) -> str:
    cells = int(np.count_nonzero(np.isfinite(test.score)))
    narrow = int(np.count_nonzero(test.outside & (test.score < 0.0)))
    wide = int(np.count_nonzero(test.outside)) - narrow
    if not narrow + wide:
        return f"no cell of {cells}\nis off by more than chance"
    return f"{narrow} cells too narrow,\n{wide} too wide of {cells}"
