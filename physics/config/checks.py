"""What every configuration checks of its values."""

from __future__ import annotations

from typing import Any

STRICT: dict[str, Any] = {"extra": "forbid"}
"""A setting that nothing reads is refused."""


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raise a ValueError that names the setting, what was expected and what came."""
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got!r}")


def require_range(name: str, pair: tuple[float, float], *, low: float) -> None:
    """Raise a ValueError unless ``pair`` is (min, max) above ``low``."""
    require(low < pair[0] <= pair[1], name, f"(min, max) with {low} < min <= max", pair)
