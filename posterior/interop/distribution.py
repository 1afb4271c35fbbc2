"""A conditional flow as a ``torch.distributions.Distribution``: gradients through its draws, densities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

__all__ = ["ConditionalDistribution", "ConditionalNetwork", "Flow"]


class Flow(Protocol):
    """A flow such as :class:`posterior.flow.ConditionalFlow`; y has one image, or one a sample."""

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, C, ...) to (z, log|det dz/dx|) given y."""
        ...

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map z (B, C, ...) to (x, log|det dx/dz|) given y."""
        ...


class _Network(Protocol):
    def __call__(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]: ...

    def inverse(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]: ...


@final
class ConditionalNetwork:
    """An invertible network z = f(x; c) without a summary, seen as a :class:`Flow` whose y is c itself.

    Args:
        network: such as :class:`posterior.networks.glow.ConditionalGlow`.
    """

    def __init__(self, network: _Network) -> None:
        self.network = network

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to (z, log|det dz/dx|) given the condition y."""
        return self.network(x, _for_each(y, len(x)))

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map z to (x, log|det dx/dz|) given the condition y."""
        return self.network.inverse(z, _for_each(y, len(z)))


@final
class ConditionalDistribution(Distribution):
    r"""The density p(x | y) of a flow at given y, as torch's own distributions look.

    .. math:: \log p(x \mid y) = \log N(z; 0, I) + \log|\det \partial z / \partial x|, \qquad z = f(x; h(y))

    x is in the flow's own (standardised) units. ``rsample`` is differentiable in the flow's parameters and in
    y; parameters are those of the flow, not arguments, so ``arg_constraints`` is empty. What it has no closed
    form for (mean, variance, cdf, entropy) raises NotImplementedError, as torch's own do.

    Args:
        flow: what maps between x and z; see :class:`ConditionalNetwork` for a network without a summary.
        y: one observation (K, ...), which gives an empty batch shape, or a batch of them (B, K, ...).
        event_shape: shape of x, (C, ...). Its number of axes tells one y from a batch.
        validate_args: check values given to ``log_prob``; torch's default when None.

    Raises:
        ValueError: If y has neither one axis a spatial axis and channels, nor one more.

    Source:
        Papamakarios et al., Normalizing flows for probabilistic modeling and inference, JMLR 2021, eq. (6).

    Example:
        >>> posterior = ConditionalDistribution(flow, y, (1, 64, 64))  # doctest: +SKIP
        >>> x = posterior.rsample((8,))  # (8, 1, 64, 64)  # doctest: +SKIP
        >>> loss = -posterior.log_prob(x).mean()  # doctest: +SKIP
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - as torch declares it
    has_rsample = True

    def __init__(
        self, flow: Flow, y: Tensor, event_shape: Sequence[int], *, validate_args: bool | None = None
    ) -> None:
        event = Size(event_shape)
        if y.ndim not in (len(event), len(event) + 1):
            raise ValueError(
                f"expected y (K, ...) or (B, K, ...) with {len(event) - 1} axes after the channels, like x "
                f"{tuple(event)}, got {tuple(y.shape)}"
            )
        batch = y.shape[: y.ndim - len(event)]
        self.flow, self.y = flow, y.reshape(-1, *y.shape[len(batch) :])
        super().__init__(Size(batch), event, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """All images of real numbers."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw x (sample_shape, batch, C, ...); latents come from torch's global generator."""
        shape = self._extended_shape(Size(sample_shape))
        z = torch.randn(shape, dtype=self.y.dtype, device=self.y.device)
        x, _ = self.flow.decode(z.reshape(-1, *self.event_shape), self._y_for(z))
        return x.reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Natural logarithm of p(value | y).

        Args:
            value: (..., batch, C, ...), broadcast against the batch shape as torch's own do.

        Returns:
            Shape of ``value`` less the event's.

        Raises:
            ValueError: If ``value`` does not fit, or, when arguments are validated, holds NaN or infinity.
        """
        if self._validate_args:
            self._validate_sample(value)
        axes = value.ndim - len(self.event_shape)
        outer = torch.broadcast_shapes(value.shape[:axes], self.batch_shape)
        x = value.expand(*outer, *value.shape[axes:])
        z, logdet = self.flow.encode(x.reshape(-1, *self.event_shape), self._y_for(x))
        cells = math.prod(self.event_shape)
        base = -0.5 * (z.flatten(1).square().sum(1) + cells * math.log(2.0 * math.pi))
        return (base + logdet).reshape(outer)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> ConditionalDistribution:
        """The same for a larger batch shape of at most one axis: one y for all of it."""
        shape = Size(batch_shape)
        if len(shape) > 1 or (self.batch_shape not in (Size(), Size([1]), shape)):
            raise ValueError(
                f"expected a batch shape of at most one axis that {tuple(self.batch_shape)} expands to, got "
                f"{tuple(shape)}"
            )
        y = self.y.expand(*shape, *self.y.shape[1:]) if shape else self.y[0]
        return ConditionalDistribution(self.flow, y, self.event_shape, validate_args=self._validate_args)

    def _y_for(self, x: Tensor) -> Tensor:
        """The y of each of x's images: one for all of them, or the batch over and over."""
        if len(self.y) == 1:
            return self.y
        times = x.numel() // (len(self.y) * math.prod(self.event_shape))
        return self.y.expand(times, *self.y.shape).flatten(0, 1)


def _for_each(c: Tensor, batch: int) -> Tensor:
    return c.expand(batch, *c.shape[1:]) if len(c) == 1 else c
