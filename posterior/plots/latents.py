"""Latent images of a network: noise without structure where the data are like the training's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.sections import wide_bar
from posterior.plots.series import p_text
from posterior.plots.style import WIDTHS, new_figure, styled
from posterior.uq import chi_square_cdf

_REACH = 3.0


@styled
def latents(images: Mapping[str, ArrayLike]) -> tuple[Figure, NDArray[np.object_]]:
    """Draw latents from -3 to 3 with ``|z|^2 / n`` and its p-value under a standard Gaussian in the titles.

    A network that fits turns pairs into white Gaussian noise: structure, or a mean square far from 1, says
    that it does not. Latents have no place in the earth, so axes count cells.

    Args:
        images: Name to latent image, (nx, nz); one to four of one shape.

    Returns:
        The figure and its axes, one a latent.

    Raises:
        ValueError: With none or more than four, shapes that differ, or values that are not finite.
    """
    if not 1 <= len(images) <= 4:
        raise ValueError(f"expected 1 to 4 latents, got {len(images)}")
    fields = {name: np.asarray(image, dtype=np.float64) for name, image in images.items()}
    shapes = sorted({field.shape for field in fields.values()})
    if len(shapes) > 1 or len(shapes[0]) != 2:
        raise ValueError(f"expected latents of one shape (nx, nz), got {shapes}")
    if not all(np.isfinite(field).all() for field in fields.values()):
        raise ValueError("expected finite latents, got values that are not")
    nx, nz = shapes[0]
    columns: Literal["single", "double"] = "single" if len(fields) <= 2 else "double"
    side = (WIDTHS[columns] - 1.3) / len(fields) - 0.3
    figure = new_figure(columns, side * nz / nx + 3.4)
    grid = figure.subplots(1, len(fields), sharex=True, sharey=True, squeeze=False)[0]
    for ax, (name, field) in zip(grid, fields.items(), strict=True):
        drawn = ax.imshow(field.T, cmap="RdBu_r", vmin=-_REACH, vmax=_REACH, interpolation="nearest")
        total = float((field**2).sum())
        below = float(chi_square_cdf(total, field.size))
        p_value = 2.0 * min(below, 1.0 - below)
        # The distribution function is good to 0.002.
        words = p_text(p_value) if p_value >= 0.01 else "p < 0.01"
        ax.set_title(f"{name}\n$\\chi^2/n$ = {total / field.size:.3f}, {words}")
        ax.set_xlabel("Column (cells)")
        ax.locator_params(nbins=5)
    grid[0].set_ylabel("Row (cells)")
    wide_bar(figure, drawn, list(grid), label="Latent z")
    return figure, grid
