"""Configurations of the synthetic priors: what is drawn, and from which ranges.

Lengths are metres, or shares of the section's width or depth where a field says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from physics.config.checks import STRICT, require, require_range


@dataclass(frozen=True, kw_only=True)
class WaterConfig:
    """A layer of water over any prior: whatever the prior drew above the sea floor becomes water."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    depth: tuple[float, float] = (100.0, 200.0)
    """Smallest and largest mean depth of the sea floor [m]."""
    velocity: float = 1500.0
    """Velocity of water [m/s]."""
    relief: float = 0.0
    """Standard deviation of the sea floor about its mean depth [m]; 0 is flat."""
    length: float = 300.0
    """Correlation length of the sea floor [m]."""

    def __post_init__(self) -> None:
        require(
            0.0 <= self.depth[0] <= self.depth[1], "water.depth", "(min, max), 0 <= min <= max", self.depth
        )
        require(self.velocity >= 100.0, "water.velocity", "m/s (this looks like km/s)", self.velocity)
        require(self.relief >= 0.0, "water.relief", "a value >= 0", self.relief)
        require(self.length > 0.0, "water.length", "a positive length in metres", self.length)


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
    water: WaterConfig | None = None
    """A layer of water on top; none by default."""

    def __post_init__(self) -> None:
        require_range("prior.velocity", self.velocity, low=100.0)
        require_range("prior.thickness", self.thickness, low=0.0)
        for name in ("relief", "dip", "faults", "throw"):
            value = getattr(self, name)
            require(value >= 0, f"prior.{name}", "a value >= 0", value)


OpenFWIKind = Literal[
    "flat-vel-a",
    "flat-vel-b",
    "curve-vel-a",
    "curve-vel-b",
    "flat-fault-a",
    "flat-fault-b",
    "curve-fault-a",
    "curve-fault-b",
]


