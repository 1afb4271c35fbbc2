"""The figure of one pair: truth, migrated image, posterior mean, draws, std and error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from posterior.plots.image_axes import ImageAxes, Quantity, symmetric_limits
from posterior.plots.style import MAGNITUDE, SIGNED, new_figure, styled
from posterior.uq import Ssim


@final
@dataclass(frozen=True)
class Patch:
    """One pair as the panel shows it; arrays (nx, nz) in SI units."""

    truth: NDArray[np.floating]
    image: NDArray[np.floating]
    """Migrated image, scaled to the truth by least squares."""
    mean: NDArray[np.floating]
    std: NDArray[np.floating]
    draws: NDArray[np.floating]
    """At least three posterior draws, (n, nx, nz)."""
    snr_db: float
    """SNR of the posterior mean [dB]."""
    snr_image_db: float
    """SNR of the scaled image [dB]."""
    rmse: float
    """RMSE of the posterior mean, SI unit."""
    std_rms: float
    """Root mean posterior variance over the same cells, SI unit."""
    ssim: Ssim


@styled
def panel(patch: Patch, axes: ImageAxes, *, quantity: Quantity) -> tuple[Figure, NDArray[np.object_]]:
    """Draw one pair in two rows: truth, image, mean, |error|; three draws and the std.

    Signed sections share one grey scale, clipped at the truth's 98th percentile of magnitude; |error| and
    std share another, so that the eye can compare how large the error is with how large it was said to be.

    Args:
        patch: The pair and its scores.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.

    Returns:
        The figure and its axes, (2, 4).

    Raises:
        ValueError: With fewer than three draws.
    """
    if len(patch.draws) < 3:
        raise ValueError(f"expected at least 3 draws for the panel, got {len(patch.draws)}")
    proportion = axes.width_over_depth(patch.truth.shape)
    figure = new_figure("double", 2 * (3.75 / proportion + 1.0) + 1.3)
    grid = figure.subplots(2, 4, sharex=True, sharey=True)
    error = np.abs(patch.mean - patch.truth)
    signed = {
        "Truth": patch.truth,
        f"Migrated image, scaled\nSNR {patch.snr_image_db:.1f} dB": patch.image,
        _mean_title(patch): patch.mean,
        **{f"Posterior draw {number + 1}": patch.draws[number] for number in range(3)},
    }
    magnitudes = {
        f"|Mean − truth|\nRMSE {quantity.number(patch.rmse)}": error,
        f"Posterior std\nRMS {quantity.number(patch.std_rms)}": patch.std,
    }
    largest = float(np.percentile([error, patch.std], 99.0)) * quantity.scale or 1.0
    grey = symmetric_limits(patch.truth * quantity.scale)
    for group, sections, limits, cmap in (
        (grid[:, :3], signed, grey, SIGNED),
        (grid[:, 3:], magnitudes, (0.0, largest), MAGNITUDE),
    ):
        for ax, (title, section) in zip(group.ravel(), sections.items(), strict=True):
            labels = ("x" if ax in grid[1] else "") + ("z" if ax in grid[:, 0] else "")
            drawn = axes.show(ax, section * quantity.scale, limits=limits, cmap=cmap, labels=labels)
            ax.set_title(title)
        _colorbar(figure, drawn, group, quantity)
    return figure, grid


def _mean_title(patch: Patch) -> str:
    return f"Posterior mean, SNR {patch.snr_db:.1f} dB\nSSIM {patch.ssim.value:.2f} ({patch.ssim.convention})"


def _colorbar(figure: Figure, drawn: AxesImage, group: NDArray[np.object_], quantity: Quantity) -> None:
    """One colour bar below all panels that share a scale."""
    wide = group.shape[1] > 1
    unit = f" ({quantity.unit})" if quantity.unit else ""
    bar = figure.colorbar(
        drawn,
        ax=group.ravel().tolist(),
        location="bottom",
        label=quantity.label if wide else f"std, |error|{unit}",
        extend="both" if wide else "max",
        shrink=0.5 if wide else 0.92,
        aspect=36 if wide else 22,
    )
    bar.ax.locator_params(nbins=5 if wide else 3)
