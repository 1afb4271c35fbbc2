"""A section with a panel above and one beside it that share its axes, placed to true proportions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from posterior.plots.style import WIDTHS, new_figure

_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 1.3, 0.35, 0.65, 2.25, 0.3


@final
@dataclass(frozen=True)
class Cross:
    """The figure and its places."""

    figure: Figure
    main: Axes
    above: Axes
    """Shares the main section's x."""
    beside: Axes
    """Shares the main section's depth."""
    bar: Axes
    """Below all of them, for the colour bar."""


def cross(width: Literal["single", "double"], proportion: float, share: float) -> Cross:
    """Place a section, a panel above and one to its right, and a colour bar below.

    The layout is given in centimetres: an automatic one would let the panels' edges part from the section's,
    whose proportions are fixed.

    Args:
        width: One or two columns of a page.
        proportion: Width of the section over its depth.
        share: Depth of both panels in widths of the section.
    """
    across = WIDTHS[width]
    section = (across - _LEFT - _RIGHT - _GAP) / (1.0 + share)
    depth, panel = section / proportion, share * section
    height = _BOTTOM + depth + _GAP + panel + _TOP
    figure = new_figure(width, height)
    figure.set_layout_engine("none")

    def place(x: float, y: float, wide: float, high: float) -> Axes:
        return figure.add_axes((x / across, y / height, wide / across, high / height))

    right, up = _LEFT + section + _GAP, _BOTTOM + depth + _GAP
    main = place(_LEFT, _BOTTOM, section, depth)
    above, beside = place(_LEFT, up, section, panel), place(right, _BOTTOM, panel, depth)
    return Cross(figure, main, above, beside, place(_LEFT, 1.0, across - _LEFT - _RIGHT, 0.22))
