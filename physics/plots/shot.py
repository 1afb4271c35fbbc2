"""Records of a shot: traces side by side, time down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from physics.errors import PhysicsError
from physics.plots.frame import Look, percent
from physics.plots.style import Width, new_figure, styled

_QUANTILE = 0.98
"""Of the magnitudes of a record: it clips the direct wave, and leaves the reflections."""
_NEAR_REGULAR = 0.02
"""Departure from regular positions that nobody sees, as a share of the interval."""


@final
@dataclass(frozen=True, eq=False)
class Traces:
    """The horizontal axis of records: positions in km, or numbers where positions are not on a regular line.

    Args:
        values: One of each trace, equally spaced.
        label: What they are.
    """

    values: NDArray[np.float64]
    label: str

    @classmethod
    def of(cls, receivers: ArrayLike) -> Self:
        """Places of a regular line of receivers (nrec, ndim) [m] on its longest axis, or their numbers."""
        positions = np.asarray(receivers, dtype=np.float64)
        if positions.ndim != 2 or positions.shape[1] not in (2, 3):
            raise PhysicsError(f"expected receivers (nrec, ndim) of one shot, got shape {positions.shape}")
        axis = int(np.ptp(positions, axis=0).argmax())
        line = positions[:, axis]
        steps = np.diff(line)
        if len(steps) and abs(steps[0]) > 0.0 and np.ptp(steps) <= _NEAR_REGULAR * abs(steps[0]):
            name = (("x", "z") if positions.shape[1] == 2 else ("x", "y", "z"))[axis]
            return cls(line / 1e3, f"receiver {name} (km)")
        return cls(np.arange(1.0, len(line) + 1.0), "trace")

    @property
    def edges(self) -> tuple[float, float]:
        """Where the first trace begins and the last ends."""
        half = 0.5 * (self.values[1] - self.values[0]) if len(self.values) > 1 else 0.5
        return float(self.values[0] - half), float(self.values[-1] + half)


@styled
def plot_shot(
    records: Mapping[str, ArrayLike],
    traces: Traces,
    dt: float,
    *,
    power: float = 2.0,
    quantile: float = _QUANTILE,
    width: Width = "single",
) -> tuple[Figure, NDArray[Any]]:
    """Draw records of one shot, each in its own symmetric grey scale; gain and clip are stated.

    Args:
        records: One panel each: a title, and samples (nt, nrec).
        traces: The horizontal axis.
        dt: Sampling interval [s].
        power: Amplitudes are shown times (t / 1 s) ** power, against the loss by spreading.
        quantile: Share of a record's samples that is not clipped.
        width: One or two columns of a page.

    Returns:
        The figure and its axes, one of each record.

    Raises:
        ValueError: If there is no record, or one does not fit the traces.
    """
    if not records:
        raise PhysicsError("expected at least 1 record to draw, got none")
    figure = new_figure(width, 8.0)
    axes = figure.subplots(1, len(records), sharex=True, sharey=True, squeeze=False)[0]
    for ax, (title, record) in zip(axes, records.items(), strict=True):
        samples = check_record(record, traces)
        gained = samples * (np.arange(len(samples))[:, None] * dt) ** power
        drawn = show_record(ax, gained, traces, dt, Look.signed(gained, "", quantile=quantile))
        ax.set_title(title)
        bar = figure.colorbar(drawn, ax=ax, location="bottom", aspect=18, pad=0.02, extend="both")
        bar.set_label(f"{_gain(power)},\nclipped at {percent(quantile)}")
        bar.ax.locator_params(nbins=3)
        ax.label_outer()
    return figure, axes


def check_record(record: ArrayLike, traces: Traces) -> NDArray[Any]:
    """A record as an array (nt, nrec), if it has as many traces as the axis."""
    array = np.asarray(record)
    if array.ndim != 2 or array.shape[1] != len(traces.values):
        raise PhysicsError(
            f"expected a record of shape (nt, {len(traces.values)}), as the traces have it, "
            f"got shape {array.shape}"
        )
    return array


def show_record(ax: Axes, record: NDArray[Any], traces: Traces, dt: float, look: Look) -> AxesImage:
    """Draw a record (nt, nrec), time down."""
    extent = (*traces.edges, (len(record) - 0.5) * dt, -0.5 * dt)
    drawn = ax.imshow(
        record, extent=extent, cmap=look.cmap, vmin=look.limits[0], vmax=look.limits[1], aspect="auto"
    )
    ax.set(xlabel=traces.label, ylabel="time (s)")
    ax.locator_params(axis="x", nbins=4)
    return drawn


def _gain(power: float) -> str:
    if power == 0.0:
        return "amplitude"
    return "amplitude × t" if power == 1.0 else f"amplitude × t$^{{{power:g}}}$"
