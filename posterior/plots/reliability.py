"""Reliability diagram: error of the posterior mean by std, and calibration errors by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.image_axes import Quantity
from posterior.plots.series import distinct, p_text
from posterior.plots.style import NEUTRAL, new_figure, styled
from posterior.uq import CalibrationError, PublishedError

_MEAN_ABSOLUTE = float(np.sqrt(2.0 / np.pi))
"""Mean absolute error of a Gaussian of std 1, 0.798."""
_POWERS: dict[str, int] = {"slim": 1, "laves": 2, "ence": 0}
"""Power of the unit of the values that a published error is in; relative for 0."""
_ROW = 0.42  # height of a row of the table [cm]
_EDGE = -0.14  # left end of the table, below the labels of the diagram


@styled
def reliability(
    errors: Mapping[str, CalibrationError],
    *,
    quantity: Quantity,
    published: Mapping[str, Sequence[PublishedError]] | None = None,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw RMSE against std for cells of like std; below, our error and the published ones.

    A right posterior lies on the diagonal, to within the bars (two standard errors over pairs); above it the
    std is too small. The dotted line is where its *mean absolute* error lies, 0.80 std: the published slim
    diagram draws that, so that its right posteriors fall below the diagonal and its error is not zero.

    Args:
        errors: Name of a posterior to its error by size of std, at most four.
        quantity: Name and unit of the values.
        published: Name of a posterior to errors in published conventions, for the table.

    Returns:
        The figure and its axes: the diagram, and the table.

    Raises:
        ValueError: With no result, more than four, or published errors of a posterior that is not drawn.
    """
    drawn = list(distinct(errors, "calibration errors"))
    others = dict(published or {})
    if not others.keys() <= errors.keys():
        raise ValueError(f"expected published errors of {list(errors)}, got {list(others)}")
    table = _ROW * (len(drawn) + 2.4)
    figure = new_figure("single", 8.0 + table)
    above, below = figure.subplots(2, 1, height_ratios=(8.0, table))
    largest = _diagram(above, drawn, quantity.scale)
    suffix = f" ({quantity.unit})" if quantity.unit else ""
    above.set(xlim=(0, largest), ylim=(0, largest), box_aspect=1)
    above.set(xlabel=f"Posterior std{suffix}", ylabel=f"Error of the posterior mean{suffix}")
    above.set_title(_verdict(drawn))
    _table(below, drawn, others, quantity)
    return figure, np.array([above, below], dtype=object)


def _diagram(ax: Axes, drawn: list[tuple[str, str, str, CalibrationError]], scale: float) -> float:
    """Draw bins and lines; the end of both axes."""
    rmse = [scale * error.std * error.ratio for *_, error in drawn]
    largest = 1.12 * max(max(scale * error.std.max() for *_, error in drawn), max(y.max() for y in rmse))
    ends = np.array([0.0, largest])
    lines = [
        ax.plot(ends, slope * ends, color=NEUTRAL, lw=0.9, ls=style, label=words)[0]
        for slope, style, words in (
            (1.0, "--", "RMSE, if right"),
            (_MEAN_ABSOLUTE, ":", "mean |error| (slim), if right"),
        )
    ]
    bars = []
    for (colour, marker, name, error), y in zip(drawn, rmse, strict=True):
        reach = 2.0 * scale * error.std * np.where(np.isfinite(error.ratio_error), error.ratio_error, 0.0)
        look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 3.2, "lw": 0.8, "elinewidth": 0.7}
        bars.append(ax.errorbar(scale * error.std, y, reach, label=name, **look))
    # Two corners are free of data, one on either side of the diagonal.
    ax.add_artist(ax.legend(handles=bars, loc="upper left"))
    ax.legend(handles=lines, loc="lower right")
    return largest


def _verdict(drawn: list[tuple[str, str, str, CalibrationError]]) -> str:
    words = []
    for *_, name, error in drawn:
        weights = error.counts / error.counts.sum()
        direction = "too small" if weights @ error.ratio > 1.0 else "too large"
        verdict = "no sign of error" if error.p_value >= 0.05 else f"std {direction}"
        words.append(f"{name}: {verdict}, {p_text(error.p_value)}")
    return "\n".join(words)


def _table(
    ax: Axes,
    drawn: list[tuple[str, str, str, CalibrationError]],
    published: Mapping[str, Sequence[PublishedError]],
    quantity: Quantity,
) -> None:
    found: dict[str, dict[str, PublishedError]] = {
        name: {item.convention: item for item in items} for name, items in published.items()
    }
    used = [key for key in _POWERS if any(key in items for items in found.values())]
    columns = [("ours", "%"), ("floor", "%"), *((key, _unit(quantity, _POWERS[key])) for key in used)]
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(len(drawn) + 0.6, -1.7))
    places = 0.29 + (0.71 - 0.29) / 4.0 * np.arange(len(columns)) * (5.0 / 3.0)
    ax.text(_EDGE, 0.0, "Calibration error", fontweight="bold", va="center")
    for place, (heading, unit) in zip(places, columns, strict=True):
        ax.text(place, -1.0, heading, ha="right", va="center", fontweight="bold")
        ax.text(place, 0.0, unit, ha="right", va="center")
    ax.axhline(0.5, xmin=_EDGE, color="black", lw=0.5, clip_on=False)
    for line, (*_, name, error) in enumerate(drawn, start=1):
        numbers = [_percent(error.value), _percent(error.floor)]
        numbers += [_number(found.get(name, {}).get(key), quantity) for key in used]
        ax.text(_EDGE, line, name, va="center")
        for place, number in zip(places, numbers, strict=True):
            ax.text(place, line, number, ha="right", va="center")


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f}"


def _number(error: PublishedError | None, quantity: Quantity) -> str:
    if error is None:
        return "–"
    power = _POWERS[error.convention]
    if not power:
        return _percent(error.value)
    value = error.value * quantity.scale**power
    return f"{value:.2g}" if value >= 1e-3 else f"{value:.1e}"


def _unit(quantity: Quantity, power: int) -> str:
    if not power:
        return "%"
    return f"({quantity.unit})²" if quantity.unit and power == 2 else quantity.unit
