"""The invertible network that a configuration describes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from posterior.conditioners import (
    ConditionerFactory,
    GatedConditioner,
    ResidualConditioner,
    UNetConditioner,
)
from posterior.config import NetworkConfig
from posterior.layers.elementwise import Affine, Elementwise
from posterior.layers.spline import RationalQuadraticSpline
from posterior.networks.base import InvertibleNetwork
from posterior.networks.conditional_hint import ConditionalHINT
from posterior.networks.glow import ConditionalGlow
from posterior.networks.hint import HINT
from posterior.reversible import Memory

_KINDS: dict[str, Callable[..., InvertibleNetwork]] = {
    "conditional_glow": ConditionalGlow,
    "hint": HINT,
    "conditional_hint": ConditionalHINT,
}
_CONDITIONERS: dict[str, Callable[..., Any]] = {
    "residual": ResidualConditioner,
    "gated": GatedConditioner,
    "unet": UNetConditioner,
}
_TRANSFORMS: dict[str, Callable[[], Elementwise]] = {"affine": Affine, "spline": RationalQuadraticSpline}


def build_network(config: NetworkConfig, in_channels: int, ndim: int) -> InvertibleNetwork:
    """Build the network, with fresh weights.

    Args:
        config: The architecture.
        in_channels: Channels C of x.
        ndim: Number of spatial axes.
    """
    conditioner: ConditionerFactory = partial(
        _CONDITIONERS[config.conditioner], hidden=config.hidden, ndim=ndim
    )
    return _KINDS[config.kind](
        in_channels,
        config.cond_channels,
        scales=config.scales,
        steps=config.steps,
        ndim=ndim,
        memory=Memory(
            config.memory,
            keep=config.keep,
            anchor_every=config.anchor_every,
            chunk=config.chunk,
            slab_budget=config.slab_budget,
        ),
        squeeze=config.squeeze,
        conditioner=conditioner,
        transform=_TRANSFORMS[config.transform](),
        dtype=None if config.conditioner_dtype is None else getattr(torch, config.conditioner_dtype),
    )
