"""Configurations of the priors over earth models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args, get_type_hints

from physics.config.checks import STRICT, require, require_range
from physics.config.geology import (
    ChannelPriorConfig,
    GaussianPriorConfig,
    LayeredPriorConfig,
    OpenFWIPriorConfig,
    SaltPriorConfig,
    WaterConfig,
)
from physics.config.model_file import ModelFileConfig


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far a patch cut from a given earth model may depart from it.

    Each draw uses independent random values; ``probability`` is the share of draws that are augmented at all.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    probability: float = 1.0
    """Share of the draws that are augmented; 0 gives plain crops, 1 augments every draw."""
    rotation: float = 20.0
    """Largest rotation angle [degrees]."""
    shear: float = 0.2
    """Largest shear, horizontal shift per depth."""
    stretch: tuple[float, float] = (0.55, 1.5)
    """Smallest and largest stretch of each axis."""
    warp: float = 40.0
    """Standard deviation of the smooth elastic displacement [m]."""
    flip: float = 0.5
    """Probability of a left-right flip."""
    splice: float = 0.3
    """Probability that a second patch is joined on along a random smooth boundary."""
    contrast: tuple[float, float] = (0.5, 1.5)
    """Smallest and largest factor on the deviation from the smooth background."""
    reverse_contrast: float = 0.25
    """Probability that the deviation from the smooth background changes its sign."""

    def __post_init__(self) -> None:
        for name in ("probability", "flip", "splice", "reverse_contrast"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"augment.{name}", "a probability in [0, 1]", value)
        for name in ("rotation", "shear", "warp"):
            value = getattr(self, name)
            require(value >= 0.0, f"augment.{name}", "a value >= 0", value)
        require_range("augment.stretch", self.stretch, low=0.0)
        require_range("augment.contrast", self.contrast, low=0.0)


@dataclass(frozen=True, kw_only=True)
class PatchPriorConfig:
    """Patches cut from one earth model (prior 1)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["patches"] = "patches"
    model: str = "marmousi"
    """Name in the registry of public earth models, or a path to an ``.npy`` file of vp [m/s], axes (x, z)."""
    model_spacing: float | None = None
    """Grid spacing of the model [m]; needed for a path, taken from the registry otherwise."""
    file: ModelFileConfig | None = None
    """Any other file, instead of `model`: its format, axes, unit and spacing."""
    region: tuple[float, float] = (0.0, 1.0)
    """Share of the model's width that patches may touch: nothing outside it is ever sampled."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    water: WaterConfig | None = None
    """A layer of water on top; none by default."""

    def __post_init__(self) -> None:
        require(
            0.0 <= self.region[0] < self.region[1] <= 1.0,
            "prior.region",
            "0 <= start < end <= 1",
            self.region,
        )
        alone = self.file is None or (self.model, self.model_spacing) == ("marmousi", None)
        require(alone, "prior.model", "no model or model_spacing beside prior.file", self.model)


PriorConfig = (
    PatchPriorConfig
    | LayeredPriorConfig
    | OpenFWIPriorConfig
    | SaltPriorConfig
    | ChannelPriorConfig
    | GaussianPriorConfig
)
"""Any prior, told apart by its `kind`."""

PRIOR_KINDS: dict[str, type[PriorConfig]] = {
    kind: config for config in get_args(PriorConfig) for kind in get_args(get_type_hints(config)["kind"])
}
"""The configuration that each `kind` names."""
