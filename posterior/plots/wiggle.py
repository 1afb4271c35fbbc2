"""Wiggle traces: amplitudes as excursions, positive lobes filled, with a gain in time."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.record_axes import RecordAxes, gained
from posterior.plots.style import RAW, TRUTH, new_figure, styled

_EXCURSION = 1.6
"""Excursion of the 99th percentile of the amplitudes, in distances between the traces shown."""


@styled
def wiggle(
    record: ArrayLike,
    *,
    axes: RecordAxes,
    overlay: ArrayLike | None = None,
    every: int | None = None,
    power: float = 1.5,
    names: tuple[str, str] = ("observed", "predicted"),
) -> tuple[Figure, Axes]:
    """Draw a record as wiggles, time downwards, and another one over it as lines.

    Args:
        record: (nt, nrec).
        axes: Sampling interval and receivers.
        overlay: Second record in the same scale, (nt, nrec).
        every: Draw every so many-th trace; about forty in all by default.
        power: Amplitudes are shown times (t / 1 s) ** power.
        names: What record and overlay are.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: If the overlay is not of the shape of the record, or the step is below 1.
    """
    data = axes.check(record)
    nt, count = data.shape
    step = max(1, round(count / 40)) if every is None else every
    if step < 1:
        raise ValueError(f"expected every 1st, 2nd, ... trace, got every={every}")
    times, positions = axes.times(nt), axes.positions(count)
    shown = gained(data, times, power)
    size = float(np.percentile(np.abs(shown[:, ::step]), 99.0)) or float(np.abs(shown).max()) or 1.0
    unit = _EXCURSION * step * (positions[1] - positions[0]) / size
    figure = new_figure("single", 9.0)
    ax = figure.subplots()
    _draw(ax, times, positions[::step], unit * shown[:, ::step], filled=True)
    gain = f"gain t$^{{{power:g}}}$" if power else "no gain"
    ax.set_title(f"{names[0]}, {gain}" + (f", one trace in {step}" if step > 1 else ""))
    if overlay is not None:
        second = gained(axes.check(overlay, data.shape), times, power)
        _draw(ax, times, positions[::step], unit * second[:, ::step], filled=False)
        ax.plot([], [], color=TRUTH, lw=0.8, label=names[0])
        ax.plot([], [], color=RAW, lw=0.8, label=names[1])
        figure.legend(loc="outside lower center", ncols=2)
    margin = 2.0 * step * (positions[1] - positions[0])
    ax.set(xlim=(positions[0] - margin, positions[-1] + margin), ylim=(times[-1], times[0]))
    ax.set(xlabel=axes.label, ylabel="Time (s)")
    ax.locator_params(nbins=6)
    return figure, ax


def _draw(
    ax: Axes,
    times: NDArray[np.float64],
    positions: NDArray[np.float64],
    excursions: NDArray[np.float64],
    *,
    filled: bool,
) -> None:
    colour = TRUTH if filled else RAW
    for position, trace in zip(positions, excursions.T, strict=True):
        ax.plot(position + trace, times, color=colour, lw=0.4 if filled else 0.7)
        if filled:
            ax.fill_betweenx(
                times,
                position,
                position + trace,
                where=trace > 0.0,
                interpolate=True,
                color=colour,
                lw=0,
                alpha=0.75,
            )
