"""One look for all figures of the wave physics: widths, fonts, colours. Matplotlib's state is left alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

Width = Literal["single", "double"]
WIDTHS: dict[Width, float] = {"single": 8.5, "double": 17.6}
"""Widths of one and of two columns of a journal page [cm]."""

VELOCITY, SIGNED, ENERGY, WAVES = "viridis", "gray", "magma", "seismic"
"""Colour maps: of velocities, of images and records, of illumination, of waves over a grey model."""

# From Okabe and Ito's palette, which readers with any kind of colour vision tell apart.
LINE, BAND, SOURCE, RECEIVER, SECOND = "#0072B2", "#9ECAE9", "#D55E00", "#000000", "#D55E00"

RC: Any = {
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.titlepad": 4.0,
    "lines.linewidth": 1.1,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "pdf.fonttype": 42,  # text stays text in the file, as journals ask
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a plot function under this package's settings and restore the caller's after it."""

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(RC):
            return function(*args, **kwargs)

    return inner


def new_figure(width: Width, height: float) -> Figure:
    """An empty figure of a column's width, laid out without overlaps.

    Args:
        width: One or two columns of a page.
        height: Height [cm].
    """
    return Figure(figsize=(WIDTHS[width] / 2.54, height / 2.54), layout="constrained")


def save_figure(figure: Figure, path: Path, *, dpi: int = 220) -> Path:
    """Write a figure; the ending says in which format. The same figure gives the same bytes.

    Args:
        figure: What a plot function returned.
        path: File to write; its folder must exist.
        dpi: Resolution of bitmaps.
    """
    # A creation date would make two runs differ.
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else None
    with matplotlib.rc_context(RC):
        figure.savefig(path, dpi=dpi, metadata=metadata)
    return path
