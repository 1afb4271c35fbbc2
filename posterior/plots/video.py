"""A film of posterior draws: what stays still is sure, what moves is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import ArrayLike

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import (
    as_sections,
    draw_section,
    grid_of_sections,
    magnitude_limits,
    unit_suffix,
    wide_bar,
)
from posterior.plots.style import MAGNITUDE, styled

_KINDS = (".gif", ".mp4")


@styled
def samples_video(
    draws: ArrayLike,
    path: str | Path,
    *,
    axes: ImageAxes,
    quantity: Quantity,
    fps: int = 4,
) -> Path:
    """Write a film with one draw a frame beside the mean and the std, which stand still.

    The file appears under its name only when it is whole.

    Args:
        draws: Posterior draws, (S, nx, nz), SI units.
        path: File to write: ``.gif``, or ``.mp4`` where the program ffmpeg is installed.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        fps: Frames a second.

    Returns:
        The file.

    Raises:
        ValueError: With fewer than 2 draws, values that are not finite, another ending, or no frames a
            second.
        FileNotFoundError: If the folder is not there, or ffmpeg is needed and not installed.
    """
    target = Path(path)
    if fps < 1:
        raise ValueError(f"expected a positive number of frames a second, got {fps}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: expected a folder for the film, got none")
    writer = _writer(target, fps)
    cube = as_sections(draws)
    mean, std = cube.mean(axis=0, dtype=np.float64), cube.std(axis=0, ddof=1, dtype=np.float64)
    figure, grid = grid_of_sections(axes, mean.shape, 3, columns=3, base=3.0)
    FigureCanvasAgg(figure)
    look = Look.of(mean, cube[: min(len(cube), 20)])
    frames = [
        (cube[0], look, "", quantity.label, "both"),
        (mean, look, f"Mean of {len(cube)} draws", quantity.label, "both"),
        (std, Look(magnitude_limits(std), MAGNITUDE), "Std", f"std{unit_suffix(quantity)}", "max"),
    ]
    for ax, (image, colours, title, label, extend) in zip(grid, frames, strict=True):
        labels = "xz" if ax is grid[0] else "x"
        drawn = draw_section(ax, image, axes, quantity=quantity, look=colours, labels=labels)
        ax.set_title(title)
        wide_bar(figure, drawn, [ax], label=label, extend=extend)
    moving = grid[0].images[0]
    part = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    try:
        grid[0].set_title(f"Draw {len(cube)} of {len(cube)}")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once: frames that shift would look like change
        with writer.saving(figure, str(part), dpi=110):
            for number, draw in enumerate(cube, start=1):
                moving.set_data(draw.T * quantity.scale)
                grid[0].set_title(f"Draw {number} of {len(cube)}")
                writer.grab_frame()
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _writer(path: Path, fps: int) -> AbstractMovieWriter:
    if path.suffix not in _KINDS:
        raise ValueError(f"expected a film ending in {' or '.join(_KINDS)}, got {path.name!r}")
    if path.suffix == ".gif":
        return PillowWriter(fps=fps)
    if shutil.which("ffmpeg") is None:
        raise FileNotFoundError("expected the program ffmpeg on PATH for .mp4, got none: write .gif instead")
    return FFMpegWriter(fps=fps)
