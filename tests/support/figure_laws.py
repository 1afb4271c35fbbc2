"""What holds for every figure: text is large enough, on the page not over other text; a column's width."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def drawn_texts(figure: Figure) -> list[Text]:
    """All text that is drawn: matplotlib keeps labels of ticks beyond the limits, but draws none of them."""
    hidden = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {tick.label1, tick.label2}
    texts = (text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible())
    return [text for text in texts if text not in hidden]


def check_text(figure: Figure, *, apart: bool = False) -> None:
    """Every text is 7 points or more and on the page; ``apart``: and no two of them overlap."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox.padded(1.0)  # a pixel for rounding
    boxes = []
    for text in drawn_texts(figure):
        assert text.get_fontsize() >= 7.0, text.get_text()
        box = text.get_window_extent(canvas.get_renderer())
        assert page.contains(box.x0, box.y0), text.get_text()
        assert page.contains(box.x1, box.y1), text.get_text()
        boxes.append((text.get_text(), box.padded(-1.0)))
    for (first, one), (second, other) in combinations(boxes if apart else [], 2):
        assert not one.overlaps(other), f"{first!r} overlaps {second!r}"


def check_width(figure: Figure) -> None:
    """The figure is as wide as one or two columns of a page."""
    width = 2.54 * figure.get_figwidth()
    assert width == pytest.approx(8.5) or width == pytest.approx(17.6)
