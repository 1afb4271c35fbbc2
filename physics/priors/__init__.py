"""Draws of earth models: patches of given models, layers, families after OpenFWI, salt, channels, fields."""

from __future__ import annotations

from collections.abc import Callable

from physics.config import (
    ChannelPriorConfig,
    GaussianPriorConfig,
    LayeredPriorConfig,
    OpenFWIPriorConfig,
    PatchPriorConfig,
    PriorConfig,
    SaltPriorConfig,
)
from physics.model_files import read_model
from physics.priors.channels import ChannelPrior
from physics.priors.gaussian import GaussianPrior
from physics.priors.layered import LayeredPrior
from physics.priors.openfwi import OpenFWIPrior
from physics.priors.patches import PatchPrior
from physics.priors.prior import GridPrior, Prior
from physics.priors.salt import SaltPrior
from physics.priors.water import WaterPrior
from physics.registry import resolve_model

__all__ = [
    "ChannelPrior",
    "GaussianPrior",
    "GridPrior",
    "LayeredPrior",
    "OpenFWIPrior",
    "PatchPrior",
    "Prior",
    "SaltPrior",
    "WaterPrior",
    "make_prior",
]


def make_prior(config: PriorConfig, shape: tuple[int, ...], spacing: tuple[float, ...]) -> GridPrior:
    """Build the prior that a configuration describes, with its water layer if it has one.

    Args:
        config: Which prior, and its ranges.
        shape: Cells ``(nx, nz)`` or ``(nx, ny, nz)`` of a draw.
        spacing: Grid spacing of each axis [m].

    Raises:
        ModelUnavailable: If the prior needs a public earth model that is neither here nor can be downloaded.
        ValueError: If the shape or the model does not fit the configuration.

    Example:
        >>> import numpy as np
        >>> prior = make_prior(LayeredPriorConfig(), (64, 64), (12.5, 12.5))
        >>> prior.draw(np.random.default_rng(0)).shape
        (64, 64)
    """
    rocks: GridPrior = _BUILDERS[type(config)](config, shape=shape, spacing=spacing)
    return rocks if config.water is None else WaterPrior(rocks, config.water)


def _patches(config: PatchPriorConfig, *, shape: tuple[int, ...], spacing: tuple[float, ...]) -> PatchPrior:
    """Patches of the registered model or of the file that the configuration names."""
    own: float | tuple[float, ...]
    if config.file is not None:
        vp, own = read_model(config.file)
    else:
        vp, own = resolve_model(config.model, config.model_spacing)
    return PatchPrior(vp, own, shape=shape, spacing=spacing, region=config.region, augment=config.augment)


_BUILDERS: dict[type[PriorConfig], Callable[..., GridPrior]] = {
    PatchPriorConfig: _patches,
    LayeredPriorConfig: LayeredPrior,
    OpenFWIPriorConfig: OpenFWIPrior,
    SaltPriorConfig: SaltPrior,
    ChannelPriorConfig: ChannelPrior,
    GaussianPriorConfig: GaussianPrior,
}
