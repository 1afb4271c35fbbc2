"""Configurations of surveys whose positions come from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from physics.config.checks import STRICT, require


@dataclass(frozen=True, kw_only=True)
class PositionsConfig:
    """Positions from files, moved by an origin: CSV with columns x, (y,) z, or npy arrays."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["positions"] = "positions"
    sources: str
    """Path of the sources (n, ndim) [m]."""
    receivers: str
    """Path of the receivers (n, ndim) [m]; in npy also (nsrc, nrec, ndim), if they move."""
    origin: tuple[float, ...] | None = None
    """Position of the model's corner in the files' coordinates [m]; subtracted."""


@dataclass(frozen=True, kw_only=True)
class SegySurveyConfig:
    """Positions from the trace headers of a SEG-Y file; the sampling is the run's own."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["segy"] = "segy"
    path: str
    straighten: bool = False
    """Project a crooked line on a straight axis: a 2-D survey."""
    origin: tuple[float, ...] | None = None
    """Position of the model's corner in the file's (or the straight axis') coordinates [m]; subtracted."""
    elevations: Literal["up", "down"] = "up"
    """Whether the elevation headers point up, as the standard says, or hold depths, as JUDI writes them."""
    feet: bool = False
    """Convert positions from feet."""

    def __post_init__(self) -> None:
        require(bool(self.path), "acquisition.path", "the path of a SEG-Y file", self.path)
