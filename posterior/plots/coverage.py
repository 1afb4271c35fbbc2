"""The calibration curve: what credible intervals claim against what they hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.series import distinct
from posterior.plots.style import NEUTRAL, new_figure, styled
from posterior.uq import CoverageCurve


@styled
def calibration_curve(curves: Mapping[str, CoverageCurve]) -> tuple[Figure, NDArray[np.object_]]:
    """Draw empirical against nominal coverage, and their difference below.

    The upper band holds the middle 90 % of pairs: how far one survey may depart. The lower band is twice
    the standard error of the pooled curve over pairs: how well the curve itself is known.

    Args:
        curves: Name (``raw``, ``recalibrated``) to curve, at most four.

    Returns:
        The figure and its two axes.

    Raises:
        ValueError: With no curve, or more than four.
    """
    drawn = distinct(curves, "curves")
    figure = new_figure("single", 11.5)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1.0))
    above.plot([0, 100], [0, 100], color=NEUTRAL, lw=0.8, ls="--", label="calibrated")
    below.axhline(0.0, color=NEUTRAL, lw=0.8, ls="--")
    for colour, _, name, curve in drawn:
        nominal, pooled = 100.0 * curve.levels, 100.0 * curve.pooled
        low, high = curve.percentiles(5.0, 95.0)
        at_90, error = curve.at(0.9)
        above.fill_between(nominal, 100.0 * low, 100.0 * high, color=colour, alpha=0.14, lw=0)
        above.plot(nominal, pooled, color=colour, label=f"{name}: {100 * at_90:.1f} % at 90 %")
        margin = 200.0 * (curve.standard_error if np.isfinite(error) else np.zeros_like(curve.levels))
        departure = pooled - nominal
        below.fill_between(nominal, departure - margin, departure + margin, color=colour, alpha=0.25, lw=0)
        below.plot(nominal, departure, color=colour)
    above.set_ylabel("Cells inside the interval (%)")
    above.set_title(f"{len(next(iter(curves.values())).pairs)} pairs; shaded: middle 90 % of pairs")
    above.legend(loc="upper left")
    above.set(xlim=(0, 100), ylim=(0, 100))
    below.set_ylabel("Difference (points)")
    below.set_xlabel("Nominal level of the credible interval (%)")
    below.set_title("shaded: ± 2 standard errors over pairs")
    return figure, np.array([above, below], dtype=object)
