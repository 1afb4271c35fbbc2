"""A fixed reordering of channels."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from posterior.invertible import Invertible, ReverseStep, Trace, check_image, check_ndim


@final
class Permutation(Invertible):
    r"""Reorder the channels at random, once and for all: z_i = x_{p(i)}.

    p is one cycle through all channels, so each of them moves; of two channels it exchanges them. It is a
    buffer and travels with the weights. The log-determinant is zero.

    Args:
        channels: Number of channels C.
        ndim: Number of spatial axes, 1 to 3, or 0 for vectors.

    Shapes:
        x, z: (B, C, ...). logdet: (B,), zeros. The condition is not used.

    Source:
        Dinh et al., Density estimation using Real NVP, ICLR 2017, section 3.5 (there halves are exchanged).
    """

    draws_random = False
    order: Tensor

    def __init__(self, channels: int, *, ndim: int = 2) -> None:
        super().__init__()
        check_ndim(ndim, vectors=True)
        self.channels, self.ndim = channels, ndim
        round_trip = torch.randperm(channels)
        order = torch.empty_like(round_trip)
        order[round_trip] = round_trip.roll(1)
        self.register_buffer("order", order)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x reordered, 0)."""
        check_image("x", x, self.channels, self.ndim)
        return x[:, self.order], x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (z in the old order, 0)."""
        check_image("z", z, self.channels, self.ndim)
        return z[:, self.order.argsort()], z.new_zeros(z.shape[0])

    @torch.no_grad()
    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The old order, of the gradient too."""
        back = self.order.argsort()
        return ReverseStep(z[:, back], grad_z[:, back], None, [])

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The mirrored step."""
        return ReverseStep(x[:, self.order], grad_x[:, self.order], None, [])
