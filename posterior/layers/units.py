"""A change of units as an invertible function of one number."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from posterior.layers.activations import Activation


@final
class LinearUnits(Activation):
    r"""Go from numbers of order one to physical units.

    .. math:: z = a x + b, \qquad \ell = \log a

    Args:
        scale: The scale a > 0, in units of z.
        shift: The shift b, in units of z.
        ndim: Number of spatial axes, 1 to 3, or 0 for vectors.

    Raises:
        ValueError: If the scale is not positive.

    Example:
        >>> dm, logdet = LinearUnits(2e-8)(torch.ones(1, 1, 2, 2))  # s^2/m^2
        >>> float(dm.max())
        1.9999999878450581e-08
    """

    def __init__(self, scale: float, shift: float = 0.0, *, ndim: int = 2) -> None:
        super().__init__(ndim=ndim)
        if not (scale > 0.0 and math.isfinite(scale)):
            raise ValueError(f"expected a positive scale, got {scale}")
        self.scale, self.shift = scale, shift

    def function(self, x: Tensor) -> Tensor:
        """Return a x + b."""
        return x * self.scale + self.shift

    def inverse_function(self, z: Tensor) -> Tensor:
        """Return (z - b) / a."""
        return (z - self.shift) / self.scale

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log a in every cell."""
        return torch.full_like(x, math.log(self.scale))

    def log_slope_derivative(self, x: Tensor) -> Tensor:
        """Return 0: the slope is constant."""
        return torch.zeros_like(x)
