"""Fixed spreads: lines, areal grids, ocean-bottom nodes."""

from __future__ import annotations

import numpy as np

from physics.config import ArealConfig, NodesConfig, SpreadConfig
from physics.positions import edge_to_edge, middles
from physics.surveys.layout import Layout, at_depth, jittered, needs_counts, needs_dimensions


def spread(config: SpreadConfig, extent: tuple[float, ...], rng: np.random.Generator) -> Layout:
    """A line of receivers from edge to edge; a source in each of equal intervals."""
    needs_dimensions(2, extent, "spread", "areal")
    return _grids(config, extent, (config.num_sources,), (config.num_receivers,), rng)


def areal(config: ArealConfig, extent: tuple[float, ...], rng: np.random.Generator) -> Layout:
    """A grid of receivers from edge to edge; a source in each of equal cells."""
    needs_dimensions(3, extent, "areal", "spread")
    return _grids(config, extent, config.num_sources, config.num_receivers, rng)


def nodes(config: NodesConfig, extent: tuple[float, ...], rng: np.random.Generator) -> Layout:
    """Nodes in equal cells of the sea floor, shots in equal cells near the surface."""
    needs_counts(extent, num_nodes=config.num_nodes, num_shots=config.num_shots)
    floor = at_depth(
        [middles(n, length) for n, length in zip(config.num_nodes, extent[:-1], strict=True)],
        config.node_depth,
    )
    shots = at_depth(
        [middles(n, length) for n, length in zip(config.num_shots, extent[:-1], strict=True)],
        config.shot_depth,
    )
    floor = jittered(floor, config.node_jitter, extent, rng)
    return Layout(floor, shots) if config.reciprocity else Layout(shots, floor)


def _grids(
    config: SpreadConfig | ArealConfig,
    extent: tuple[float, ...],
    num_sources: tuple[int, ...],
    num_receivers: tuple[int, ...],
    rng: np.random.Generator,
) -> Layout:
    widths = extent[:-1]
    sources = [middles(n, length) for n, length in zip(num_sources, widths, strict=True)]
    receivers = [edge_to_edge(n, length) for n, length in zip(num_receivers, widths, strict=True)]
    return Layout(
        jittered(at_depth(sources, config.source_depth), config.jitter, extent, rng),
        at_depth(receivers, config.receiver_depth),
    )
