"""Configurations of surveys: how sources and receivers are laid out over a model whose corner is at zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from physics.config.checks import STRICT, require
from physics.config.survey_files import PositionsConfig, SegySurveyConfig

_NAME = "acquisition"


def _at_least(low: float, **values: float) -> None:
    for name, value in values.items():
        require(value >= low, f"{_NAME}.{name}", f"at least {low:g}", value)


def _counts(**values: tuple[int, ...]) -> None:
    for name, value in values.items():
        require(
            len(value) in (1, 2) and min(value) >= 1,
            f"{_NAME}.{name}",
            "one count of at least 1 for each horizontal axis",
            value,
        )


@dataclass(frozen=True, kw_only=True)
class SpreadConfig:
    """A fixed line of receivers from edge to edge of a 2-D model, and sources in equal intervals."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["spread"] = "spread"
    num_sources: int = 8
    num_receivers: int = 64
    source_depth: float = 25.0
    """Depth of the sources [m]."""
    receiver_depth: float = 25.0
    """Depth of the receivers [m]."""
    jitter: float = 0.0
    """Largest horizontal departure of a source from the middle of its interval [m], new in every sample."""

    def __post_init__(self) -> None:
        _at_least(1, num_sources=self.num_sources, num_receivers=self.num_receivers)
        _at_least(0.0, source_depth=self.source_depth, receiver_depth=self.receiver_depth, jitter=self.jitter)


@dataclass(frozen=True, kw_only=True)
class ArealConfig:
    """Grids of sources and of receivers over a 3-D model: sources in equal cells, receivers edge to edge."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["areal"] = "areal"
    num_sources: tuple[int, int] = (4, 4)
    """Sources along x and y."""
    num_receivers: tuple[int, int] = (32, 32)
    """Receivers along x and y."""
    source_depth: float = 25.0
    """Depth of the sources [m]."""
    receiver_depth: float = 25.0
    """Depth of the receivers [m]."""
    jitter: float = 0.0
    """Largest departure of a source from its regular position along each axis [m], new in every sample."""

    def __post_init__(self) -> None:
        _counts(num_sources=self.num_sources, num_receivers=self.num_receivers)
        _at_least(0.0, source_depth=self.source_depth, receiver_depth=self.receiver_depth, jitter=self.jitter)


@dataclass(frozen=True, kw_only=True)
class NodesConfig:
    """Sparse nodes on the sea floor below a dense line (2-D) or carpet (3-D) of shots."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["nodes"] = "nodes"
    num_nodes: tuple[int, ...] = (8,)
    """Nodes along each horizontal axis: one number in 2-D, two in 3-D."""
    num_shots: tuple[int, ...] = (64,)
    """Shots along each horizontal axis."""
    node_depth: float = 100.0
    """Depth of the sea floor [m]."""
    shot_depth: float = 10.0
    """Depth of the shots [m]."""
    node_jitter: float = 0.0
    """Largest departure of a node from its regular position along each axis [m], new in every sample."""
    reciprocity: bool = True
    """Fire the few nodes and record at the many shots, which gives the same pressure at less cost."""

    def __post_init__(self) -> None:
        _counts(num_nodes=self.num_nodes, num_shots=self.num_shots)
        _at_least(0.0, node_depth=self.node_depth, shot_depth=self.shot_depth, node_jitter=self.node_jitter)


