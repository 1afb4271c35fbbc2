"""Towed streamers: receivers that move with the source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physics.config import StreamerConfig
from physics.errors import GeometryError
from physics.positions import middles
from physics.surveys.layout import Layout, at_depth

_ROUNDING = 1e-6
"""A group computed to lie on the edge may round to just outside [m]."""


def streamer(config: StreamerConfig, extent: tuple[float, ...], rng: np.random.Generator) -> Layout:
    r"""Sail lines along +x with cables behind the source, turned at their heads by the feathering angle.

    .. math:: x_r = x_s - x_{near} - k \Delta \cos\phi, \qquad y_r = y_s + y_{cable} + k \Delta \sin\phi

    with the group interval Delta and one angle phi a sail line. 2-D: no feathering, one line, one cable.
    """
    _check(config, extent)
    first = config.near_offset if config.roll_on else config.far_offset
    x = np.linspace(first, extent[0], config.num_sources)
    lines = [middles(config.num_lines, width) for width in extent[1:-1]]
    sources = at_depth([*lines, x], config.source_depth)  # line by line, along x within a line
    sources = np.concatenate([sources[:, -2:-1], sources[:, :-2], sources[:, -1:]], axis=1)
    cables = _cables(config, len(extent), rng)
    receivers = sources[:, None, :] + np.repeat(cables, config.num_sources, axis=0)
    receivers[..., -1] = config.cable_depth
    live: NDArray[np.bool_] = np.all(np.abs(receivers - np.clip(receivers, 0.0, extent)) < _ROUNDING, axis=-1)
    if not config.roll_on and not live.all():
        raise GeometryError(
            f"expected all cables inside the model of extent {extent} m, got groups outside in "
            f"{np.count_nonzero(~live.all(axis=1))} of {len(sources)} shots: "
            f"shorten or turn the cables, or set roll_on for dead groups there"
        )
    return Layout(sources, np.clip(receivers, 0.0, extent), live)


def _cables(config: StreamerConfig, ndim: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Groups relative to the source, shape (lines, cables * groups, ndim) [m]."""
    along = np.arange(config.num_groups) * config.group_interval
    if ndim == 2:
        return np.column_stack([-config.near_offset - along, np.zeros_like(along)])[None]
    angle = np.full(config.num_lines, config.feathering)
    if config.feathering_spread > 0.0:
        angle += config.feathering_spread * rng.standard_normal(config.num_lines)
    angle = np.deg2rad(angle)[:, None, None]
    side = (np.arange(config.num_cables) - 0.5 * (config.num_cables - 1)) * config.cable_spacing
    shape = (config.num_lines, config.num_cables, config.num_groups)
    x = np.broadcast_to(-config.near_offset - along * np.cos(angle), shape)
    y = side[:, None] + along * np.sin(angle)
    return np.stack([x, y, np.zeros(shape)], axis=-1).reshape(config.num_lines, -1, 3)


def _check(config: StreamerConfig, extent: tuple[float, ...]) -> None:
    turned = config.feathering != 0.0 or config.feathering_spread > 0.0
    if len(extent) == 2 and (turned or max(config.num_lines, config.num_cables) > 1):
        raise GeometryError(
            f"expected one line with one cable and no feathering in a 2-D model, got {config.num_lines} "
            f"lines, {config.num_cables} cables, feathering {config.feathering:g} +- "
            f"{config.feathering_spread:g} degrees: these need a 3-D model"
        )
    needed = config.near_offset if config.roll_on else config.far_offset
    if needed > extent[0]:
        raise GeometryError(
            f"expected a {'near' if config.roll_on else 'far'} offset within the model's width of "
            f"{extent[0]:g} m, got {needed:g} m: "
            + ("tow closer" if config.roll_on else "use fewer groups, or set roll_on for dead groups outside")
        )
