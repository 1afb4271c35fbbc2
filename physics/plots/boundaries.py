"""What absorbing layers send back: records beside one whose frame no wave crosses, and their differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from physics.errors import PhysicsError
from physics.plots.frame import QUANTILE, Look, percent
from physics.plots.shot import Traces, check_record, show_record
from physics.plots.style import LINE, SECOND, Width, new_figure, styled

_COLOURS = (SECOND, LINE, "#009E73")
_SMOOTH = 0.05
"""Length over which curves are averaged, as a share of the record."""
_FLOOR = 1e-8
"""Curves end here, relative to the largest amplitude."""


@styled
def plot_boundaries(
    reference: ArrayLike,
    records: Mapping[str, ArrayLike],
    traces: Traces,
    dt: float,
    *,
    factor: float,
    quantile: float = QUANTILE,
    width: Width = "double",
) -> tuple[Figure, NDArray[Any]]:
    """Draw a record without boundaries, those with some, and what the boundaries added, magnified.

    Above, the records in one symmetric grey scale; below, the size of the false waves with time, and the
    differences from the reference times ``factor``, in the same scale. A title states the relative L2 error
    of the late half of the record.

    Args:
        reference: Record (nt, nrec) in a frame so wide that no wave crosses it.
        records: One to three records (nt, nrec) with absorbing layers, by name.
        traces: The horizontal axis.
        dt: Sampling interval [s].
        factor: Magnification of the differences.
        quantile: Share of the reference's samples that is not clipped.
        width: One or two columns of a page.

    Returns:
        The figure and its axes (2, 1 + records).

    Raises:
        ValueError: If a record does not fit the traces or the reference.
    """
    base = check_record(reference, traces)
    shown = {name: check_record(record, traces) for name, record in records.items()}
    if not 1 <= len(shown) <= len(_COLOURS) or any(r.shape != base.shape for r in shown.values()):
        raise PhysicsError(
            f"expected 1 to {len(_COLOURS)} records of the reference's shape {base.shape}, "
            f"got {', '.join(str(r.shape) for r in shown.values()) or 'none'}"
        )
    look = Look.signed(base, f"amplitude, clipped at {percent(quantile)} of the reference", quantile=quantile)
    figure = new_figure(width, 12.0)
    grid = figure.subplots(2, 1 + len(shown), squeeze=False)
    drawn = show_record(grid[0, 0], base, traces, dt, look)
    grid[0, 0].set_title("Wide frame (reference)")
    for (upper, lower), (name, record) in zip(grid[:, 1:].T, shown.items(), strict=True):
        show_record(upper, record, traces, dt, look)
        upper.set_title(name)
        show_record(lower, factor * (record - base), traces, dt, look)
        late = 100.0 * late_error(record, base)
        lower.set_title(f"Difference × {factor:g} (late half: {late:.2g} %)")
    _draw_curves(grid[1, 0], base, shown, dt)
    figure.legend(*grid[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    for ax in grid[:, 1:].flat:
        ax.label_outer()
    bar = figure.colorbar(drawn, ax=grid[:, 1:], label=look.label, aspect=40, extend="both")
    bar.ax.locator_params(nbins=5)
    return figure, grid


def late_error(record: NDArray[Any], reference: NDArray[Any]) -> float:
    """Relative L2 error in the late half of a record (nt, nrec)."""
    late = slice(len(reference) // 2, None)
    return float(np.linalg.norm((record - reference)[late]) / np.linalg.norm(reference[late]))


def _draw_curves(ax: Axes, base: NDArray[Any], records: Mapping[str, NDArray[Any]], dt: float) -> None:
    """Root mean square over the traces with time, of the reference and of the differences."""
    time, largest = np.arange(len(base)) * dt, np.abs(base).max()
    curves = {"reference": (base, "black")}
    curves |= {
        f"difference: {name}": (record - base, colour)
        for (name, record), colour in zip(records.items(), _COLOURS, strict=False)
    }
    for name, (values, colour) in curves.items():
        ax.plot(np.maximum(_envelope(values) / largest, _FLOOR), time, color=colour, label=name)
    ax.set(xscale="log", ylim=(time[-1], 0.0), ylabel="time (s)")
    ax.set(xlabel="RMS over largest amplitude", title="Root mean square of the traces")


def _envelope(record: NDArray[Any]) -> NDArray[np.float64]:
    """Root mean square over traces and over a moving window of samples."""
    size = max(1, round(_SMOOTH * len(record)))
    power = np.mean(np.square(record, dtype=np.float64), axis=1)
    return np.sqrt(np.convolve(power, np.full(size, 1.0 / size), mode="same"))
