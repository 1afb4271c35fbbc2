"""A scale and a shift for each channel or cell, with closed forms for both directions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from posterior.invertible import Invertible, ReverseStep, Trace


class DiagonalAffine(Invertible, ABC):
    r"""Scale and shift by learned numbers that repeat over the batch and over the axes they lack.

    .. math:: z = e^{a} \odot x + b, \qquad \log|\det| = n \sum a

    with n the number of cells that share a number. Starts as the identity.

    Args:
        shape: Shape of a and b, the leading axes of a sample: (C,) or (C, nx, ...).

    Shapes:
        x, z: (B, C, ...). logdet: (B,). The condition is not used.
    """

    draws_random = False

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(shape))

    @abstractmethod
    def check(self, name: str, image: Tensor) -> None:
        """Raise a ValueError unless the layer takes an image of that shape."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (e^a x + b, n sum(a))."""
        self.check("x", x)
        return self._apply_scale(x), self._logdet(x)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ((z - b) e^-a, -n sum(a))."""
        self.check("z", z)
        return (z - self._wide(self.bias, z)) * self._wide(self.log_scale.neg().exp(), z), -self._logdet(z)

    @torch.no_grad()
    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Closed form: dL/dx = e^a dL/dz, dL/da = sum(x dL/dx) + n sum(dL/dlogdet), dL/db = sum(dL/dz)."""
        scale = self._wide(self.log_scale.exp(), z)
        x, grad_x = (z - self._wide(self.bias, z)).div_(scale), grad_z * scale
        grad_scale = self._sum(x * grad_x) + self._sharing(x) * grad_logdet.sum()
        return ReverseStep(x, grad_x, None, self._select(grad_scale, self._sum(grad_z)))

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Closed form of the mirrored step: x = (z - b) e^-a."""
        grad_z = grad_x * self._wide(self.log_scale.neg().exp(), x)
        grad_scale = -self._sum(x * grad_x) - self._sharing(x) * grad_logdet.sum()
        return ReverseStep(self._apply_scale(x), grad_z, None, self._select(grad_scale, -self._sum(grad_z)))

    def _apply_scale(self, x: Tensor) -> Tensor:
        return torch.addcmul(self._wide(self.bias, x), x, self._wide(self.log_scale.exp(), x))

    def _wide(self, values: Tensor, like: Tensor) -> Tensor:
        return values.view(*values.shape, *(1,) * (like.ndim - 1 - values.ndim))

    def _sum(self, image: Tensor) -> Tensor:
        return image.sum((0, *range(1 + self.bias.ndim, image.ndim)))

    def _sharing(self, image: Tensor) -> int:
        return math.prod(image.shape[1 + self.bias.ndim :])

    def _logdet(self, x: Tensor) -> Tensor:
        return (self.log_scale.sum() * self._sharing(x)).expand(x.shape[0])

    def _select(self, grad_scale: Tensor, grad_bias: Tensor) -> list[Tensor]:
        pairs = ((self.log_scale, grad_scale), (self.bias, grad_bias))
        return [grad for parameter, grad in pairs if parameter.requires_grad]
