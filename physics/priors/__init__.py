"""Draws of earth models: patches cut from a given model, and layered synthetic sections."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from physics.config import LayeredPriorConfig, PriorConfig
from physics.priors.layered import LayeredPrior
from physics.priors.patches import PatchPrior
from physics.registry import resolve_model

__all__ = ["LayeredPrior", "PatchPrior", "Prior", "make_prior"]


@runtime_checkable
class Prior(Protocol):
    """A distribution of earth models, all of one shape.

    ``vmin`` and ``vmax`` [m/s] bound every draw, so that a time step or a grid can be judged for all draws.
    """

    vmin: float
    vmax: float

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity ``(nx, nz)`` [m/s]."""
        ...


def make_prior(config: PriorConfig, shape: tuple[int, int], spacing: tuple[float, float]) -> Prior:
    """Build the prior that a configuration describes.

    Args:
        config: Which prior, and its ranges.
        shape: Cells ``(nx, nz)`` of a draw.
        spacing: Grid spacing ``(dx, dz)`` [m].

    Raises:
        ModelUnavailable: If the prior needs a public earth model that is neither here nor can be downloaded.
        ValueError: If the model does not fit the configuration.

    Example:
        >>> prior = make_prior(LayeredPriorConfig(), (64, 64), (12.5, 12.5))
        >>> vp = prior.draw(np.random.default_rng(0))
    """
    if isinstance(config, LayeredPriorConfig):
        return LayeredPrior(config, shape=shape, spacing=spacing)
    vp, model_spacing = resolve_model(config.model, config.model_spacing)
    return PatchPrior(
        vp, model_spacing, shape=shape, spacing=spacing, region=config.region, augment=config.augment
    )
