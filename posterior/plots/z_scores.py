"""Where the truth lies farther from the mean than the posterior allows for."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import draw_section, one_section, wide_bar
from posterior.plots.style import styled
from posterior.uq.checks import as_mask

_FAR = 2.0
_RED, _MUTED = "#C00000", "#BFDDF2"


@styled
def z_scores(
    scores: ArrayLike, *, num_samples: int, axes: ImageAxes, where: ArrayLike | None = None
) -> tuple[Figure, Axes]:
    """Draw |z| in grey up to 2 and in red beyond; the title compares the share beyond with the one expected.

    Args:
        scores: Errors in posterior std, (nx, nz), as :func:`posterior.uq.z_scores` gives them.
        num_samples: Number of draws they come from.
        axes: Spacing and origin of the grid.
        where: Cells that count, (nx, nz); all by default.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: If a score that counts is NaN, or the mask does not fit.
    """
    size = np.abs(np.asarray(scores, dtype=np.float64))
    counts = as_mask(where, size.shape)
    if np.isnan(size[counts]).any():
        raise ValueError("expected z-scores of all cells that count, got NaN")
    far = 100.0 * float(np.mean(size[counts] > _FAR))
    expected = 100.0 * gaussian_share(_FAR, num_samples)
    figure, ax = one_section(axes, size.shape)
    colours = colormaps["Greys"].with_extremes(over=_RED)
    shown = np.where(counts, np.minimum(size, 1e3), np.nan)
    drawn = draw_section(ax, shown, axes, quantity=Quantity(), look=Look((0.0, _FAR), colours))
    if not counts.all():
        ax.set_facecolor(_MUTED)
        ax.legend(handles=[Patch(color=_MUTED, label="does not count")], loc="lower left", frameon=True)
    ax.set_title(
        f"|z| > 2 (red) in {far:.1f} % of cells\nGaussian posterior, {num_samples} draws: {expected:.1f} % "
        "expected"
    )
    wide_bar(figure, drawn, [ax], label="|truth − mean| / posterior std", extend="max")
    return figure, ax


def gaussian_share(limit: float, num_samples: int) -> float:
    """Probability that a right Gaussian posterior's z-score from S draws exceeds a limit either way.

    The tails of Student's t with S - 1 degrees of freedom, integrated by Gauss and Legendre's rule.

    Args:
        limit: Size of the z-score, at most 5 or so.
        num_samples: Number of draws S, at least 2.

    Raises:
        ValueError: With fewer than 2 draws.

    Example:
        >>> round(gaussian_share(2.0, 100), 4)
        0.0482
    """
    if num_samples < 2:
        raise ValueError(f"expected at least 2 draws, got {num_samples}")
    degrees = num_samples - 1
    nodes, weights = np.polynomial.legendre.leggauss(64)
    t = 0.5 * limit * (nodes + 1.0)
    constant = math.lgamma(0.5 * (degrees + 1)) - math.lgamma(0.5 * degrees)
    density = np.exp(constant - 0.5 * (degrees + 1) * np.log1p(t**2 / degrees)) / math.sqrt(degrees * math.pi)
    return 1.0 - limit * float(weights @ density)
