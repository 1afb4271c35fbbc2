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


def plain_positions(shape: tuple[int, ...], spacing: tuple[float, ...]) -> Array:
    """Positions of the cells of an unchanged patch about its centre [m], of shape ``(ndim, *shape)``."""
    axes = [(np.arange(n) - (n - 1) / 2.0) * h for n, h in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def random_positions(
    rng: np.random.Generator,
    config: AugmentConfig,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
) -> Array:
    """Draw where the cells of an augmented patch take their values, about the patch's centre.

    ``p(u) = R(angle) [[1, shear], [0, 1]] diag(+-1 / stretch_x, 1 / stretch_z) u + w(u)``, with ``w`` a
    smooth Gaussian field in all components. The stretches are drawn evenly in their logarithm. In 3-D all
    horizontal axes are stretched and flipped, beds are sheared and tilted along each of them, and R turns
    about the vertical as well.

    Args:
        rng: Source of randomness.
        config: Ranges of the changes.
        shape: Cells ``(nx, nz)`` or ``(nx, ny, nz)`` of the patch.
        spacing: Grid spacing of the patch [m].

    Returns:
        Positions ``(ndim, *shape)`` [m].
    """
    u = plain_positions(shape, spacing)
    low, high = np.log(config.stretch)
    stretch = np.exp(rng.uniform(low, high, size=len(shape)))
    across = [_sign(rng, config.flip) * axis / by for axis, by in zip(u[:-1], stretch[:-1], strict=True)]
    z = u[-1] / stretch[-1]
    for axis in range(len(across)):
        across[axis] = across[axis] + rng.uniform(-config.shear, config.shear) * z
    for axis in range(len(across)):
        across[axis], z = _rotate(across[axis], z, _angle(rng, config))
    if len(across) == 2:
        across[0], across[1] = _rotate(across[0], across[1], _angle(rng, config))
    positions = np.stack([*across, z])
    length = _WARP_LENGTH * min(n * h for n, h in zip(shape, spacing, strict=True))
    for component in positions:
        component += config.warp * gaussian_field(rng, shape, spacing, length)
    return positions


def _sign(rng: np.random.Generator, flip: float) -> float:
    return -1.0 if rng.random() < flip else 1.0


def _angle(rng: np.random.Generator, config: AugmentConfig) -> float:
    return float(np.deg2rad(rng.uniform(-config.rotation, config.rotation)))


def _rotate(first: Array, second: Array, angle: float) -> tuple[Array, Array]:
    return np.cos(angle) * first - np.sin(angle) * second, np.sin(angle) * first + np.cos(angle) * second


def jacobian(positions: Array, spacing: tuple[float, ...]) -> Array:
    """Determinant of the map's derivative, one value a cell; negative where it mirrors."""
    slopes = [np.gradient(component, *spacing) for component in positions]
    if len(positions) == 2:
        (x_x, x_z), (z_x, z_z) = slopes
        return x_x * z_z - x_z * z_x
    (x_x, x_y, x_z), (y_x, y_y, y_z), (z_x, z_y, z_z) = slopes
    return x_x * (y_y * z_z - y_z * z_y) - x_y * (y_x * z_z - y_z * z_x) + x_z * (y_x * z_y - y_y * z_x)


def is_one_to_one(positions: Array, spacing: tuple[float, ...]) -> bool:
    """Whether the map neither folds nor nearly folds anywhere, mirrored or not."""
    area = jacobian(positions, spacing)
    mean = area.mean()
    return bool(np.all(area * np.sign(mean) > _SMALLEST_JACOBIAN * abs(mean)))


def splice_weight(rng: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Array:
    """Draw the weight of the first of two patches that are joined along a random smooth boundary.

    The boundary is a straight line of any direction near the centre (a plane in 3-D), bent by a smooth random
    function. The weight passes from 0 to 1 over about one cell, as an interface between two rocks does on a
    grid.

    Args:
        rng: Source of randomness.
        shape: Cells ``(nx, nz)`` or ``(nx, ny, nz)``.
        spacing: Grid spacing of each axis [m].

    Returns:
        The weight in [0, 1], of shape ``shape``.
    """
    side = min(n * h for n, h in zip(shape, spacing, strict=True))
    *across, z = plain_positions(shape, spacing)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    offset = rng.uniform(-0.25, 0.25) * side
    bend = _SPLICE_RELIEF * side * gaussian_field(rng, shape, spacing, 0.25 * side)
    along = across[0]
    if len(across) == 2:
        along, _ = _rotate(across[0], across[1], rng.uniform(0.0, 2.0 * np.pi))
    distance = np.cos(angle) * along + np.sin(angle) * z - offset - bend
    return np.clip(0.5 + distance / min(spacing), 0.0, 1.0)


def change_contrast(
    rng: np.random.Generator, slowness: Array, config: AugmentConfig, sigma: tuple[float, ...]
) -> Array:
    """Scale the deviation from the smooth background by a random factor, its sign reversed at times.

    ``s -> s0 + g (s - s0)`` with ``s0 = gaussian(s)``.

    Args:
        rng: Source of randomness.
        slowness: Slowness of each cell [s/m].
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
