"""Where a loop-unrolled reconstruction starts: a network's reading of the migrated image."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from posterior.layers.actnorm import ActNorm
from posterior.summary import UNet


@final
class FirstGuess(nn.Module):
    r"""State of a loop before its first iteration, from the gradient at eta = 0 and what else is known.

    .. math:: (\eta_0, s_0) = h\big(N_g(g_0),\; N_c(c)\big)

    h is the U-net of :mod:`posterior.summary`; N_g and N_c are set by the first batch in training mode.

    Args:
        channels: Channels C of eta.
        memory_channels: Channels S of the memory.
        context_channels: Channels K of the context c; 0 for none.
        width: Channels of h at its finest level.
        levels: Number of levels of h.
        ndim: Number of spatial axes, 1 to 3.

    Shapes:
        g: (B, C, ...). c: (B, K, ...). Result: (B, C + S, ...).

    Raises:
        ValueError: If a context is missing, or given where none is expected.

    Example:
        >>> FirstGuess(1, 7, 2, width=8)(torch.randn(3, 1, 16, 16), torch.randn(3, 2, 16, 16)).shape
        torch.Size([3, 8, 16, 16])
    """

    def __init__(
        self,
        channels: int,
        memory_channels: int,
        context_channels: int = 0,
        *,
        width: int = 32,
        levels: int = 3,
        ndim: int = 2,
    ) -> None:
        super().__init__()
        self.context_channels = context_channels
        self.norm = ActNorm(channels, ndim=ndim)
        self.context_norm = ActNorm(context_channels, ndim=ndim) if context_channels else None
        self.network = UNet(
            channels + context_channels, channels + memory_channels, width=width, levels=levels, ndim=ndim
        )

    def forward(self, gradient: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (eta_0, s_0), one after the other along the channels."""
        if (context is None) != (self.context_norm is None):
            given = "none" if context is None else f"one of shape {tuple(context.shape)}"
            raise ValueError(f"expected a context of {self.context_channels} channels, got {given}")
        known = [self.norm(gradient)[0]]
        if self.context_norm is not None and context is not None:
            known.append(self.context_norm(context)[0])
        return self.network(torch.cat(known, 1)).to(gradient.dtype)
