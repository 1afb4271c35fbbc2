"""Several posteriors in one figure: their colours and markers, and p-values as figures state them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from posterior.plots.style import RAW, REPAIRED

T = TypeVar("T")

COLOURS = (RAW, REPAIRED, "#009E73", "#CC79A7")
_MARKERS = "os^D"
_ROUNDING = 1e-15  # 1 - P loses smaller ones


def distinct(items: Mapping[str, T], what: str) -> Iterator[tuple[str, str, str, T]]:
    """Colour, marker, name and value of each item.

    Args:
        items: Name of a posterior to what is drawn of it.
        what: What the items are, for the error.

    Raises:
        ValueError: With none, or with more than colours that can be told apart.
    """
    if not 1 <= len(items) <= len(COLOURS):
        raise ValueError(f"expected 1 to {len(COLOURS)} {what}, got {len(items)}")
    named = zip(COLOURS, _MARKERS, items.items(), strict=False)
    return ((colour, marker, name, value) for colour, marker, (name, value) in named)


def p_text(p_value: float) -> str:
    """A p-value in as many digits as it deserves; beyond rounding only a bound.

    Example:
        >>> p_text(0.347), p_text(0.0004)
        ('p = 0.35', 'p = 0.0004')
    """
    if p_value < _ROUNDING:
        return f"p < {_ROUNDING:.0g}"
    return f"p = {p_value:.2f}" if p_value >= 0.01 else f"p = {p_value:.1g}"
