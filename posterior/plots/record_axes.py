"""What owns the axes of a shot record: sampling interval and receivers, so that labels are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from posterior.plots.style import SIGNED


@final
@dataclass(frozen=True)
class RecordAxes:
    """Axes of records stored as (nt, nrec): time down, traces to the right.

    Args:
        dt: Sampling interval [s].
        first: Position of the first receiver [m]; with ``step``.
        step: Distance from one receiver to the next [m]; without it traces are numbered from 1.
        start: Time of the first sample [s].

    Example:
        >>> RecordAxes(0.004, step=12.5).positions(3).tolist()
        [0.0, 0.0125, 0.025]
    """

    dt: float
    first: float = 0.0
    step: float | None = None
    start: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.dt) and self.dt > 0.0):
            raise ValueError(f"expected a positive sampling interval in seconds, got {self.dt}")
        if self.step is not None and not (np.isfinite(self.step) and self.step > 0.0):
            raise ValueError(f"expected a positive distance between receivers in metres, got {self.step}")

    @property
    def label(self) -> str:
        """Label of the horizontal axis."""
        return "Trace" if self.step is None else "Receiver position (km)"

    def check(self, record: ArrayLike, like: tuple[int, ...] | None = None) -> NDArray[np.float64]:
        """A record as a finite array (nt, nrec), of the shape of another one if that is given."""
        array = np.asarray(record, dtype=np.float64)
        if array.ndim != 2 or min(array.shape) < 2 or (like is not None and array.shape != like):
            wanted = "(nt, nrec)" if like is None else f"{like}, like the observed one"
            raise ValueError(f"expected a record of shape {wanted}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError("expected a finite record, got values that are NaN or infinite")
        return array

    def times(self, count: int) -> NDArray[np.float64]:
        """Times of so many samples [s]."""
        return self.start + self.dt * np.arange(count, dtype=np.float64)

    def positions(self, count: int) -> NDArray[np.float64]:
        """Where so many traces are drawn: kilometres, or numbers from 1."""
        if self.step is None:
            return np.arange(1.0, count + 1.0)
        return 1e-3 * (self.first + self.step * np.arange(count, dtype=np.float64))

    def name(self, trace: int, count: int) -> str:
        """A trace in words."""
        return f"trace {trace + 1}" if self.step is None else f"x = {self.positions(count)[trace]:.2f} km"

    def show(
        self,
        ax: Axes,
        record: NDArray[Any],
        *,
        limits: tuple[float, float],
        cmap: str = SIGNED,
        labels: str = "xt",
    ) -> AxesImage:
        """Draw a record (nt, nrec) with time downwards.

        Args:
            ax: Where to draw.
            record: (nt, nrec).
            limits: Values at the ends of the colour map.
            cmap: Colour map.
            labels: Axes that carry label and numbers: any of ``x`` and ``t``.
        """
        nt, traces = record.shape
        x, t = self.positions(traces), self.times(nt)
        half = 0.5 * (x[1] - x[0])
        extent = (x[0] - half, x[-1] + half, t[-1] + 0.5 * self.dt, t[0] - 0.5 * self.dt)
        drawn = ax.imshow(
            record,
            extent=extent,
            cmap=cmap,
            vmin=limits[0],
            vmax=limits[1],
            aspect="auto",
            interpolation="nearest",
        )
        ax.set_xlabel(self.label if "x" in labels else "")
        ax.set_ylabel("Time (s)" if "t" in labels else "")
        ax.tick_params(labelbottom="x" in labels, labelleft="t" in labels)
        ax.locator_params(nbins=5)
        return drawn


def gained(record: NDArray[np.float64], times: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Amplitudes times (t / 1 s) ** power, against the loss by spreading; samples before 0 s are muted."""
    if not power:
        return record
    return record * np.maximum(times, 0.0)[:, None] ** power


def gain_label(power: float) -> str:
    """What :func:`gained` did, for a colour bar."""
    if not power:
        return "Amplitude"
    return "Amplitude × t" if power == 1.0 else f"Amplitude × t$^{{{power:g}}}$"
