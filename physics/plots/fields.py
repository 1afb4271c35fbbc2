"""Fields on a grid: a section as one panel, a volume as three orthogonal slices that meet in one point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from physics.plots.frame import Frame, Look
from physics.plots.style import WIDTHS, Width, new_figure

_LEFT, _RIGHT, _ABOVE, _BELOW = 1.2, 2.25, 0.7, 1.05
"""Room for the labels of a panel: left, at the right with the colour bar, for the title, below [cm]."""
_BARE = 0.3
"""Room above a section without a title [cm]."""
_HEAD, _GAP = 0.5, 0.45
"""Room for the title above those of slices; between the slices (x, z) and (y, z) [cm]."""
_TICKS = 0.9
"""Least distance of two numbers on the axes of slices [cm]."""
_BAR = 0.18
"""Width of a colour bar [cm]."""
_GUIDE: dict[str, Any] = {"color": "white", "linewidth": 0.6, "linestyle": (0, (4, 3))}


@final
@dataclass(frozen=True, eq=False)
class Panel:
    """A field (nx, nz) or (nx, ny, nz) in the unit of its look, and its title."""

    title: str
    field: NDArray[Any]
    look: Look


def draw_fields(
    panels: list[Panel], frame: Frame, width: Width, *, legend: float = 0.0
) -> tuple[Figure, NDArray[Any]]:
    """Draw fields of one grid below each other, each with its colour bar, at true proportions.

    Everything is placed in centimetres: automatic layouts do not know proportions before they are done.

    Args:
        panels: Fields of one shape.
        frame: Their axes.
        width: One or two columns of a page.
        legend: Height to leave free at the bottom [cm].

    Returns:
        The figure and its axes: (fields, 1), or (fields, 3) with the slices (x, z), (y, z), (x, y).
    """
    sizes = [n * h for n, h in zip(panels[0].field.shape, frame.spacing, strict=True)]
    draw, across = (_draw_section, sizes[0]) if frame.ndim == 2 else (_draw_slices, sizes[0] + sizes[1])
    gap = 0.0 if frame.ndim == 2 else _GAP
    scale = (WIDTHS[width] - _LEFT - _RIGHT - gap) / across  # cm on paper for a metre
    sheet = Sheet(new_figure(width, 1.0), frame, scale, _ABOVE if any(p.title for p in panels) else _BARE)
    each = sheet.panel_height(sizes)
    sheet.figure.set_size_inches(WIDTHS[width] / 2.54, (len(panels) * each + _last(frame) + legend) / 2.54)
    sheet.figure.set_layout_engine("none")
    rows = [draw(sheet, panel, number * each) for number, panel in enumerate(panels)]
    if frame.ndim == 2:
        for (ax,) in rows[:-1]:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
    return sheet.figure, np.array(rows, dtype=object)


def _last(frame: Frame) -> float:
    """Height below the last panel [cm]; slices have their own labels each."""
    return _BELOW - 0.15 if frame.ndim == 2 else 0.0


@final
@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure on which fields are placed in centimetres.

    Args:
        figure: Without a layout engine.
        frame: Axes of the fields.
        scale: Centimetres of paper for a metre.
        above: Room above a section [cm].
    """

    figure: Figure
    frame: Frame
    scale: float
    above: float

    def panel_height(self, sizes: list[float]) -> float:
        """Height of a panel for a field of these sizes [m], without the labels below the last [cm]."""
        if self.frame.ndim == 2:
            return self.scale * sizes[1] + self.above
        return self.scale * (sizes[2] + sizes[1]) + _HEAD + 2.0 * (_ABOVE + _BELOW)

    def place(self, left: float, top: float, size: tuple[float, float]) -> Axes:
        """Axes of a size in metres, with their upper left corner at a place from that of the sheet [cm]."""
        width, height = (2.54 * inches for inches in self.figure.get_size_inches())
        across, down = (self.scale * metres for metres in size)
        box = (left / width, 1.0 - (top + down) / height, across / width, down / height)
        return self.figure.add_axes(box)

    def set_ticks(self, ax: Axes) -> None:
        """As many numbers as there is room for."""
        box = ax.get_position()
        for axis, share, inches in zip(
            (ax.xaxis, ax.yaxis), (box.width, box.height), self.figure.get_size_inches(), strict=True
        ):
            room = max(1, int(2.54 * inches * share / _TICKS))
            axis.set_major_locator(MaxNLocator(nbins=room, steps=[1, 2, 5, 10]))

    def colour_bar(self, ax: Axes, drawn: Any, look: Look) -> None:
        """A colour bar at the right of axes, as tall as they."""
        box = ax.get_position()
        width = 2.54 * self.figure.get_figwidth()
        cax = self.figure.add_axes((box.x1 + _BAR / width, box.y0, _BAR / width, box.height))
        self.figure.colorbar(drawn, cax=cax, label=look.label).ax.locator_params(nbins=5)


def _draw_section(sheet: Sheet, panel: Panel, top: float) -> list[Axes]:
    nx, nz = panel.field.shape
    dx, dz = sheet.frame.spacing
    ax = sheet.place(_LEFT, top + sheet.above, (nx * dx, nz * dz))
    sheet.colour_bar(ax, sheet.frame.show(ax, panel.field, panel.look), panel.look)
    ax.set_title(panel.title)
    return [ax]


def _draw_slices(sheet: Sheet, panel: Panel, top: float) -> list[Axes]:
    """The slices through the middle, laid out as the sides of a box unfold."""
    frame, volume = sheet.frame, panel.field
    cells = tuple(n // 2 for n in volume.shape)
    x, y, z = (n * h for n, h in zip(volume.shape, frame.spacing, strict=True))
    first = top + _HEAD + _ABOVE
    front = sheet.place(_LEFT, first, (x, z))
    side = sheet.place(_LEFT + sheet.scale * x + _GAP, first, (y, z))
    above = sheet.place(_LEFT, first + sheet.scale * z + _BELOW + _ABOVE, (x, y))
    for ax, axes, cut in ((front, (0, 2), 1), (side, (1, 2), 0), (above, (0, 1), 2)):
        drawn = frame.show(ax, volume.take(cells[cut], axis=cut), panel.look, axes=axes)
        ax.axvline(frame.centre(axes[0], cells[axes[0]]), **_GUIDE)
        ax.axhline(frame.centre(axes[1], cells[axes[1]]), **_GUIDE)
        ax.set_title(f"{frame.names[cut]} = {frame.centre(cut, cells[cut]):.3g} km")
        sheet.set_ticks(ax)
    front.set_xlabel("")
    side.set_ylabel("")
    front.tick_params(labelbottom=False)
    side.tick_params(labelleft=False)
    height = 2.54 * sheet.figure.get_figheight()
    sheet.figure.text(
        0.5, 1.0 - (top + 0.3) / height, panel.title, ha="center", va="center", fontweight="bold"
    )
    sheet.colour_bar(side, drawn, panel.look)
    return [front, side, above]


def in_km(vp: ArrayLike) -> NDArray[np.float64]:
    """Velocities of m/s in km/s."""
    return np.asarray(vp, dtype=np.float64) / 1e3
