"""Invertible functions of one number without parameters, applied to every cell."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from posterior.invertible import Invertible, ReverseStep, Trace, check_ndim, per_sample
from posterior.layers.squeeze import check_axes


class Activation(Invertible, ABC):
    r"""An increasing function of one number, applied to every cell.

    .. math:: z = f(x), \qquad \log|\det| = \sum \ell(x), \quad \ell = \log f'

    All gradients follow from f, l and its derivative:

    .. math::
        \frac{\partial L}{\partial x} = e^{\ell} \frac{\partial L}{\partial z} +
        \ell' \frac{\partial L}{\partial \log|\det|}

    **To write one**: give the four functions below, and set ``saturates`` where f is bounded. Of a bounded f
    a rounded z no longer tells x, so the input is kept until the backward pass: the one tensor this costs is
    the price of an exact gradient.

    Args:
        ndim: Number of spatial axes, 1 to 3, or 0 for vectors.

    Shapes:
        x, z: (B, C, ...). logdet: (B,). The condition is not used.
    """

    draws_random = False
    saturates: ClassVar[bool] = False

    def __init__(self, *, ndim: int = 2) -> None:
        super().__init__()
        check_ndim(ndim, vectors=True)
        self.ndim = ndim

    @abstractmethod
    def function(self, x: Tensor) -> Tensor:
        """Return f(x)."""

    @abstractmethod
    def inverse_function(self, z: Tensor) -> Tensor:
        """Return x with f(x) = z."""

    @abstractmethod
    def log_slope(self, x: Tensor) -> Tensor:
        """Return l(x) = log f'(x)."""

    @abstractmethod
    def log_slope_derivative(self, x: Tensor) -> Tensor:
        """Return l'(x)."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (f(x), sum of l(x))."""
        check_axes("x", x, self.ndim)
        return self.function(x), self.log_slope(x).flatten(1).sum(1)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x, -sum of l(x))."""
        check_axes("z", z, self.ndim)
        x = self.inverse_function(z)
        return x, -self.log_slope(x).flatten(1).sum(1)

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """Evaluate one direction; going forward, keep the input where the output may not tell it."""
        out, logdet = self.inverse(x) if inverse else self(x)
        return out, logdet, () if inverse or not self.saturates else (x,)

    @torch.no_grad()
    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Closed form, at the kept input or else at the inverse."""
        x = trace[0] if trace else self.inverse_function(z)
        grad_x = grad_z * self.log_slope(x).exp() + per_sample(grad_logdet, x) * self.log_slope_derivative(x)
        return ReverseStep(x, grad_x, None, [])

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Closed form of the mirrored step: dL/dz = e^-l (dL/dx - l' dL/dlogdet)."""
        through = grad_x - per_sample(grad_logdet, x) * self.log_slope_derivative(x)
        return ReverseStep(self.function(x), through * self.log_slope(x).neg().exp(), None, [])


@final
class Sigmoid(Activation):
    r"""Map the real line to an interval.

    .. math:: z = a + (b - a)\,\sigma(x), \qquad \ell = \log(b - a) - \log(1 + e^{-x}) - \log(1 + e^{x})

    Its inverse, the logit, takes only what lies strictly inside the interval.

    Args:
        low: The lower end a.
        high: The upper end b.
        ndim: Number of spatial axes, 1 to 3, or 0 for vectors.

    Raises:
        ValueError: If low is not below high; from ``inverse``, if z leaves the interval.

    Source:
        Dinh et al., Density estimation using Real NVP, ICLR 2017, section 4.1 (the logit of bounded data).

    Example:
        >>> vp, logdet = Sigmoid(1500.0, 4500.0)(torch.zeros(1, 1, 2, 2))  # m/s
        >>> vp.unique()
        tensor([3000.])
    """

    saturates = True

    def __init__(self, low: float = 0.0, high: float = 1.0, *, ndim: int = 2) -> None:
        super().__init__(ndim=ndim)
        if not low < high:
            raise ValueError(f"expected low below high, got {low} and {high}")
        self.low, self.high = low, high

    def function(self, x: Tensor) -> Tensor:
        """Return a + (b - a) sigma(x)."""
        return torch.sigmoid(x) * (self.high - self.low) + self.low

    def inverse_function(self, z: Tensor) -> Tensor:
        """Return log(z - a) - log(b - z)."""
        _check_between(z, self.low, self.high)
        return (z - self.low).log() - (self.high - z).log()

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log(b - a) + log sigma(x) + log sigma(-x), finite for every x."""
        return F.logsigmoid(x) + F.logsigmoid(-x) + math.log(self.high - self.low)

    def log_slope_derivative(self, x: Tensor) -> Tensor:
        """Return 1 - 2 sigma(x)."""
        return -torch.tanh(0.5 * x)


@final
class LeakyReLU(Activation):
    r"""Scale what is negative.

    .. math:: z = \max(x, 0) + \alpha \min(x, 0), \qquad \ell = [x < 0] \log\alpha

    Args:
        slope: The slope alpha > 0 below zero.
        ndim: Number of spatial axes, 1 to 3, or 0 for vectors.

    Raises:
        ValueError: If the slope is not positive.

    Source:
        Maas et al., Rectifier nonlinearities improve neural network acoustic models, ICML workshop 2013.
    """

    def __init__(self, slope: float = 0.01, *, ndim: int = 2) -> None:
        super().__init__(ndim=ndim)
        if not slope > 0.0:
            raise ValueError(f"expected a positive slope, got {slope}")
        self.slope = slope

    def function(self, x: Tensor) -> Tensor:
        """Return x where positive, else alpha x."""
        return F.leaky_relu(x, self.slope)

    def inverse_function(self, z: Tensor) -> Tensor:
        """Return z where positive, else z / alpha."""
        return torch.where(z < 0.0, z / self.slope, z)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log(alpha) where x is negative, else 0."""
        return (x < 0.0).to(x.dtype) * math.log(self.slope)

    def log_slope_derivative(self, x: Tensor) -> Tensor:
        """Return 0: the slope is constant on either side."""
        return torch.zeros_like(x)


@final
class ExpClamp(Activation):
    r"""A positive number whose logarithm is softly clamped.

    .. math:: z = e^{\kappa \arctan x}, \quad \kappa = \tfrac{2 \alpha}{\pi}, \qquad
        \ell = \log\kappa + \kappa \arctan x - \log(1 + x^2)

    so that z lies in (e^-alpha, e^alpha). The published constant 0.636 for 2 / pi is alpha = 0.636 pi.

    Args:
        clamp: The bound alpha > 0 of log z.
        ndim: Number of spatial axes, 1 to 3, or 0 for vectors.

    Raises:
        ValueError: If the clamp is not positive; from ``inverse``, if z leaves (e^-alpha, e^alpha).

    Source:
        Ardizzone et al., Guided image generation with conditional invertible neural networks, 2019, section
        3.5.
    """

    saturates = True

    def __init__(self, clamp: float = 2.0, *, ndim: int = 2) -> None:
        super().__init__(ndim=ndim)
        if not clamp > 0.0:
            raise ValueError(f"expected a positive clamp, got {clamp}")
        self.clamp, self.rate = clamp, 2.0 * clamp / math.pi

    def function(self, x: Tensor) -> Tensor:
        """Return exp(kappa atan x)."""
        return (self.rate * torch.atan(x)).exp()

    def inverse_function(self, z: Tensor) -> Tensor:
        """Return tan(log z / kappa)."""
        _check_between(z, math.exp(-self.clamp), math.exp(self.clamp))
        return torch.tan(z.log() / self.rate)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log kappa + kappa atan x - log(1 + x^2), whose square does not overflow."""
        root = torch.hypot(x, torch.ones_like(x))
        return self.rate * torch.atan(x) + math.log(self.rate) - 2.0 * root.log()

    def log_slope_derivative(self, x: Tensor) -> Tensor:
        """Return (kappa - 2 x) / (1 + x^2)."""
        return (self.rate - 2.0 * x) / (1.0 + x.square())


def _check_between(z: Tensor, low: float, high: float) -> None:
    """Raise a ValueError unless every number lies strictly inside (low, high)."""
    if not bool(((z > low) & (z < high)).all()):
        least, most = (value.item() for value in z.aminmax())
        raise ValueError(
            f"expected z strictly between {low:g} and {high:g}, got values from {least:g} to {most:g}"
        )
