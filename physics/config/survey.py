"""Configuration of the survey: grid, acquisition, wavelet, noise and imaging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from physics.config.checks import STRICT, require


@dataclass(frozen=True, kw_only=True)
class SurveyConfig:
    """Grid, acquisition, wavelet, noise and imaging of one training pair."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    shape: tuple[int, int] = (64, 64)
    """Cells (nx, nz) of the model."""
    spacing: tuple[float, float] = (12.5, 12.5)
    """Grid spacing (dx, dz) [m]."""
    num_sources: int = 8
    source_depth: float = 25.0
    """Depth of the sources [m]."""
    source_jitter: float = 20.0
    """Largest horizontal departure of a source from its regular position [m]."""
    num_receivers: int = 64
    receiver_depth: float = 25.0
    """Depth of the receivers [m]."""
    f0: float = 15.0
    """Peak frequency of the Ricker wavelet [Hz]."""
    record_length: float = 1.0
    """Length of a record [s]."""
    dt: float = 0.0014
    """Sampling interval of the records [s]; the computation uses dt / k with the smallest stable whole k."""
    space_order: int = 8
    nbl: int = 40
    """Absorbing cells on each side."""
    subsample: int = 4
    """Every how many computed steps the background wavefield is kept for the image."""
    snr_db: float = 12.0
    """Signal-to-noise ratio of each shot [dB]; the noise has the wavelet's spectrum."""
    smoothing: float = 125.0
    """Standard deviation of the Gaussian that makes the background from squared slowness [m]."""
    background_error: float = 0.0
    """Standard deviation of a random smooth relative error of the background; the perturbation is taken from
    the background with its error."""
    taper_depth: float = 50.0
    """Depth above which the perturbation and the image are muted [m]."""
    depth_power: float = 1.0
    """The image is weighted by (depth / total depth) ** depth_power."""

    def __post_init__(self) -> None:
        require(min(self.shape) >= 8, "survey.shape", "at least 8 cells an axis", self.shape)
        for name in ("num_sources", "num_receivers", "space_order", "nbl", "subsample"):
            require(getattr(self, name) >= 1, f"survey.{name}", "at least 1", getattr(self, name))
        for name in ("f0", "record_length", "dt", "smoothing"):
            require(getattr(self, name) > 0.0, f"survey.{name}", "a positive value", getattr(self, name))
        for name in (
            "source_depth",
            "source_jitter",
            "receiver_depth",
            "background_error",
            "taper_depth",
            "depth_power",
        ):
            require(getattr(self, name) >= 0.0, f"survey.{name}", "a value >= 0", getattr(self, name))
        require(min(self.spacing) > 0.0, "survey.spacing", "positive metres", self.spacing)
