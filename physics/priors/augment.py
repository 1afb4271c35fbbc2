"""Random changes of a patch of earth model: one coordinate map, one splice, one change of contrast.

All geometric changes are composed into a single map from the cells of the patch to positions in the model, so
that a patch is interpolated once and never blurred twice. Positions are relative to the patch's centre [m].
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from physics.config import AugmentConfig
from physics.priors.random_fields import gaussian_field

Array = NDArray[np.float64]

_WARP_LENGTH = 0.25
"""Correlation length of the elastic warp, as a share of the patch's smaller side."""
_SPLICE_RELIEF = 0.05
"""Standard deviation of a splice's undulation, as a share of the patch's smaller side."""
_SMALLEST_JACOBIAN = 0.2
"""A map that compresses an area below this share of its mean is taken as folded."""


def plain_positions(shape: tuple[int, int], spacing: tuple[float, float]) -> Array:
    """Positions of the cells of an unchanged patch about its centre [m], of shape ``(2, nx, nz)``."""
    axes = [(np.arange(n) - (n - 1) / 2.0) * h for n, h in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def random_positions(
    rng: np.random.Generator,
    config: AugmentConfig,
    shape: tuple[int, int],
    spacing: tuple[float, float],
) -> Array:
    """Draw where the cells of an augmented patch take their values, about the patch's centre.

    ``p(u) = R(angle) [[1, shear], [0, 1]] diag(+-1 / stretch_x, 1 / stretch_z) u + w(u)``, with ``w`` a
    smooth Gaussian field in both components. The stretches are drawn evenly in their logarithm.

    Args:
        rng: Source of randomness.
        config: Ranges of the changes.
        shape: Cells ``(nx, nz)`` of the patch.
        spacing: Grid spacing ``(dx, dz)`` of the patch [m].

    Returns:
        Positions ``(2, nx, nz)`` [m].
    """
    u = plain_positions(shape, spacing)
    low, high = np.log(config.stretch)
    stretch = np.exp(rng.uniform(low, high, size=2))
    sign = -1.0 if rng.random() < config.flip else 1.0
    shear = rng.uniform(-config.shear, config.shear)
    angle = np.deg2rad(rng.uniform(-config.rotation, config.rotation))
    x, z = sign * u[0] / stretch[0], u[1] / stretch[1]
    x = x + shear * z
    positions = np.stack([np.cos(angle) * x - np.sin(angle) * z, np.sin(angle) * x + np.cos(angle) * z])
    length = _WARP_LENGTH * min(n * h for n, h in zip(shape, spacing, strict=True))
    for component in positions:
        component += config.warp * gaussian_field(rng, shape, spacing, length)
    return positions


def jacobian(positions: Array, spacing: tuple[float, float]) -> Array:
    """Determinant of the map's derivative, of shape ``(nx, nz)``; negative where it mirrors."""
    x_x, x_z = np.gradient(positions[0], *spacing)
    z_x, z_z = np.gradient(positions[1], *spacing)
    return x_x * z_z - x_z * z_x


def is_one_to_one(positions: Array, spacing: tuple[float, float]) -> bool:
    """Whether the map neither folds nor nearly folds anywhere, mirrored or not."""
    area = jacobian(positions, spacing)
    mean = area.mean()
    return bool(np.all(area * np.sign(mean) > _SMALLEST_JACOBIAN * abs(mean)))


def splice_weight(rng: np.random.Generator, shape: tuple[int, int], spacing: tuple[float, float]) -> Array:
    """Draw the weight of the first of two patches that are joined along a random smooth boundary.

    The boundary is a straight line of any direction near the centre, bent by a smooth random function. The
    weight passes from 0 to 1 over about one cell, as an interface between two rocks does on a grid.

    Args:
        rng: Source of randomness.
        shape: Cells ``(nx, nz)``.
        spacing: Grid spacing ``(dx, dz)`` [m].

    Returns:
        The weight in [0, 1], of shape ``(nx, nz)``.
    """
    side = min(n * h for n, h in zip(shape, spacing, strict=True))
    x, z = plain_positions(shape, spacing)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    offset = rng.uniform(-0.25, 0.25) * side
    bend = _SPLICE_RELIEF * side * gaussian_field(rng, shape, spacing, 0.25 * side)
    distance = np.cos(angle) * x + np.sin(angle) * z - offset - bend
    return np.clip(0.5 + distance / min(spacing), 0.0, 1.0)


def change_contrast(
    rng: np.random.Generator, slowness: Array, config: AugmentConfig, sigma: tuple[float, float]
) -> Array:
    """Scale the deviation from the smooth background by a random factor, its sign reversed at times.

    ``s -> s0 + g (s - s0)`` with ``s0 = gaussian(s)``.

    Args:
        rng: Source of randomness.
        slowness: Slowness ``(nx, nz)`` [s/m].
        config: Range of the factor and probability of the reversal.
        sigma: Standard deviation of the Gaussian on each axis [cells].

    Returns:
        The changed slowness [s/m]; the caller bounds it.
    """
    factor = np.exp(rng.uniform(*np.log(config.contrast)))
    if rng.random() < config.reverse_contrast:
        factor = -factor
    background = scipy.ndimage.gaussian_filter(slowness, sigma, mode="nearest", truncate=3.0)
    return background + factor * (slowness - background)
