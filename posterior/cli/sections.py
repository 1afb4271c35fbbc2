"""Sections of a run's file that the stages of no package own, and which section a key belongs to."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any, ClassVar

from physics.config import (
    EXECUTORS,
    PRIOR_KINDS,
    ExecutionConfig,
    ImagingConfig,
    NoiseConfig,
    PatchPriorConfig,
    SurveyConfig,
)
from posterior.config import (
    LoopNetworkConfig,
    NetworkConfig,
    ReconstructConfig,
    SampleConfig,
    TrainConfig,
    require,
)

_STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """One split of the pairs: how many, and where its prior departs from the run's."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    count: int
    """Pairs in the split."""
    region: tuple[float, float] | None = None
    """Share of the earth model's width that this split may touch (patches prior)."""
    augment: float | None = None
    """Share of augmented draws (patches prior)."""

    def __post_init__(self) -> None:
        require(self.count >= 1, "splits.*.count", "at least 1", self.count)


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the report says of itself."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    title: str = "Posterior report"
    figures: int = 3
    """Pairs of each split that are drawn as panels."""
    viewer_draws: int = 50
    """Draws of each drawn pair that can be leafed through in the page; 0 for none."""
    video: bool = False
    """Whether each drawn pair gets a video of its draws, a GIF beside the figures."""

    def __post_init__(self) -> None:
        require(self.figures >= 1, "report.figures", "at least 1", self.figures)
        require(self.viewer_draws >= 0, "report.viewer_draws", "at least 0", self.viewer_draws)


def near_key(config: Any, key: str) -> str | None:
    """The setting of a section whose name is closest to a key, if one is close."""
    known = [f.name for f in dataclasses.fields(config)] if dataclasses.is_dataclass(config) else []
    return next(iter(difflib.get_close_matches(key, known, n=1)), None)


def section_at(location: tuple[Any, ...]) -> Any:
    """The dataclass of the section that holds the key at a location (section, ..., key); None if unknown."""
    sections: dict[str, Any] = {
        "survey": SurveyConfig,
        "noise": NoiseConfig,
        "imaging": ImagingConfig,
        "simulate": ExecutionConfig,
        "network": NetworkConfig,
        "train": TrainConfig,
        "sample": SampleConfig,
        "report": ReportConfig,
        "loop": LoopNetworkConfig,
        "reconstruct": ReconstructConfig,
        "splits": SplitConfig,
    }
    if location[0] == "simulate" and len(location) > 2:
        return EXECUTORS[str(location[1])]
    if location[0] == "prior":
        return PRIOR_KINDS.get(str(location[1]), PatchPriorConfig)
    return sections.get(str(location[0]))
