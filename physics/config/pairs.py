"""Configuration of a training pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from physics.config.acquisition import AcquisitionConfig, SpreadConfig
from physics.config.checks import STRICT
from physics.config.imaging import ImagingConfig
from physics.config.noise import NoiseConfig
from physics.config.priors import PriorConfig
from physics.config.survey import SurveyConfig


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """All that a training pair depends on besides its index: it is a pure function of (this, index)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    seed: int
    stream: str
    """Name of the independent random stream, for example the split ("train"); it enters the seed."""
    prior: PriorConfig
    survey: SurveyConfig = field(default_factory=SurveyConfig)
    acquisition: AcquisitionConfig = field(default_factory=SpreadConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    imaging: ImagingConfig = field(default_factory=ImagingConfig)
