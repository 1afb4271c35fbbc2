"""Standardisation of x and y by the training split's statistics, which travel with the model as numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor

from posterior.dataset import Pairs
from posterior.uq.moments import Moments

_CONSTANT = 1e-6
"""A channel whose deviation is below this share of its mean is constant up to float32 rounding."""


@final
@dataclass(frozen=True)
class Standardiser:
    r"""Per-channel affine map to zero mean and unit standard deviation.

    .. math:: u = (x - \mu) / \sigma, \qquad \log p(x) = \log p(u) - n \sum_c \log \sigma_c

    with n cells a channel, so that densities are stated per physical unit of x.

    Args:
        x_mean, x_std: one number a channel of x, in the unit of x.
        y_mean, y_std: one number a channel of y.
    """

    x_mean: tuple[float, ...]
    x_std: tuple[float, ...]
    y_mean: tuple[float, ...]
    y_std: tuple[float, ...]

    def __post_init__(self) -> None:
        for mean, std in ((self.x_mean, self.x_std), (self.y_mean, self.y_std)):
            if len(mean) != len(std) or not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0.0:
                raise ValueError(f"expected a finite mean and a positive std a channel, got {mean} and {std}")

    @classmethod
    def identity(cls, x_channels: int, y_channels: int) -> Self:
        """The map that changes nothing."""
        return cls((0.0,) * x_channels, (1.0,) * x_channels, (0.0,) * y_channels, (1.0,) * y_channels)

    @classmethod
    def fit(cls, pairs: Pairs) -> Self:
        """Mean and standard deviation of each channel over all pairs and cells, in one pass and float64.

        A constant channel of y keeps its scale (std 1): it tells the network nothing, and divides by nothing.

        Raises:
            ValueError: a pair is not finite, or a channel of x is constant (it has no density).
        """
        x_moments, y_moments = Moments(), Moments()
        for position in range(len(pairs)):
            for name, moments, values in zip("xy", (x_moments, y_moments), pairs[position], strict=True):
                if not torch.isfinite(values).all():
                    raise ValueError(f"expected finite values, got nan or inf in {name} of pair {position}")
                moments.update(values.flatten(1).T.numpy() if values.ndim > 1 else values[None].numpy())
        x_std, y_std = _scales(x_moments), _scales(y_moments)
        if 0.0 in x_std:
            raise ValueError(f"expected every channel of x to vary, got constant channel {x_std.index(0.0)}")
        return cls(
            tuple(x_moments.mean.tolist()),
            tuple(x_std),
            tuple(y_moments.mean.tolist()),
            tuple(scale or 1.0 for scale in y_std),
        )

    def standardise_x(self, x: Tensor) -> Tensor:
        """Physical x (B, C, ...) to the network's units."""
        return (x - _channels(self.x_mean, x)) / _channels(self.x_std, x)

    def restore_x(self, u: Tensor) -> Tensor:
        """The network's units to physical x (B, C, ...)."""
        return u * _channels(self.x_std, u) + _channels(self.x_mean, u)

    def standardise_y(self, y: Tensor) -> Tensor:
        """Physical y (B, K, ...) to the network's units."""
        return (y - _channels(self.y_mean, y)) / _channels(self.y_std, y)

    def log_volume(self, cells: int) -> float:
        """Log |du/dx| = -n sum_c log sigma_c for n cells a channel: add it to log p(u) for log p(x)."""
        return -cells * sum(math.log(value) for value in self.x_std)

    def to_json(self) -> dict[str, list[float]]:
        """Plain numbers for a JSON file; floats survive the round trip exactly."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_json(cls, numbers: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        names = ("x_mean", "x_std", "y_mean", "y_std")
        if set(numbers) != set(names):
            raise ValueError(f"expected a standardiser with {names}, got {tuple(numbers)}")
        return cls(*(tuple(float(value) for value in numbers[name]) for name in names))


def _scales(moments: Moments) -> list[float]:
    """Standard deviation a channel; 0 where it is constant."""
    varies = moments.std > _CONSTANT * np.abs(moments.mean)
    return np.where(varies, moments.std, 0.0).tolist()


def _channels(values: tuple[float, ...], like: Tensor) -> Tensor:
    if like.shape[1] != len(values):
        raise ValueError(f"expected {len(values)} channels, got shape {tuple(like.shape)}")
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, *(1,) * (like.ndim - 2))
