"""One look for all figures: journal columns, fonts, colours. Matplotlib's global state is left alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

WIDTHS = {"single": 8.5, "double": 17.6}
"""Widths of one and of two columns of a journal page [cm]."""

FORMATS = ("png", "pdf")
"""Files written of each figure: one for screens, one for print."""

# Okabe and Ito's palette, which readers with any kind of colour vision tell apart.
TRUTH, ESTIMATE, RAW, REPAIRED, NEUTRAL = "#000000", "#0072B2", "#D55E00", "#0072B2", "#767676"

SIGNED, MAGNITUDE, DEPARTURE, VELOCITY = "gray", "magma", "RdBu", "viridis"
"""Colour maps: of images and perturbations, of std and |error|, of departures from a nominal value, of
velocities (as the figures of the waves have them)."""

_RC: Any = {
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
        with matplotlib.rc_context(_RC):
            return function(*args, **kwargs)

    return inner


def new_figure(width: Literal["single", "double"], height: float) -> Figure:
    """An empty figure of a column's width, laid out without overlaps.

    Args:
        width: One or two columns of a page.
        height: Height [cm].
    """
    return Figure(figsize=(WIDTHS[width] / 2.54, height / 2.54), layout="constrained")


def save(figure: Figure, stem: Path, *, formats: tuple[str, ...] = FORMATS, dpi: int = 220) -> list[Path]:
    """Write a figure once for each format, the same bytes for the same figure.

    Args:
        figure: What a plot function returned.
        stem: Path without ending.
        formats: Endings that matplotlib knows.
        dpi: Resolution of bitmaps.

    Returns:
        The files written.
    """
    paths = []
    with matplotlib.rc_context(_RC):
        # Laid out once: otherwise every format would do it again, which is most of the time.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    for ending in formats:
        path = stem.with_name(f"{stem.name}.{ending}")
        # A creation date would make two runs differ.
        metadata = {"CreationDate": None} if ending == "pdf" else None
        with matplotlib.rc_context(_RC):
            figure.savefig(path, dpi=dpi, metadata=metadata)
        paths.append(path)
    return paths