@dataclass(frozen=True, kw_only=True)
class StreamerConfig:
    """Streamers towed along +x: receivers behind the source that move with it. In 3-D, several cables."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["streamer"] = "streamer"
    num_sources: int = 8
    """Shots of a sail line."""
    num_groups: int = 24
    """Receiver groups of a cable."""
    group_interval: float = 12.5
    """Distance of neighbouring groups [m]."""
    near_offset: float = 50.0
    """Distance of the first group behind the source [m]."""
    source_depth: float = 6.0
    """Depth of the sources [m]."""
    cable_depth: float = 8.0
    """Depth of the cables [m]."""
    roll_on: bool = False
    """Shoot over the whole width, with the groups that are outside the model dead. By default, sources start
    where the whole cable is inside."""
    num_lines: int = 1
    """Sail lines, in equal intervals of y (3-D)."""
    num_cables: int = 1
    """Cables side by side (3-D)."""
    cable_spacing: float = 100.0
    """Distance of neighbouring cables [m]."""
    feathering: float = 0.0
    """Mean angle by which currents turn the cables towards +y [degrees] (3-D)."""
    feathering_spread: float = 0.0
    """Standard deviation of that angle from line to line [degrees], new in every sample; without ``roll_on``
    a cable turned out of the model is an error."""

    @property
    def far_offset(self) -> float:
        """Distance of the last group behind the source [m]."""
        return self.near_offset + (self.num_groups - 1) * self.group_interval

    def __post_init__(self) -> None:
        _at_least(
            1,
            num_sources=self.num_sources,
            num_groups=self.num_groups,
            num_lines=self.num_lines,
            num_cables=self.num_cables,
        )
        _at_least(
            0.0,
            near_offset=self.near_offset,
            source_depth=self.source_depth,
            cable_depth=self.cable_depth,
            feathering_spread=self.feathering_spread,
        )
        for name in ("group_interval", "cable_spacing"):
            require(getattr(self, name) > 0.0, f"{_NAME}.{name}", "positive metres", getattr(self, name))
        require(abs(self.feathering) <= 45.0, f"{_NAME}.feathering", "an angle in [-45, 45]", self.feathering)


@dataclass(frozen=True, kw_only=True)
class VspConfig:
    """A vertical seismic profile: receivers down a well, sources at the surface."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["vsp"] = "vsp"
    num_sources: tuple[int, ...] = (8,)
    """Sources along each horizontal axis, in equal intervals: one number in 2-D, two in 3-D."""
    num_receivers: int = 32
    source_depth: float = 25.0
    """Depth of the sources [m]."""
    well: tuple[float, ...] | None = None
    """Horizontal position of the well [m]; the middle of the model by default."""
    interval: tuple[float, float] = (0.1, 0.9)
    """Top and bottom receiver as shares of the model's depth."""
    jitter: float = 0.0
    """Largest departure of a source from its regular position along each axis [m], new in every sample."""

    def __post_init__(self) -> None:
        _counts(num_sources=self.num_sources)
        _at_least(1, num_receivers=self.num_receivers)
        _at_least(0.0, source_depth=self.source_depth, jitter=self.jitter)
        _check_interval(self.interval)


@dataclass(frozen=True, kw_only=True)
class CrosswellConfig:
    """Sources down one well, receivers down another."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["crosswell"] = "crosswell"
    num_sources: int = 8
    num_receivers: int = 32
    source_well: tuple[float, ...] | None = None
    """Horizontal position of the source well [m]; by default on the left edge, in the middle of y."""
    receiver_well: tuple[float, ...] | None = None
    """Horizontal position of the receiver well [m]; by default on the right edge, in the middle of y."""
    interval: tuple[float, float] = (0.1, 0.9)
    """Top and bottom of both arrays as shares of the model's depth."""

    def __post_init__(self) -> None:
        _at_least(1, num_sources=self.num_sources, num_receivers=self.num_receivers)
        _check_interval(self.interval)


WholeSurveyConfig = (
    SpreadConfig
    | ArealConfig
    | NodesConfig
    | StreamerConfig
    | VspConfig
    | CrosswellConfig
    | PositionsConfig
    | SegySurveyConfig
)


@dataclass(frozen=True, kw_only=True)
class SubsetConfig:
    """Some sources of another survey, chosen anew in every sample."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["subset"] = "subset"
    of: WholeSurveyConfig
    """The survey to choose from; its ``kind`` tells which."""
    num_sources: tuple[int, int] = (4, 8)
    """Fewest and most sources of a sample."""

    def __post_init__(self) -> None:
        low, high = self.num_sources
        require(1 <= low <= high, f"{_NAME}.num_sources", "(min, max) with 1 <= min <= max", self.num_sources)


AcquisitionConfig = WholeSurveyConfig | SubsetConfig


def _check_interval(interval: tuple[float, float]) -> None:
    require(0.0 <= interval[0] < interval[1] <= 1.0, f"{_NAME}.interval", "0 <= top < bottom <= 1", interval)
