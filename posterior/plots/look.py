"""Colours of sections: grey about zero for images, a perceptual map for velocities, segments for salt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, ListedColormap
from numpy.typing import ArrayLike

from posterior.plots.image_axes import symmetric_limits
from posterior.plots.style import SIGNED, VELOCITY

_COLOURS = 512
_WATER, _SALT = (0.62, 0.79, 0.93, 1.0), (0.94, 0.62, 0.74, 1.0)


@final
@dataclass(frozen=True)
class Look:
    """A colour map and the values at its ends, in the stored (SI) unit."""

    limits: tuple[float, float]
    cmap: str | Colormap

    def __post_init__(self) -> None:
        low, high = self.limits
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ValueError(f"expected limits that increase, got {self.limits}")

    @classmethod
    def of(cls, *images: ArrayLike) -> Look:
        """The look of values, the same for all images.

        Values of both signs (images, perturbations) get greys about zero, clipped at the 98th percentile of
        magnitude; values all above zero (velocity, slowness) the perceptual colour map of velocities,
        clipped at the 0.5th and 99.5th.

        Raises:
            ValueError: If a value is not finite.
        """
        values = np.concatenate([np.asarray(image, dtype=np.float64).ravel() for image in images])
        if not values.size or not np.isfinite(values).all():
            raise ValueError("expected images of finite values, got none or values not finite")
        if values.min() <= 0.0:
            return cls(symmetric_limits(values), SIGNED)
        low, high = (float(bound) for bound in np.percentile(values, [0.5, 99.5]))
        return cls((low, high) if low < high else (0.9 * low, 1.1 * high), VELOCITY)

    @classmethod
    def segmented(cls, limits: tuple[float, float], *, water: float, salt: float) -> Look:
        """Water and salt in one colour each, the sediment between them in the colours of velocities.

        Args:
            limits: Values at the ends of the colour map.
            water: Largest value of water.
            salt: Smallest value of salt.

        Raises:
            ValueError: If water and salt do not follow each other within the limits.

        Example:
            >>> look = Look.segmented((1450.0, 4700.0), water=1520.0, salt=4400.0)
            >>> look.cmap(0.0) == look.cmap(0.01), look.cmap(0.99) == look.cmap(1.0)
            (True, True)
        """
        low, high = limits
        if not low < water < salt < high:
            raise ValueError(f"expected {low} < water < salt < {high}, got {water} and {salt}")
        values = low + (high - low) * (np.arange(_COLOURS) + 0.5) / _COLOURS
        colours = colormaps[VELOCITY](np.clip((values - water) / (salt - water), 0.0, 1.0))
        colours[values <= water] = _WATER
        colours[values >= salt] = _SALT
        return cls(limits, ListedColormap(colours, name="segmented"))