@dataclass(frozen=True, kw_only=True)
class OpenFWIPriorConfig:
    """Families after OpenFWI: few homogeneous layers, flat or curved, whole or faulted.

    In version a the velocities increase with depth, in version b they come in random order.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: OpenFWIKind = "flat-vel-a"
    velocity: tuple[float, float] = (1500.0, 4500.0)
    """Smallest and largest velocity [m/s]."""
    layers: tuple[int, int] = (3, 7)
    """Smallest and largest number of layers."""
    relief: tuple[float, float] = (0.02, 0.10)
    """Amplitude of the folds, as a share of the depth (curve families)."""
    waves: tuple[float, float] = (0.5, 2.0)
    """Folds across the width (curve families)."""
    faults: tuple[int, int] = (1, 3)
    """Smallest and largest number of faults (fault families)."""
    throw: tuple[float, float] = (0.05, 0.20)
    """Throw of a fault, as a share of the depth (fault families)."""
    dip: tuple[float, float] = (45.0, 80.0)
    """Dip of a fault [degrees] (fault families)."""
    water: WaterConfig | None = None
    """A layer of water on top; none by default."""

    def __post_init__(self) -> None:
        require_range("prior.velocity", self.velocity, low=100.0)
        require_range("prior.layers", self.layers, low=1)
        require_range("prior.faults", self.faults, low=0)
        for name in ("relief", "waves", "throw", "dip"):
            require_range(f"prior.{name}", getattr(self, name), low=0.0)
        require(self.dip[1] <= 90.0, "prior.dip", "at most 90 degrees", self.dip)


@dataclass(frozen=True, kw_only=True)
class SaltPriorConfig:
    """Salt bodies in sediments whose velocity grows with depth."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["salt"] = "salt"
    velocity: tuple[float, float] = (1500.0, 4200.0)
    """Smallest and largest velocity of the sediments [m/s]; the trend is cut off there."""
    salt_velocity: tuple[float, float] = (4400.0, 4600.0)
    """Velocity of salt, constant within a draw [m/s]."""
    surface_velocity: tuple[float, float] = (1600.0, 2000.0)
    """Velocity of the sediments at depth 0 [m/s]."""
    gradient: tuple[float, float] = (0.4, 1.0)
    """Increase of the sediments' velocity with depth [1/s]."""
    layering: float = 0.04
    """Relative standard deviation of a layer's velocity about the trend."""
    thickness: tuple[float, float] = (30.0, 120.0)
    """Smallest and largest layer thickness [m]."""
    bodies: tuple[int, int] = (1, 2)
    """Smallest and largest number of salt bodies."""
    width: tuple[float, float] = (0.15, 0.40)
    """Largest width of a body, as a share of the section's width."""
    top: tuple[float, float] = (0.12, 0.45)
    """Depth of the top of salt, as a share of the section's depth."""
    overhang: tuple[float, float] = (0.0, 0.6)
    """How much narrower the neck is than the bulb above it, as a share of the bulb's width."""
    roughness: float = 0.12
    """Relative standard deviation of the flanks."""
    upturn: float = 0.08
    """Largest uplift of the beds at a flank, as a share of the section's depth."""
    subsalt: float = 0.5
    """Probability that the salt has a base with sediments below it; else it reaches the bottom."""
    water: WaterConfig | None = None
    """A layer of water on top; none by default."""

    def __post_init__(self) -> None:
        for name in ("velocity", "salt_velocity", "surface_velocity"):
            require_range(f"prior.{name}", getattr(self, name), low=100.0)
        for name in ("thickness", "width", "top"):
            require_range(f"prior.{name}", getattr(self, name), low=0.0)
        require_range("prior.bodies", self.bodies, low=0)
        require(self.top[1] < 0.8, "prior.top", "a top of salt above 0.8 of the depth", self.top)
        inside = 0.0 <= self.overhang[0] <= self.overhang[1] <= 0.9
        require(inside, "prior.overhang", "(min, max) within 0 to 0.9", self.overhang)
        require(self.gradient[0] <= self.gradient[1], "prior.gradient", "(min, max)", self.gradient)
        require(0.0 <= self.subsalt <= 1.0, "prior.subsalt", "a probability in [0, 1]", self.subsalt)
        for name in ("layering", "upturn", "roughness"):
            require(0.0 <= getattr(self, name) <= 0.5, f"prior.{name}", "0 to 0.5", getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class ChannelPriorConfig:
    """Meandering sand channels in a layered background."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["channels"] = "channels"
    velocity: tuple[float, float] = (1500.0, 4500.0)
    """Smallest and largest velocity [m/s]."""
    thickness: tuple[float, float] = (30.0, 120.0)
    """Smallest and largest thickness of the background's layers [m]."""
    relief: float = 20.0
    """Standard deviation of the beds' undulation, which the channels follow [m]."""
    channels: tuple[int, int] = (1, 5)
    """Smallest and largest number of channels, each at a depth of its own."""
    width: tuple[float, float] = (60.0, 200.0)
    """Width of a channel [m]."""
    depth: tuple[float, float] = (20.0, 60.0)
    """Largest thickness of a channel's fill [m]."""
    wavelength: tuple[float, float] = (400.0, 1200.0)
    """Meander wavelength along the valley [m]."""
    turn: tuple[float, float] = (30.0, 100.0)
    """Largest angle between channel and valley [degrees]; above 90 the meanders double back."""
    contrast: tuple[float, float] = (0.06, 0.25)
    """Relative difference between the velocity of the fill and that of the beds around it."""
    slower: float = 0.6
    """Probability that the fill is slower than the beds around it, as gas sand is."""
    water: WaterConfig | None = None
    """A layer of water on top; none by default."""

    def __post_init__(self) -> None:
        require_range("prior.velocity", self.velocity, low=100.0)
        for name in ("thickness", "width", "depth", "wavelength", "turn", "contrast"):
            require_range(f"prior.{name}", getattr(self, name), low=0.0)
        require_range("prior.channels", self.channels, low=0)
        require(self.turn[1] <= 110.0, "prior.turn", "at most 110 degrees (then the loops touch)", self.turn)
        require(self.contrast[1] < 0.9, "prior.contrast", "a share below 0.9", self.contrast)
        require(0.0 <= self.slower <= 1.0, "prior.slower", "a probability in [0, 1]", self.slower)
        require(self.relief >= 0.0, "prior.relief", "a value >= 0", self.relief)


@dataclass(frozen=True, kw_only=True)
class GaussianPriorConfig:
    """Gaussian random fields of Matern covariance about a trend that grows with depth."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["gaussian"] = "gaussian"
    velocity: tuple[float, float] = (1500.0, 4500.0)
    """Smallest and largest velocity [m/s]: values beyond are cut off there."""
    surface_velocity: tuple[float, float] = (2000.0, 2400.0)
    """Mean velocity at depth 0 [m/s]: drawn evenly, for each earth model."""
    gradient: tuple[float, float] = (0.6, 1.2)
    """Increase of the mean velocity with depth [1/s]: drawn evenly, for each earth model."""
    std: float = 250.0
    """Standard deviation of the field before values are cut off [m/s]."""
    lengths: tuple[float, ...] = (200.0, 60.0)
    """Correlation lengths (horizontal, vertical), or (x, y, z) in 3-D, before the dip [m]."""
    smoothness: float = 1.5
    """Matern's nu: 0.5 is an exponential covariance, large values approach a Gaussian one."""
    dip: float = 0.0
    """Dip of the long axis, down towards +x [degrees]."""
    water: WaterConfig | None = None
    """A layer of water on top; none by default."""

    def __post_init__(self) -> None:
        require_range("prior.velocity", self.velocity, low=100.0)
        require_range("prior.surface_velocity", self.surface_velocity, low=100.0)
        require(self.gradient[0] <= self.gradient[1], "prior.gradient", "(min, max)", self.gradient)
        require(self.std > 0.0, "prior.std", "a positive value in m/s", self.std)
        fits = len(self.lengths) in (2, 3) and all(length > 0.0 for length in self.lengths)
        require(fits, "prior.lengths", "two or three positive lengths in metres", self.lengths)
        require(0.1 <= self.smoothness <= 10.0, "prior.smoothness", "0.1 to 10", self.smoothness)
        require(-90.0 <= self.dip <= 90.0, "prior.dip", "-90 to 90 degrees", self.dip)
