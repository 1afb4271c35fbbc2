"""Exact augmentations of a training pair: what the physics leaves unchanged costs nothing to teach.

For data that are linear in x (Born) with noise relative to the signal, (x, y) -> (g x, g y) turns a pair into
another valid pair for any factor g, negative ones included; what y says of the background stays as it is.
For sources and receivers spread symmetrically, mirroring every horizontal axis does the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from posterior.config import TrainConfig
from posterior.symmetry import scaled_channels


def augment(
    x: Tensor, y: Tensor, y_channels: Sequence[str], config: TrainConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mirror, reverse and scale each pair of a batch at random, in physical units.

    Args:
        x: unknowns (B, C, ..., nz); the axes between channel and depth are the horizontal ones.
        y: conditions (B, K, ..., nz).
        y_channels: K names, for :func:`scaled_channels`.
        config: ``flip``, ``reverse`` and ``amplitude`` say what is drawn.
        generator: source of the random numbers, on the tensors' device.

    Returns:
        New x and y.
    """
    if config.flip:
        x, y = _mirror(x, y, generator)
    factor = _factors(len(x), config, generator).to(x)
    follows = torch.tensor(scaled_channels(y_channels), device=y.device)
    factors = torch.where(follows, factor[:, None], torch.ones_like(factor)[:, None])
    return x * factor.view(-1, *(1,) * (x.ndim - 1)), y * factors.view(*factors.shape, *(1,) * (y.ndim - 2))


def _mirror(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    for axis in range(2, x.ndim - 1):
        chosen = torch.rand(len(x), generator=generator, device=generator.device) < 0.5
        chosen = chosen.to(x.device).view(-1, *(1,) * (x.ndim - 1))
        x, y = torch.where(chosen, x.flip(axis), x), torch.where(chosen, y.flip(axis), y)
    return x, y


def _factors(count: int, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """One factor a pair: log-uniform between the limits of the amplitude, with a random sign."""
    low, high = (math.log(limit) for limit in config.amplitude)
    draws = torch.rand(2, count, generator=generator, device=generator.device)
    factor = torch.exp(low + (high - low) * draws[0])
    return torch.where(draws[1] < 0.5, -factor, factor) if config.reverse else factor
