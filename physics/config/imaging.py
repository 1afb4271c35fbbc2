"""Configuration of what records are reduced to: background, image or gathers, mutes and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from physics.config.checks import STRICT, require


@dataclass(frozen=True, kw_only=True)
class ImagingConfig:
    """Background model, imaging condition, mute and weight of a training pair."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    smoothing: float = 125.0
    """Standard deviation of the Gaussian that makes the background from squared slowness [m]."""
    background_error: float = 0.0
    """Standard deviation of a random smooth relative error of the background; the perturbation is taken from
    the background with its error."""
    condition: Literal["correlation", "inverse_scattering"] = "correlation"
    """Imaging condition of the migrated image: the exact adjoint, or one that leaves out what waves correlate
    along their way."""
    offset: float = 0.0
    """Largest half-offset of horizontal image gathers [m]; 0 makes the image alone."""
    offset_step: float = 0.0
    """Distance of the half-offsets [m], a multiple of the spacing along x; 0 takes the spacing."""
    taper_depth: float = 50.0
    """Depth above which the perturbation and the image are muted [m]."""
    depth_power: float = 1.0
    """The image is weighted by (depth / total depth) ** depth_power."""

    def __post_init__(self) -> None:
        require(self.smoothing > 0.0, "imaging.smoothing", "a positive value", self.smoothing)
        for name in ("background_error", "offset", "offset_step", "taper_depth", "depth_power"):
            require(getattr(self, name) >= 0.0, f"imaging.{name}", "a value >= 0", getattr(self, name))
        require(
            self.offset == 0.0 or self.condition == "correlation",
            "imaging.condition",
            "'correlation' for gathers",
            self.condition,
        )
