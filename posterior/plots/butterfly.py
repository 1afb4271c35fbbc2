"""Butterfly of a shot: observed to the left, predictions mirrored to the right, so that events meet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import symmetric_limits
from posterior.plots.record_axes import RecordAxes, gain_label, gained
from posterior.plots.style import RAW, new_figure, styled


@styled
def butterfly(
    observed: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    *,
    axes: RecordAxes,
    power: float = 0.0,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the observed record and, mirrored about its last receiver, what was predicted.

    Where the prediction is right, events run through the middle line and both wings are alike. All wings
    share one colour scale.

    Args:
        observed: One shot, (nt, nrec).
        predicted: Name (``prior mean``, ``posterior mean``) to the prediction of that shot, (nt, nrec), at
            most three.
        axes: Sampling interval and receivers.
        power: Amplitudes are shown times (t / 1 s) ** power.

    Returns:
        The figure and its axes, one a prediction.

    Raises:
        ValueError: With no prediction, more than three, or one that is not of the observed shape.
    """
    if not 1 <= len(predicted) <= 3:
        raise ValueError(f"expected 1 to 3 predictions, got {len(predicted)}")
    data = axes.check(observed)
    nt, count = data.shape
    times = axes.times(nt)
    wings = {name: gained(axes.check(record, data.shape), times, power) for name, record in predicted.items()}
    left = gained(data, times, power)
    limits = symmetric_limits(left, percentile=99.0)
    figure = new_figure("single" if len(wings) == 1 else "double", 7.6)
    grid = figure.subplots(1, len(wings), squeeze=False, sharey=True)[0]
    for place, (ax, (name, right)) in enumerate(zip(grid, wings.items(), strict=True)):
        both = np.concatenate([left, right[:, ::-1]], axis=1)
        # Numbered, as a position would stand for two receivers.
        drawn = RecordAxes(axes.dt, start=axes.start).show(
            ax, both, limits=limits, labels="xt" if place == 0 else "x"
        )
        ax.axvline(count + 0.5, color=RAW, lw=0.8)
        _mirrored_ticks(ax, axes, count)
        ax.set_title(f"observed | {name}\n{_residual(left, right)}")
    bar = figure.colorbar(drawn, ax=grid.tolist(), location="bottom", extend="both", aspect=40, shrink=0.8)
    bar.set_label(f"{gain_label(power)}, clipped at 99 %")
    return figure, grid


def _mirrored_ticks(ax: Axes, axes: RecordAxes, count: int) -> None:
    positions = axes.positions(count)
    marked = np.linspace(0, count - 1, 3).round().astype(int)
    places = [*(marked + 1), *(2 * count - marked[:-1])]
    numbers = [f"{round(positions[trace], 2):g}" for trace in (*marked, *marked[:-1])]
    # The middle belongs to both wings.
    places[2] = count + 0.5
    ax.set_xticks(places, numbers)
    ax.set_xlabel(axes.label)


def _residual(observed: NDArray[np.float64], predicted: NDArray[np.float64]) -> str:
    """Size of the residual against the data."""
    signal, residual = np.linalg.norm(observed), np.linalg.norm(observed - predicted)
    if not residual:
        return "no residual"
    ratio = f"{20.0 * np.log10(residual / signal):.1f} dB" if signal else "of data that vanish"
    return f"residual {ratio}".replace("-", "−")
