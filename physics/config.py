"""Frozen configurations of the physics stages. Plain dataclasses: importable without Devito, SI units.

Every configuration checks itself on construction, so a bad value is refused the same way from Python and
from a TOML file. They are written into every HDF5 shard that they produced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

_STRICT: dict[str, Any] = {"extra": "forbid"}


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raise a ValueError that names the setting, what was expected and what came."""
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got!r}")


def _require_range(name: str, pair: tuple[float, float], *, low: float) -> None:
    require(low < pair[0] <= pair[1], name, f"(min, max) with {low} < min <= max", pair)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far a patch cut from a given earth model may depart from it.

    Each draw uses independent random values; ``probability`` is the share of draws that are augmented at all.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

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
        _require_range("augment.stretch", self.stretch, low=0.0)
        _require_range("augment.contrast", self.contrast, low=0.0)


@dataclass(frozen=True, kw_only=True)
class PatchPriorConfig:
    """Patches cut from one earth model (prior 1)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

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

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

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
        _require_range("prior.velocity", self.velocity, low=100.0)
        _require_range("prior.thickness", self.thickness, low=0.0)
        for name in ("relief", "dip", "faults", "throw"):
            value = getattr(self, name)
            require(value >= 0, f"prior.{name}", "a value >= 0", value)


PriorConfig = PatchPriorConfig | LayeredPriorConfig


@dataclass(frozen=True, kw_only=True)
class SurveyConfig:
    """Grid, acquisition, wavelet, noise and imaging of one training pair."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

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


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """All that a training pair depends on besides its index: it is a pure function of (this, index)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    seed: int
    stream: str
    """Name of the independent random stream, for example the split ("train"); it enters the seed."""
    prior: PriorConfig
    survey: SurveyConfig
