"""Local classifier two-sample test: is the posterior of this observation wrong, and where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import Quantity
from posterior.plots.series import p_text
from posterior.plots.style import DEPARTURE, ESTIMATE, NEUTRAL, RAW, TRUTH, new_figure, styled
from posterior.uq import C2stTest, LocalC2st

_PERMUTED = "roles of truth and draws permuted: a right posterior"
PRINCIPAL_SCORE = Quantity("principal score")


@styled
def c2st(
    classifier: LocalC2st,
    samples: ArrayLike,
    condition: ArrayLike,
    *,
    truth: ArrayLike | None = None,
    coordinates: tuple[int, int] = (0, 1),
    quantity: Quantity = PRINCIPAL_SCORE,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the statistic against right posteriors, over all pairs and here; and where draws are told.

    Blue draws lie where the posterior has too little mass (truths are likelier there), red ones where it has
    too much; white ones cannot be told from truths.

    Args:
        classifier: Trained on calibration pairs.
        samples: Reduced draws for one observation, (n, k), k >= 2.
        condition: Its reduced observation, (m,).
        truth: The reduced truth, (k,), if it is known.
        coordinates: The two reduced coordinates to show.
        quantity: Name, unit and scale of the reduced coordinates.

    Returns:
        The figure and its three axes.

    Raises:
        ValueError: If the draws have fewer coordinates than are asked for.
    """
    draws = np.asarray(samples, dtype=np.float64)
    local, probability = classifier.test(draws, condition), classifier.probability(draws, condition)
    size = draws.shape[1]
    if not all(0 <= axis < size for axis in coordinates):
        raise ValueError(f"expected two coordinates within 0..{size - 1}, got {coordinates}")
    if truth is not None and np.shape(truth) != (size,):
        raise ValueError(f"expected a reduced truth of shape ({size},), got {np.shape(truth)}")
    figure = new_figure("double", 6.8)
    first, second, third = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 1.25))
    _statistic(first, classifier.overall, "All pairs")
    _statistic(second, local, "This observation")
    first.set_ylabel("Permutations")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    reach = float(np.clip(2.5 * np.std(probability), 0.02, 0.5))
    places = quantity.scale * draws[:, list(coordinates)].T
    limits = {"vmin": 0.5 - reach, "vmax": 0.5 + reach}
    dots = third.scatter(
        *places, c=probability, cmap=DEPARTURE, s=11, edgecolors=NEUTRAL, linewidths=0.3, **limits
    )
    if truth is not None:
        at = quantity.scale * np.asarray(truth)[list(coordinates)]
        third.scatter(*at, color=TRUTH, marker="*", s=60, edgecolors="white", linewidths=0.5, label="truth")
        third.legend(loc="best")
    labels = (replace(quantity, name=f"{quantity.name} {axis + 1}").label for axis in coordinates)
    third.set(**dict(zip(("xlabel", "ylabel"), labels, strict=True)))
    third.set_title(f"{len(draws)} draws of this observation:\nblue where mass is missing")
    figure.colorbar(dots, ax=third, label="probability of being a truth", aspect=24, extend="both")
    return figure, np.array([first, second, third], dtype=object)


def _statistic(ax: Axes, test: C2stTest, what: str) -> None:
    told = test.p_value < 0.05
    colour = RAW if told else ESTIMATE
    ax.hist(
        1e3 * test.null,
        bins=30,
        color=NEUTRAL,
        alpha=0.55,
        label=_PERMUTED,
    )
    ax.axvline(1e3 * test.statistic, color=colour, lw=1.4, label="this posterior")
    ax.set_ylim(0.0, 1.35 * ax.get_ylim()[1])
    ax.set_xlim(left=0.0)
    ax.locator_params(nbins=5)
    ax.set_xlabel("Mean (p − ½)² (10⁻³)")
    verdict = "told from truths" if told else "not told from truths"
    ax.set_title(f"{what}:\n{verdict}, {p_text(test.p_value)}")
