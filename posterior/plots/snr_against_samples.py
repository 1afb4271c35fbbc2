"""SNR of the posterior mean against the number of draws it was made of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from posterior.plots.series import distinct
from posterior.plots.style import new_figure, styled


@styled
def snr_against_samples(curves: Mapping[str, ArrayLike]) -> tuple[Figure, Axes]:
    """Draw how the SNR of the running mean rises with the number of draws, and how a right posterior's does.

    Solid: mean over pairs; shaded: two standard errors over pairs; dashed: the same end reached as a right
    posterior does, whose squared error falls as ``1 + 1/n``. A rise that is smaller says that the draws are
    too alike.

    Args:
        curves: Name of a posterior to SNR [dB] by number of draws
            (:func:`posterior.uq.running_snr_db`), of one pair (S,) or of several (P, S); at most four.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: With no curve, more than four, one of fewer than two draws, or values that are not finite.
    """
    figure = new_figure("single", 7.0)
    ax = figure.subplots()
    for colour, _, name, values in distinct(curves, "curves"):
        snr = np.atleast_2d(np.asarray(values, dtype=np.float64))
        if snr.ndim != 2 or snr.shape[1] < 2 or not np.isfinite(snr).all():
            raise ValueError(
                f"expected finite SNR (S,) or (P, S), S >= 2, of {name!r}, got shape {np.shape(values)}"
            )
        pairs, count = snr.shape
        n, mean = np.arange(1, count + 1), snr.mean(axis=0)
        right = mean[-1] + 10.0 * np.log10((1.0 + 1.0 / count) / (1.0 + 1.0 / n))
        if pairs > 1:
            error = 2.0 * snr.std(axis=0, ddof=1) / np.sqrt(pairs)
            ax.fill_between(n, mean - error, mean + error, color=colour, alpha=0.18, lw=0)
        rise = mean[-1] - mean[0]
        ax.plot(n, mean, color=colour, label=f"{name}: {mean[-1]:.1f} dB, rise {rise:.1f} dB")
        ax.plot(
            n, right, color=colour, lw=0.8, ls="--", label=f"if right: rise {right[-1] - right[0]:.1f} dB"
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.margins(x=0)
    ax.set(xlabel="Draws in the mean", ylabel="SNR of the mean (dB)")
    ax.legend(loc="lower right")
    return figure, ax
