"""Contraction against z-score: where the data decide, are the error bars still right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.series import distinct
from posterior.plots.style import NEUTRAL, RAW, new_figure, styled

_REACH = 5.0
_BINS = 8
_TICKS = (-9900.0, -900.0, 0.0, 90.0, 99.0, 99.9, 99.99, 99.999)
"""Contraction at whole decades of the variance [%]."""
_TICKS_BETWEEN = (-100.0, 50.0, 80.0, 95.0, 98.0, 99.5)
_CROWDED = 2.6  # decades
_SMALLEST = 1e-6
"""Share of the prior variance below which a posterior counts as a point."""


@styled
def contraction(cells: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> tuple[Figure, NDArray[np.object_]]:
    """Draw how cells are spread over contraction and z-score, and the RMS z-score by contraction.

    Right: 1 at every contraction (dashed). Above 1 the posterior is too narrow; to the left of 0 it is wider
    than the prior. Equal steps to the right divide the variance by equal factors. Cells beyond ±5 are
    counted at the edge.

    Args:
        cells: Name of a posterior to the contraction of cells (:func:`posterior.uq.contraction`) and their
            z-scores (:func:`posterior.uq.z_scores`), arrays of one shape; at most four.

    Returns:
        The figure and its axes, one a posterior.

    Raises:
        ValueError: With none, more than four, or arrays of different shapes.
    """
    drawn = list(distinct(cells, "posteriors"))
    pairs = [_checked(name, *value) for *_, name, value in drawn]
    figure = new_figure("single" if len(drawn) == 1 else "double", 7.4)
    panels = figure.subplots(1, len(drawn), sharex=True, sharey=True, squeeze=False)[0]
    reach = np.percentile(np.concatenate([x for x, _ in pairs]), [0.2, 99.8])
    edges = np.linspace(min(0.0, reach[0]), max(reach[1], 1.0), 41), np.linspace(-_REACH, _REACH, 41)
    counts = [np.histogram2d(x, np.clip(z, *(0.999 * edges[1][[0, -1]])), edges)[0] for x, z in pairs]
    norm = LogNorm(1.0, max(2.0, max(float(count.max()) for count in counts)))
    for ax, (*_, name, _), count, (x, z) in zip(panels, drawn, counts, pairs, strict=True):
        mesh = ax.pcolormesh(*edges, np.ma.masked_equal(count.T, 0.0), cmap="Greys", norm=norm)
        _rms(ax, x, z)
        ax.set_xlabel("Prior variance removed (%)")
        removed = 100.0 * (1.0 - 10.0 ** -np.median(x))
        ax.set_title(f"{name}: RMS z {np.sqrt(np.mean(z**2)):.2f},\nmedian contraction {removed:.0f} %")
    several = _TICKS if np.ptp(edges[0]) > _CROWDED else sorted(_TICKS + _TICKS_BETWEEN)
    ticks = [tick for tick in several if edges[0][0] <= _place(tick) <= edges[0][-1]]
    panels[0].set_xticks([_place(tick) for tick in ticks], [f"{tick:g}".replace("-", "−") for tick in ticks])
    panels[0].set(xlim=edges[0][[0, -1]], ylim=(-_REACH, _REACH), ylabel="z-score of the truth")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.colorbar(mesh, ax=panels.tolist(), label="cells", aspect=28)
    return figure, panels


def _place(percent: float) -> float:
    """Where a contraction stands: equal steps for equal factors of the variance."""
    return float(-np.log10(1.0 - 0.01 * percent))


def _checked(name: str, removed: ArrayLike, z: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Decades of variance removed, and z-scores, of the cells that count."""
    x, y = np.asarray(removed, dtype=np.float64), np.asarray(z, dtype=np.float64)
    if x.shape != y.shape or not np.isfinite(x).any():
        raise ValueError(
            f"expected contraction and z-scores of one shape for {name!r}, with cells that count, "
            f"got {x.shape} and {y.shape}"
        )
    kept = np.isfinite(x) & ~np.isnan(y)
    return -np.log10(np.maximum(1.0 - x[kept], _SMALLEST)), y[kept]


def _rms(ax: Axes, x: NDArray[np.float64], z: NDArray[np.float64]) -> None:
    """Lines at plus and minus the RMS of z in bins of equally many cells."""
    parts = np.array_split(np.argsort(x, kind="stable"), min(_BINS, len(x)))
    middle = np.array([np.median(x[part]) for part in parts])
    rms = np.array([np.sqrt(np.mean(z[part] ** 2)) for part in parts])
    for sign in (1.0, -1.0):
        ax.axhline(sign, color=NEUTRAL, lw=0.8, ls="--", label="right: 1" if sign > 0 else None)
        label = "± RMS of z in bins of equally many cells" if sign > 0 else None
        ax.plot(middle, sign * rms, color=RAW, marker="o", ms=2.6, lw=0.9, label=label)
