"""Surveys with receivers or sources down a well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physics.config import CrosswellConfig, VspConfig
from physics.errors import GeometryError
from physics.positions import middles
from physics.surveys.layout import Layout, at_depth, jittered, needs_counts


def vsp(config: VspConfig, extent: tuple[float, ...], rng: np.random.Generator) -> Layout:
    """Receivers down a well, sources in equal intervals (cells in 3-D) near the surface."""
    needs_counts(extent, num_sources=config.num_sources)
    axes = [middles(n, length) for n, length in zip(config.num_sources, extent[:-1], strict=True)]
    sources = jittered(at_depth(axes, config.source_depth), config.jitter, extent, rng)
    middle = tuple(0.5 * width for width in extent[:-1])
    place = middle if config.well is None else config.well
    return Layout(sources, _well(place, config.num_receivers, config.interval, extent))


def crosswell(config: CrosswellConfig, extent: tuple[float, ...], rng: np.random.Generator) -> Layout:
    """Sources down one well, receivers down another."""
    middle = tuple(0.5 * width for width in extent[1:-1])
    source_well = (0.0, *middle) if config.source_well is None else config.source_well
    receiver_well = (extent[0], *middle) if config.receiver_well is None else config.receiver_well
    return Layout(
        _well(source_well, config.num_sources, config.interval, extent),
        _well(receiver_well, config.num_receivers, config.interval, extent),
    )


def _well(
    place: tuple[float, ...], count: int, interval: tuple[float, float], extent: tuple[float, ...]
) -> NDArray[np.float64]:
    """Positions (count, ndim) equally spaced down the interval of a vertical well."""
    if len(place) != len(extent) - 1:
        raise GeometryError(
            f"expected {len(extent) - 1} horizontal coordinates of a well in a {len(extent)}-D model, "
            f"got {place}"
        )
    top, bottom = (share * extent[-1] for share in interval)
    depths = np.linspace(top, bottom, count) if count > 1 else np.array([0.5 * (top + bottom)])
    return np.column_stack([*(np.full(count, x) for x in place), depths])
