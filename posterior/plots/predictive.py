"""Posterior predictive check of a shot: observed data, mean prediction, residual, and traces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import symmetric_limits
from posterior.plots.record_axes import RecordAxes, gain_label, gained
from posterior.plots.series import p_text
from posterior.plots.style import ESTIMATE, RAW, TRUTH, new_figure, styled
from posterior.uq import PredictiveCheck

_FIT = 1e-3
"""Posterior predictive p-value below which the draws do not explain the data."""


@styled
def predictive(
    check: PredictiveCheck,
    observed: ArrayLike,
    predicted: ArrayLike,
    *,
    axes: RecordAxes,
    traces: Sequence[int] | None = None,
    power: float = 0.0,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw a shot as observed, as the draws predict it, and the difference, in one colour scale; then traces.

    ``chi2`` is the mean square of the residual in std of the noise, over all data of the check: 1 if the
    draws explain the data and no more.

    Args:
        check: What :class:`posterior.uq.Predictive` found.
        observed: One shot of the data, (nt, nrec).
        predicted: Predictions of that shot, one of each draw (s, nt, nrec), or their mean (nt, nrec).
        axes: Sampling interval and receivers.
        traces: Traces to draw below, at most three; three across the record by default.
        power: Amplitudes are shown times (t / 1 s) ** power.

    Returns:
        The figure and its axes: three records, then the traces.

    Raises:
        ValueError: If predictions are not of the shape of the observed record, or a trace is none of it.
    """
    data = axes.check(observed)
    nt, count = data.shape
    stack = np.asarray(predicted, dtype=np.float64)
    if stack.ndim not in (2, 3) or not stack.size:
        raise ValueError(f"expected predictions (s, {nt}, {count}) or ({nt}, {count}), got {stack.shape}")
    stack = stack.reshape(-1, *stack.shape[-2:])
    draws = np.stack([gained(axes.check(one, data.shape), axes.times(nt), power) for one in stack])
    data = gained(data, axes.times(nt), power)
    chosen = [count // 6, count // 2, (5 * count) // 6] if traces is None else list(traces)
    if not 1 <= len(chosen) <= 3 or not all(0 <= trace < count for trace in chosen):
        raise ValueError(f"expected 1 to 3 traces within 0..{count - 1}, got {chosen}")
    figure = new_figure("double", 12.0)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.45, 1.0))[:, 0]
    records = above.subplots(1, 3)
    limits = symmetric_limits(data, percentile=99.0)
    mean = draws.mean(axis=0)
    panels = (("Observed", data), (_predicted_title(len(stack)), mean), ("Residual", data - mean))
    for ax, (title, record) in zip(records, panels, strict=True):
        drawn = axes.show(ax, record, limits=limits, labels="xt" if ax is records[0] else "x")
        ax.set_title(title)
    bar = above.colorbar(drawn, ax=records.tolist(), extend="both", aspect=26)
    bar.set_label(f"{gain_label(power)}, clipped at 99 %")
    rows = below.subplots(1, len(chosen), sharey=True, squeeze=False)[0]
    for ax, trace in zip(rows, chosen, strict=True):
        _overlay(ax, axes.times(nt), data[:, trace], draws[:, :, trace])
        ax.set_title(axes.name(trace, count))
    rows[0].set_ylabel(gain_label(power))
    below.legend(*rows[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(_verdict(check), fontsize=8.0, fontweight="bold")
    return figure, np.concatenate([records, rows])


def _predicted_title(count: int) -> str:
    return "Mean prediction" if count == 1 else f"Mean prediction of {count} draws"


def _overlay(
    ax: Axes, times: NDArray[np.float64], data: NDArray[np.float64], draws: NDArray[np.float64]
) -> None:
    if len(draws) > 1:
        low, high = np.percentile(draws, [5.0, 95.0], axis=0)
        label = "predicted, middle 90 % of draws"
        ax.fill_between(times, low, high, color=ESTIMATE, alpha=0.35, lw=0, label=label)
    ax.plot(times, data, color=TRUTH, lw=0.7, label="observed")
    ax.plot(times, draws.mean(axis=0), color=RAW, lw=0.9, ls="--", label="mean prediction")
    ax.set(xlabel="Time (s)", xlim=(times[0], times[-1]))
    ax.locator_params(nbins=5)


def _verdict(check: PredictiveCheck) -> str:
    chi, spread = float(check.chi_square.mean()), float(check.chi_square.std())
    p_value = check.p_value
    words = "the draws explain the data"
    if p_value < _FIT:
        words = "the draws do not explain the data"
    elif p_value > 1.0 - _FIT:
        words = "the draws fit the noise"
    return (
        f"χ²/n = {chi:.3g} ± {spread:.2g} over draws, {check.chi_square_mean:.3g} of the mean "
        f"({p_text(p_value)}): {words}"
    )
