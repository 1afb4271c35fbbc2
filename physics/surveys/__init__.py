"""Surveys built from configurations: spreads, nodes, streamers, wells, given positions, random subsets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from physics.config import (
    AcquisitionConfig,
    ArealConfig,
    CrosswellConfig,
    NodesConfig,
    PositionsConfig,
    SegySurveyConfig,
    SpreadConfig,
    StreamerConfig,
    SubsetConfig,
    VspConfig,
)
from physics.errors import GeometryError
from physics.geometry import Acquisition
from physics.surveys.files import positions, segy
from physics.surveys.layout import Layout
from physics.surveys.streamers import streamer
from physics.surveys.surface import areal, nodes, spread
from physics.surveys.wells import crosswell, vsp

__all__ = ["build"]

_LAYOUTS: dict[type, Callable[[Any, tuple[float, ...], np.random.Generator], Layout]] = {
    ArealConfig: areal,
    CrosswellConfig: crosswell,
    NodesConfig: nodes,
    PositionsConfig: positions,
    SegySurveyConfig: segy,
    SpreadConfig: spread,
    StreamerConfig: streamer,
    VspConfig: vsp,
}


def build(
    config: AcquisitionConfig, extent: tuple[float, ...], *, dt: float, nt: int, rng: np.random.Generator
) -> Acquisition:
    """Build the survey that a configuration describes: a pure function of its arguments.

    Args:
        config: Which survey, and its numbers.
        extent: Size of the model, (width, depth) or (width, width in y, depth) [m]; its corner is at zero.
        dt: Sampling interval of the records [s].
        nt: Samples of a record.
        rng: Random generator, for jitter, feathering and subsets.

    Raises:
        ValueError: If the survey does not fit the model.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> survey = build(SpreadConfig(jitter=20.0), model.extent, dt=0.004, nt=376, rng=rng)
    """
    if isinstance(config, SubsetConfig):
        return _subset(config, build(config.of, extent, dt=dt, nt=nt, rng=rng), rng)
    sources, receivers, live = _LAYOUTS[type(config)](config, extent, rng)
    survey = Acquisition(sources, receivers, dt, nt, live)
    survey.check_inside((0.0,) * len(extent), extent)
    return survey


def _subset(config: SubsetConfig, survey: Acquisition, rng: np.random.Generator) -> Acquisition:
    """Some of the survey's sources, in their order."""
    low, high = config.num_sources
    if high > survey.num_sources:
        raise GeometryError(
            f"expected a subset of at most {survey.num_sources} sources, as the survey of kind "
            f"{config.of.kind!r} has, got num_sources {config.num_sources}"
        )
    count = rng.integers(low, high, endpoint=True)
    return survey.select(np.sort(rng.choice(survey.num_sources, count, replace=False)))
