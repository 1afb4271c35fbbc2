"""Configurations of the priors over earth models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from physics.config.checks import STRICT, require, require_range


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
    region: tuple[float, float] = (0.0, 1.0)
    """Share of the model's width that patches may touch: nothing outside it is ever sampled."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        require(
            0.0 <= self.region[0] < self.region[1] <= 1.0,
            "prior.region",
            "0 <= start < end <= 1",
            self.region,
        )


@dataclass(frozen=True, kw_only=True)
class LayeredPriorConfig:
    """Layered, curved and faulted synthetic earth models (prior 2)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["layered"] = "layered"
    velocity: tuple[float, float] = (1500.0, 4500.0)
    """Smallest and largest velocity [m/s]."""
    thickness: tuple[float, float] = (30.0, 150.0)
    """Smallest and largest layer thickness [m]."""
    relief: float = 60.0
    """Standard deviation of the interfaces' undulation [m]."""
    dip: float = 15.0
    """Largest mean dip [degrees]."""
    faults: int = 3
    """Largest number of faults."""
    throw: float = 80.0
    """Largest throw of a fault [m]."""

    def __post_init__(self) -> None:
        require_range("prior.velocity", self.velocity, low=100.0)
        require_range("prior.thickness", self.thickness, low=0.0)
        for name in ("relief", "dip", "faults", "throw"):
            value = getattr(self, name)
            require(value >= 0, f"prior.{name}", "a value >= 0", value)


PriorConfig = PatchPriorConfig | LayeredPriorConfig
