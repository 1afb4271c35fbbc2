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
        vp: The earth model's velocity ``(nx, nz)`` [m/s].
        model_spacing: Its grid spacing, the same on both axes [m].
        shape: Cells ``(nx, nz)`` of a patch.
        spacing: Grid spacing ``(dx, dz)`` of a patch [m].
        region: Share of the model's width that patches may touch.
        augment: Ranges of the augmentation; plain crops at continuous positions when None.

    Raises:
        ValueError: If the model is not a field (nx, nz) of positive velocities in m/s, or is too small.

    Example:
        >>> model = np.linspace(1500.0, 3000.0, 100) * np.ones((200, 1))
        >>> prior = PatchPrior(model, 10.0, shape=(32, 32), spacing=(10.0, 10.0))
        >>> prior.draw(np.random.default_rng(0)).shape
        (32, 32)
    """

    def __init__(
        self,
        vp: NDArray[np.floating],
        model_spacing: float,
        *,
        shape: tuple[int, int],
        spacing: tuple[float, float],
        region: tuple[float, float] = (0.0, 1.0),
        augment: AugmentConfig | None = None,
    ) -> None:
        if vp.ndim != 2:
            raise ValueError(f"expected an earth model of shape (nx, nz), got {vp.shape}")
        first, last = (round(share * vp.shape[0]) for share in region)
        inside = np.asarray(vp[first:last], dtype=np.float64)
        _check_velocity(inside)
        self.shape = shape
        self.spacing = spacing
        self._augment = augment or AugmentConfig(probability=0.0)
        self._model_spacing = model_spacing
        self._plain = plain_positions(shape, spacing)
        self._limit = (np.array(inside.shape) - 1) * model_spacing
        if np.any(np.ptp(self._plain, axis=(1, 2)) > self._limit):
            need = np.ptp(self._plain, axis=(1, 2)).tolist()
            raise ValueError(
                f"expected a region at least as large as a patch, {need} m, got {self._limit.tolist()} m "
                f"(columns {first} to {last} of {vp.shape[0]}); widen the region or make the patch smaller"
            )
        self.vmin, self.vmax = float(inside.min()), float(inside.max())
        steps = [np.sqrt(np.prod(spacing)) * c / model_spacing for c in _COARSENING]
        self._levels = [_antialiased(1.0 / inside, step) for step in steps]

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity ``(nx, nz)`` [m/s] between ``vmin`` and ``vmax``."""
        config = self._augment
        augmented = rng.random() < config.probability
        slowness, depth = self._cut(rng, augmented=augmented)
        if augmented and rng.random() < config.splice:
            # A fault brings rocks of similar depth together, so the second patch comes from about there.
            other, _ = self._cut(rng, augmented=True, near_depth=depth)
            weight = splice_weight(rng, self.shape, self.spacing)
            slowness = weight * slowness + (1.0 - weight) * other
        if augmented:
            side = min(n * h for n, h in zip(self.shape, self.spacing, strict=True))
            sigma = (_BACKGROUND * side / self.spacing[0], _BACKGROUND * side / self.spacing[1])
            slowness = change_contrast(rng, slowness, config, sigma)
        slowness = np.clip(slowness, 1.0 / self.vmax, 1.0 / self.vmin)
        return np.clip(1.0 / slowness, self.vmin, self.vmax).astype(np.float32)

    def positions(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw augmented positions about the centre that are one to one and fit into the region.

        A draw that does not fit or that folds is pulled halfway towards the plain patch until it does.

        Args:
            rng: Source of randomness.

        Returns:
            Positions ``(2, nx, nz)`` about the patch's centre [m].
        """
        drawn = random_positions(rng, self._augment, self.shape, self.spacing)
        plain = self._plain * np.array([_orientation(drawn), 1.0])[:, None, None]
        for share in (1.0, 0.5, 0.25, 0.125):
            positions = plain + share * (drawn - plain)
            fits = np.all(np.ptp(positions, axis=(1, 2)) <= self._limit)
            if fits and is_one_to_one(positions, self.spacing):
                return positions
        return plain

    def _cut(
        self, rng: np.random.Generator, *, augmented: bool, near_depth: float | None = None
    ) -> tuple[NDArray[np.float64], float]:
        """Cut slowness ``(nx, nz)`` at a random place; also the depth of the patch's centre [m]."""
        positions = self.positions(rng) if augmented else self._plain
        low = -positions.min(axis=(1, 2))
        high = self._limit - positions.max(axis=(1, 2))
        centre = rng.uniform(low, high)
        if near_depth is not None:
            reach = 0.5 * self.shape[1] * self.spacing[1]
            centre[1] = np.clip(near_depth + rng.uniform(-reach, reach), low[1], high[1])
        coarsening = np.sqrt(np.abs(jacobian(positions, self.spacing)).mean())
        level = self._levels[int(np.argmin(np.abs(np.log(coarsening / np.array(_COARSENING)))))]
        # Inside already but for rounding, which the clip takes off.
        inside = np.clip(positions + centre[:, None, None], 0.0, self._limit[:, None, None])
        cells = inside / self._model_spacing
        slowness = scipy.ndimage.map_coordinates(level, cells, order=3, mode="mirror", prefilter=False)
        return slowness, float(centre[1])


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


def _orientation(positions: NDArray[np.float64]) -> float:
    """Give +1, or -1 where the map mirrors left and right."""
    return 1.0 if positions[0, -1].mean() > positions[0, 0].mean() else -1.0


def _antialiased(field: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Cubic-spline coefficients of a field that is fit to be sampled every ``step`` cells."""
    sigma = 0.5 * np.sqrt(max(step**2 - 1.0, 0.0))
    smooth = scipy.ndimage.gaussian_filter(field, sigma, mode="mirror") if sigma > 0.0 else field
    return scipy.ndimage.spline_filter(smooth, order=3, mode="mirror", output=np.float64)
