"""The conditioner of Glow: three convolutions, with its gradient by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, final

import torch
from torch import Tensor, nn

from posterior.conditioners.parts import (
    ACTIVATIONS,
    convolution,
    feature_dropout,
    outer_channels,
    zero_initialised,
)
from posterior.linearise import Conditioner, Linearised, convolve, linear_backward, working_dtype
from posterior.replay import full_precision
from posterior.slabs import Footprint


@final
class ResidualConditioner(Conditioner):
    r"""Three convolutions, 3-1-3, with a skip around the middle one.

    .. math:: h_1 = \phi(W_1 u + b_1), \quad h_2 = \phi(h_1 + W_2 h_1 + b_2), \quad g(u) = W_3 h_2 + b_3

    W_3 and b_3 start at zero.

    Args:
        in_channels: Channels of the input u.
        out_channels: Channels of the result.
        hidden: Channels of h_1 and h_2.
        ndim: Number of spatial axes, 1 to 3.
        activation: The function phi, "silu" or "relu".
        dropout: Probability of dropping a whole feature map of h_2 in training.

    Shapes:
        u: (B, in_channels, ...). g: (B, out_channels, ...).

    Source:
        Kingma and Dhariwal, Glow, NeurIPS 2018, section 4 (kernels); the inner skip: InvertibleNetworks.jl's
        residual block.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int = 64,
        ndim: int = 2,
        activation: Literal["silu", "relu"] = "silu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.first = convolution(in_channels, hidden, ndim=ndim)
        self.middle = convolution(hidden, hidden, kernel=1, ndim=ndim)
        self.head = zero_initialised(convolution(hidden, out_channels, ndim=ndim))
        self.activation = activation
        self.dropout = feature_dropout(dropout, ndim)

    def forward(self, u: Tensor) -> Tensor:
        """Return g(u)."""
        if torch.is_grad_enabled() or self._drops():
            return super().forward(u)
        return cast("Tensor", self._evaluate(u, value=True)[-1])

    def footprint(self) -> Footprint:
        """Two cells to every side."""
        hidden, outer = cast("int", self.middle.out_channels), outer_channels(self)
        images = 7 if self._drops() else 4 if ACTIVATIONS[self.activation].by_output else 5
        return Footprint(halo=2, numbers=2 * outer + images * hidden, casts=3 * hidden)

    def body(self, u: Tensor) -> Tensor:
        """Return h_2."""
        phi = ACTIVATIONS[self.activation]
        h = phi.value(self.first(u), inplace=phi.by_output)
        return self.dropout(phi.value(self.middle(h) + h, inplace=phi.by_output))

    @torch.no_grad()
    def linearise(self, u: Tensor, *, value: bool) -> Linearised:
        """The gradient by hand: of the hidden images, four are alive at most, with "relu" three."""
        if self._drops():
            return super().linearise(u, value=value)
        u, middle, hidden, out = self._evaluate(u, value=value)

        @torch.no_grad()
        def pullback(grad: Tensor) -> tuple[Sequence[Tensor | None], Sequence[Tensor | None]]:
            phi, first = ACTIVATIONS[self.activation], hidden[0]
            grad, *of_head = linear_backward(self.head, hidden.pop(), grad)
            grad = phi.pull(grad, hidden.pop())
            # An activation costs little beside one more hidden image kept.
            h = first if phi.by_output else phi.value(first)
            grad, *of_middle = linear_backward(self.middle, h, grad, middle)
            del h
            grad = phi.pull(grad, hidden.pop())
            grad_u, *of_first = linear_backward(self.first, u, grad)
            return [grad_u], [*of_first, *of_middle, *of_head]

        return out, pullback

    def _drops(self) -> bool:
        return self.training and not isinstance(self.dropout, nn.Identity)

    def _evaluate(self, u: Tensor, *, value: bool) -> tuple[Tensor, Tensor, list[Tensor], Tensor | None]:
        """Return (u as used, W_2 + I, hidden images, g(u) or None).

        The hidden images are the inputs of the two activations, or their outputs where those do as well, and
        h_2.
        """
        phi, middle = ACTIVATIONS[self.activation], self._middle_weight()
        u = u.to(working_dtype(u))
        with full_precision(u.device):
            first = convolve(self.first, u)
            h = phi.value(first, inplace=phi.by_output)
            second = convolve(self.middle, h, middle)
            del h
            hidden = [first, second, phi.value(second, inplace=phi.by_output)]
            return u, middle, hidden, convolve(self.head, hidden[-1]) if value else None

    def _middle_weight(self) -> Tensor:
        """W_2 + I: the skip costs no pass over the hidden images."""
        weight = cast("Tensor", self.middle.weight)
        skip = centre = torch.zeros_like(weight)
        for size in weight.shape[2:]:
            centre = centre.select(2, size // 2)
        centre.diagonal().fill_(1.0)
        return weight + skip
