"""Families of monotone functions of one number, the part of a coupling that changes values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from posterior.invertible import per_sample

Parameters = tuple[Tensor, ...]
"""The natural parameters of every cell's function, such as scale and shift."""
Undone = tuple[Tensor, Tensor, Tensor]
"""The rebuilt input, its gradient, and the gradient of the raw parameters."""


class Elementwise(ABC):
    r"""Invertible functions of one number, z = f(x; p), each cell with parameters of its own.

    A network gives raw, unbounded numbers; :meth:`natural` makes the function's parameters of them.

    **To write a family**: give ``width``, ``forward`` and ``inverse``. Where the parameters are few, let
    ``natural`` return them, set ``compact`` and override the two ``undo`` methods with their closed form;
    as inherited they hold where ``natural`` returns the raw numbers.

    Attributes:
        width: Raw numbers a cell and channel.
        compact: Whether the natural parameters are small enough to be kept until the backward pass.

    Shapes:
        x, z: (B, C, ...). raw: (B, width C, ...), parameter by parameter. logdet: (B,).
    """

    width: int
    compact: bool = False

    def natural(self, raw: Tensor) -> Parameters:
        """Make the natural parameters from the raw numbers."""
        return (raw,)

    @abstractmethod
    def forward(self, x: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return (z, sum over cells of log |dz/dx|)."""

    @abstractmethod
    def inverse(self, z: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return (x, sum over cells of log |dx/dz|)."""

    def undo_forward(self, z: Tensor, parameters: Parameters, grad_z: Tensor, grad_logdet: Tensor) -> Undone:
        """Rebuild x from z = f(x; p); gradients of x and of the raw numbers, given those of z and logdet."""
        x = self.inverse(z, parameters)[0].detach().requires_grad_()
        raw = parameters[0].detach().requires_grad_()
        with torch.enable_grad():
            outputs = self.forward(x, (raw,))
        grad_x, grad_raw = torch.autograd.grad(outputs, (x, raw), (grad_z, grad_logdet))
        return x.detach(), grad_x, grad_raw

    def undo_inverse(self, x: Tensor, parameters: Parameters, grad_x: Tensor, grad_logdet: Tensor) -> Undone:
        """Rebuild z from x = f^-1(z; p); gradients of z and of the raw numbers: the mirrored step."""
        z = self.forward(x, parameters)[0].detach().requires_grad_()
        raw = parameters[0].detach().requires_grad_()
        with torch.enable_grad():
            outputs = self.inverse(z, (raw,))
        grad_z, grad_raw = torch.autograd.grad(outputs, (z, raw), (grad_x, grad_logdet))
        return z.detach(), grad_z, grad_raw


@final
@dataclass(frozen=True)
class Affine(Elementwise):
    r"""A bounded scale and a shift.

    .. math:: z = s x + t, \quad s = s_0 + (s_1 - s_0)\,\sigma(r)

    The inverse amplifies by at most 1 / s_0, so it stays well conditioned. Raw zeros give the identity when
    the bounds lie symmetrically about 1.

    Args:
        bounds: (s_0, s_1), 0 < s_0 < s_1. The seed's couplings have (0.5, 1) or (0, 1).

    Raises:
        ValueError: If the bounds are not positive and ordered.

    Source:
        Dinh et al., Density estimation using Real NVP, ICLR 2017, eq. (7); the bounded scale: Kingma and
        Dhariwal's Glow code.
    """

    bounds: tuple[float, float] = (0.5, 1.5)
    width = 2
    compact = True

    def __post_init__(self) -> None:
        if not 0.0 < self.bounds[0] < self.bounds[1]:
            raise ValueError(f"expected bounds (low, high) with 0 < low < high, got {self.bounds}")

    def natural(self, raw: Tensor) -> Parameters:
        """Return (s, t)."""
        raw_scale, shift = _halves(raw)
        low, high = self.bounds
        return torch.sigmoid(raw_scale) * (high - low) + low, shift

    def forward(self, x: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return (s x + t, sum log s)."""
        scale, shift = parameters
        return torch.addcmul(shift, scale, x), _sum(scale.log())

    def inverse(self, z: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return ((z - t) / s, -sum log s)."""
        scale, shift = parameters
        return (z - shift) / scale, -_sum(scale.log())

    def undo_forward(self, z: Tensor, parameters: Parameters, grad_z: Tensor, grad_logdet: Tensor) -> Undone:
        """dL/ds = x dL/dz + dL/dlogdet / s, dL/dt = dL/dz."""
        scale, shift = parameters
        x = (z - shift).div_(scale)
        grad_scale = (per_sample(grad_logdet, z) / scale).addcmul_(grad_z, x)
        return x, grad_z * scale, torch.cat((self._pull_scale(scale, grad_scale), grad_z), 1)

    def undo_inverse(self, x: Tensor, parameters: Parameters, grad_x: Tensor, grad_logdet: Tensor) -> Undone:
        """With g = dL/dx / s: dL/ds = -(x g + dL/dlogdet / s), dL/dt = -g."""
        scale, shift = parameters
        grad_z = grad_x / scale
        grad_scale = (per_sample(grad_logdet, x) / scale).addcmul_(grad_z, x).neg_()
        z = torch.addcmul(shift, scale, x)
        return z, grad_z, torch.cat((self._pull_scale(scale, grad_scale), -grad_z), 1)

    def _pull_scale(self, scale: Tensor, grad_scale: Tensor) -> Tensor:
        """ds/dr = (s - s_0) (s_1 - s) / (s_1 - s_0), from s alone; overwrites ``grad_scale``."""
        low, high = self.bounds
        return grad_scale.mul_(scale - low).mul_((high - scale).div_(high - low))


@final
@dataclass(frozen=True)
class ExpClampAffine(Elementwise):
    r"""A scale that is the exponential of a softly clamped number, and a shift.

    .. math:: z = s x + t, \quad \log s = \tfrac{2 \alpha}{\pi} \arctan r

    so that s lies in (e^-alpha, e^alpha) and raw zeros give the identity.

    Args:
        clamp: The bound alpha of log s.

    Raises:
        ValueError: If ``clamp`` is not positive.

    Source:
        Ardizzone et al., Guided image generation with conditional invertible neural networks, 2019, section
        3.5 (there with 0.636 for 2 / pi).
    """

    clamp: float = 2.0
    width = 2
    compact = True

    def __post_init__(self) -> None:
        if not self.clamp > 0.0:
            raise ValueError(f"expected a positive clamp, got {self.clamp}")

    def natural(self, raw: Tensor) -> Parameters:
        """Return (r, t)."""
        return _halves(raw)

    def forward(self, x: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return (s x + t, sum log s)."""
        log_scale = self._log_scale(parameters[0])
        return torch.addcmul(parameters[1], log_scale.exp(), x), _sum(log_scale)

    def inverse(self, z: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return ((z - t) / s, -sum log s)."""
        log_scale = self._log_scale(parameters[0])
        return (z - parameters[1]) * log_scale.neg().exp(), -_sum(log_scale)

    def undo_forward(self, z: Tensor, parameters: Parameters, grad_z: Tensor, grad_logdet: Tensor) -> Undone:
        """dL/dlog s = s x dL/dz + dL/dlogdet = (z - t) dL/dz + dL/dlogdet, dL/dt = dL/dz."""
        raw, shift = parameters
        log_scale, scaled = self._log_scale(raw), z - shift
        grad_log = torch.addcmul(per_sample(grad_logdet, z), scaled, grad_z) * self._slope(raw)
        return scaled * log_scale.neg().exp(), grad_z * log_scale.exp(), torch.cat((grad_log, grad_z), 1)

    def undo_inverse(self, x: Tensor, parameters: Parameters, grad_x: Tensor, grad_logdet: Tensor) -> Undone:
        """dL/dlog s = -(x dL/dx + dL/dlogdet), dL/dt = -dL/dx / s."""
        raw, shift = parameters
        log_scale = self._log_scale(raw)
        grad_z = grad_x * log_scale.neg().exp()
        grad_log = -torch.addcmul(per_sample(grad_logdet, x), x, grad_x) * self._slope(raw)
        return torch.addcmul(shift, log_scale.exp(), x), grad_z, torch.cat((grad_log, -grad_z), 1)

    def _log_scale(self, raw: Tensor) -> Tensor:
        return torch.atan(raw) * (2.0 * self.clamp / torch.pi)

    def _slope(self, raw: Tensor) -> Tensor:
        return (2.0 * self.clamp / torch.pi) / (1.0 + raw.square())


@final
@dataclass(frozen=True)
class Additive(Elementwise):
    r"""A shift, z = x + t: volume is preserved.

    Source:
        Dinh et al., NICE, ICLR 2015 workshop, eq. (6).
    """

    width = 1
    compact = True

    def forward(self, x: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return (x + t, 0)."""
        return x + parameters[0], x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return (z - t, 0)."""
        return z - parameters[0], z.new_zeros(z.shape[0])

    def undo_forward(self, z: Tensor, parameters: Parameters, grad_z: Tensor, grad_logdet: Tensor) -> Undone:
        """dL/dx = dL/dt = dL/dz."""
        return z - parameters[0], grad_z, grad_z

    def undo_inverse(self, x: Tensor, parameters: Parameters, grad_x: Tensor, grad_logdet: Tensor) -> Undone:
        """dL/dz = -dL/dt = dL/dx."""
        return x + parameters[0], grad_x, -grad_x


def _halves(raw: Tensor) -> Parameters:
    """The two parameters of every cell, each dense in memory: arithmetic on slices is much slower."""
    first, second = raw.chunk(2, 1)
    return first.contiguous(), second.contiguous()


def _sum(values: Tensor) -> Tensor:
    """Sum over all but the batch."""
    return values.sum(tuple(range(1, values.ndim)))
