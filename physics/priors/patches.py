"""Prior 1: patches cut from a given earth model, augmented so that a network cannot memorise them."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from physics.config import AugmentConfig
from physics.priors.augment import (
    change_contrast,
    is_one_to_one,
    jacobian,
    plain_positions,
    random_positions,
    splice_weight,
)
from physics.priors.grid import Grid

_COARSENING = (1.0, 2.0**0.5, 2.0)
"""Sampling steps, in units of the patch's spacing, for which an anti-aliased copy of the model is kept."""
_BACKGROUND = 1.0 / 6.0
"""Standard deviation of the Gaussian behind a change of contrast, as a share of the smaller side."""


@final
class PatchPrior:
    """Patches of one earth model, cut strictly inside a range of its columns.

    The columns outside ``region`` are dropped before anything else is done, filters included, so nothing
    there can reach a draw. Slowness is what is filtered and interpolated, because averages of slowness keep
    travel times. A patch is one cubic-spline interpolation of the model at the augmented positions.

    Args:
        vp: The earth model's velocity ``(nx, nz)`` or ``(nx, ny, nz)`` [m/s].
        model_spacing: Its grid spacing, one number for all axes or one for each [m].
        shape: Cells of a patch, as many axes as the model has.
        spacing: Grid spacing of each axis of a patch [m].
        region: Share of the model's width along x that patches may touch.
        augment: Ranges of the augmentation; plain crops at continuous positions when None.

    Raises:
        ValueError: If the model is not a field of positive velocities in m/s, is too small, or has not as
            many axes as the patch.

    Example:
        >>> model = np.linspace(1500.0, 3000.0, 100) * np.ones((200, 1))
        >>> prior = PatchPrior(model, 10.0, shape=(32, 32), spacing=(10.0, 10.0))
        >>> prior.draw(np.random.default_rng(0)).shape
        (32, 32)
    """

    def __init__(
        self,
        vp: NDArray[np.floating],
        model_spacing: float | tuple[float, ...],
        *,
        shape: tuple[int, ...],
        spacing: tuple[float, ...],
        region: tuple[float, float] = (0.0, 1.0),
        augment: AugmentConfig | None = None,
    ) -> None:
        self.grid = Grid(shape, spacing)
        if vp.ndim != self.grid.ndim:
            axes = "(nx, nz)" if self.grid.ndim == 2 else "(nx, ny, nz)"
            raise ValueError(
                f"expected an earth model of shape {axes}, got {vp.shape}: patches of shape {shape} are cut "
                f"from a {self.grid.ndim}-D model"
            )
        first, last = (round(share * vp.shape[0]) for share in region)
        inside = np.asarray(vp[first:last], dtype=np.float64)
        _check_velocity(inside)
        self._augment = augment or AugmentConfig(probability=0.0)
        self._model_spacing = np.broadcast_to(np.asarray(model_spacing, dtype=np.float64), (vp.ndim,))
        self._plain = plain_positions(shape, spacing)
        self._limit = (np.array(inside.shape) - 1) * self._model_spacing
        if np.any(_footprint(self._plain) > self._limit):
            need = _footprint(self._plain).tolist()
            raise ValueError(
                f"expected a region at least as large as a patch, {need} m, got {self._limit.tolist()} m "
                f"(columns {first} to {last} of {vp.shape[0]}); widen the region or make the patch smaller"
            )
        self.vmin, self.vmax = float(inside.min()), float(inside.max())
        # One step for all axes: an augmented patch is rotated against the model.
        step = self._root(float(np.prod(spacing)))
        self._levels = [_antialiased(1.0 / inside, step * c / self._model_spacing) for c in _COARSENING]

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity [m/s] between ``vmin`` and ``vmax``, of the prior's shape."""
        config = self._augment
        augmented = rng.random() < config.probability
        slowness, depth = self._cut(rng, augmented=augmented)
        if augmented and rng.random() < config.splice:
            # A fault brings rocks of similar depth together, so the second patch comes from about there.
            other, _ = self._cut(rng, augmented=True, near_depth=depth)
            weight = splice_weight(rng, self.grid.shape, self.grid.spacing)
            slowness = weight * slowness + (1.0 - weight) * other
        if augmented:
            side = min(self.grid.extent)
            sigma = tuple(_BACKGROUND * side / h for h in self.grid.spacing)
            slowness = change_contrast(rng, slowness, config, sigma)
        slowness = np.clip(slowness, 1.0 / self.vmax, 1.0 / self.vmin)
        return np.clip(1.0 / slowness, self.vmin, self.vmax).astype(np.float32)

    def positions(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw augmented positions about the centre that are one to one and fit into the region.

        A draw that does not fit or that folds is pulled halfway towards the plain patch until it does.

        Args:
            rng: Source of randomness.

        Returns:
            Positions ``(ndim, *shape)`` about the patch's centre [m].
        """
        drawn = random_positions(rng, self._augment, self.grid.shape, self.grid.spacing)
        plain = np.stack([axis * sign for axis, sign in zip(self._plain, _orientation(drawn), strict=True)])
        for share in (1.0, 0.5, 0.25, 0.125):
            positions = plain + share * (drawn - plain)
            fits = np.all(_footprint(positions) <= self._limit)
            if fits and is_one_to_one(positions, self.grid.spacing):
                return positions
        return plain

    def _root(self, volume: float) -> float:
        """Side of a square or cube of that content."""
        return float(np.sqrt(volume) if self.grid.ndim == 2 else np.cbrt(volume))

    def _cut(
        self, rng: np.random.Generator, *, augmented: bool, near_depth: float | None = None
    ) -> tuple[NDArray[np.float64], float]:
        """Cut slowness of a patch at a random place; also the depth of the patch's centre [m]."""
        positions = self.positions(rng) if augmented else self._plain
        cells = tuple(range(1, positions.ndim))
        low = -positions.min(axis=cells)
        high = self._limit - positions.max(axis=cells)
        centre = rng.uniform(low, high)
        if near_depth is not None:
            reach = 0.5 * self.grid.depth
            centre[-1] = np.clip(near_depth + rng.uniform(-reach, reach), low[-1], high[-1])
        coarsening = self._root(np.abs(jacobian(positions, self.grid.spacing)).mean())
        level = self._levels[int(np.argmin(np.abs(np.log(coarsening / np.array(_COARSENING)))))]
        # Inside already but for rounding, which the clip takes off.
        each = (slice(None), *[None] * self.grid.ndim)
        inside = np.clip(positions + centre[each], 0.0, self._limit[each])
        index = inside / self._model_spacing[each]
        slowness = scipy.ndimage.map_coordinates(level, index, order=3, mode="mirror", prefilter=False)
        return slowness, float(centre[-1])


def _check_velocity(vp: NDArray[np.float64]) -> None:
    """Refuse what is not a field of positive velocities in m/s."""
    bad = ~(np.isfinite(vp) & (vp > 0.0))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"expected finite positive velocities in m/s, got {bad.sum()} bad values, "
            f"the first at {first} of the region"
        )
    if vp.max() < 100.0:
        raise ValueError(f"expected velocities in m/s, got at most {vp.max():g}: looks like km/s")


def _footprint(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Size of the box that holds the positions, for each axis [m]."""
    return np.ptp(positions, axis=tuple(range(1, positions.ndim)))


def _orientation(positions: NDArray[np.float64]) -> list[float]:
    """Give +1 for each axis, or -1 where the map mirrors a horizontal one."""
    ends = [
        (np.take(axis, 0, number).mean(), np.take(axis, -1, number).mean())
        for number, axis in enumerate(positions[:-1])
    ]
    return [*[1.0 if last > first else -1.0 for first, last in ends], 1.0]


def _antialiased(field: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic-spline coefficients of a field that is fit to be sampled every ``steps`` cells of each axis."""
    sigma = 0.5 * np.sqrt(np.maximum(steps**2 - 1.0, 0.0))
    smooth = scipy.ndimage.gaussian_filter(field, sigma, mode="mirror") if sigma.any() else field
    return scipy.ndimage.spline_filter(smooth, order=3, mode="mirror", output=np.float64)
