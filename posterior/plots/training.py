"""Training curves from the records of ``log.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.style import ESTIMATE, NEUTRAL, RAW, new_figure, styled


@styled
def training(records: Sequence[Mapping[str, Any]]) -> tuple[Figure, NDArray[np.object_]]:
    """Draw loss, validation loss, learning rate and gradient norm against iteration.

    What was not logged is left out.

    Args:
        records: Records with ``iteration`` and any of ``loss``, ``val_loss``, ``lr``, ``grad_norm``.

    Returns:
        The figure and its two axes.

    Raises:
        ValueError: If no record has an iteration and a loss.
    """
    iteration, loss = series(records, "loss")
    if not len(iteration):
        raise ValueError(f"expected records with 'iteration' and 'loss', got {len(records)} without")
    figure = new_figure("double", 6.2)
    left, right = figure.subplots(1, 2)
    left.plot(iteration, loss, color=NEUTRAL, lw=0.4, alpha=0.6, label="training, each logged step")
    if len(loss) >= 40:
        left.plot(*_running_mean(iteration, loss), color=ESTIMATE, label="training, running mean")
    step, validation = series(records, "val_loss")
    if len(step):
        best = int(np.argmin(validation))
        left.plot(step, validation, color=RAW, marker="o", ms=2.5, label="validation (averaged weights)")
        left.plot(step[best], validation[best], "*", color=RAW, ms=8, label=f"best, {validation[best]:.3f}")
    # The first steps of a fresh flow are far off and would squeeze the rest.
    settled = np.concatenate([loss[len(loss) // 20 :], validation])
    low, high = np.percentile(settled, [0.0, 99.5])
    left.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low)) if high > low else None
    left.set(xlabel="Iteration", ylabel="Negative log-likelihood (nats a cell)")
    left.legend(loc="upper right")
    _rates(right, records)
    return figure, np.array([left, right], dtype=object)


def series(records: Sequence[Mapping[str, Any]], key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Iterations and values of one key, where both are there and finite."""
    pairs = [
        (float(record["iteration"]), float(record[key]))
        for record in records
        if record.get("iteration") is not None and record.get(key) is not None
    ]
    table = np.array([pair for pair in pairs if np.isfinite(pair).all()], dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _running_mean(
    iteration: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    width = max(2, len(values) // 40)
    window = np.full(width, 1.0 / width)
    return np.convolve(iteration, window, "valid"), np.convolve(values, window, "valid")


def _rates(ax: Axes, records: Sequence[Mapping[str, Any]]) -> None:
    """Gradient norm on a logarithmic axis, learning rate on a linear one at the right."""
    step, norm = series(records, "grad_norm")
    positive = norm > 0.0
    ax.plot(step[positive], norm[positive], color=NEUTRAL, lw=0.5)
    ax.set(xlabel="Iteration", ylabel="Gradient norm", yscale="log")
    step, rate = series(records, "lr")
    if len(step):
        twin = ax.twinx()
        twin.plot(step, rate, color=ESTIMATE)
        twin.set_ylabel("Learning rate", color=ESTIMATE)
        twin.tick_params(axis="y", colors=ESTIMATE)
        twin.set_ylim(0.0, 1.05 * float(rate.max()) or 1.0)
        twin.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
