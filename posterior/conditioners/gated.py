"""A deeper conditioner: residual blocks whose change of the features passes a learned gate."""

from __future__ import annotations

from typing import cast, final

import torch.nn.functional as F
from torch import Tensor, nn

from posterior.conditioners.parts import convolution, feature_dropout, outer_channels, zero_initialised
from posterior.linearise import Conditioner
from posterior.slabs import Footprint


@final
class GatedBlock(nn.Module):
    r"""A residual block with a gate.

    .. math:: h + a \odot \sigma(b), \qquad (a, b) = W_2 \phi(W_1 \phi(h) + b_1) + b_2

    phi is the SiLU, W_1 a 3-cell convolution and W_2 one of a single cell.

    Args:
        channels: Channels of h.
        ndim: Number of spatial axes, 1 to 3.
        dropout: Probability of dropping a whole feature map in front of W_2 in training.

    Shapes:
        h: (B, channels, ...), and so the result.
    """

    def __init__(self, channels: int, *, ndim: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(),
            convolution(channels, channels, ndim=ndim),
            nn.SiLU(),
            feature_dropout(dropout, ndim),
            convolution(channels, 2 * channels, kernel=1, ndim=ndim),
        )

    def forward(self, h: Tensor) -> Tensor:
        """Return h + a sigma(b)."""
        return h + F.glu(self.body(h), 1)


@final
class GatedConditioner(Conditioner):
    r"""Gated residual blocks between two 3-cell convolutions.

    .. math:: g(u) = W \phi(h_n) + b, \qquad h_i = \operatorname{block}_i(h_{i-1}), \quad h_0 = W_0 u + b_0

    W and b start at zero. Each block widens the receptive field by one cell to every side.

    Args:
        in_channels: Channels of the input u.
        out_channels: Channels of the result.
        hidden: Channels of every h.
        blocks: Number n of blocks.
        ndim: Number of spatial axes, 1 to 3.
        dropout: Probability of dropping a whole feature map in training, in every block.

    Shapes:
        u: (B, in_channels, ...). g: (B, out_channels, ...).

    Source:
        Salimans et al., PixelCNN++, ICLR 2017 (the gated block); Ho et al., Flow++, ICML 2019, section 3.3
        (its use in couplings; here without attention and normalisation).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int = 64,
        blocks: int = 2,
        ndim: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.first = convolution(in_channels, hidden, ndim=ndim)
        self.blocks = nn.Sequential(*(GatedBlock(hidden, ndim=ndim, dropout=dropout) for _ in range(blocks)))
        self.head = zero_initialised(convolution(hidden, out_channels, ndim=ndim))

    def footprint(self) -> Footprint:
        """One cell to every side for each block and for either end."""
        blocks, hidden = len(self.blocks), cast("int", self.head.in_channels)
        numbers = 2 * outer_channels(self) + (6 * blocks + 6) * hidden
        return Footprint(halo=2 + blocks, numbers=numbers, casts=4 * hidden)

    def body(self, u: Tensor) -> Tensor:
        """Return phi(h_n)."""
        return F.silu(self.blocks(self.first(u)))
