"""A conditioner that sees far: a small U-net."""

from __future__ import annotations

import math
from typing import cast, final

import torch.nn.functional as F
from torch import Tensor, nn

from posterior.conditioners.gated import GatedBlock
from posterior.conditioners.parts import (
    convolution,
    cut_to_size,
    outer_channels,
    pad_to_multiple,
    zero_initialised,
)
from posterior.layers.squeeze import depth_to_space
from posterior.linearise import Conditioner
from posterior.slabs import Footprint


@final
class UNetConditioner(Conditioner):
    r"""Gated blocks at successive halvings of the resolution, and back; any size is accepted.

    On the way up a level's features are added to those of the same size. Every level has the same number of
    channels, so all coarser ones together cost at most as much as the finest (a third of it in 2-D), while
    the receptive field doubles with each. u is padded at its ends by repetition to a multiple of
    2^(levels - 1), and the result is cut to u's size. The last convolution starts at zero.

    Args:
        in_channels: Channels of the input u.
        out_channels: Channels of the result.
        hidden: Channels at every level.
        levels: Number of levels, at least 1; the finest has u's resolution.
        ndim: Number of spatial axes, 1 to 3.
        dropout: Probability of dropping a whole feature map in training, in every block.

    Shapes:
        u: (B, in_channels, ...). g: (B, out_channels, ...).

    Raises:
        ValueError: If there is no level.

    Source:
        Ronneberger et al., U-Net, MICCAI 2015; the blocks: see
        :class:`posterior.conditioners.gated.GatedConditioner`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int = 32,
        levels: int = 3,
        ndim: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"expected at least 1 level, got {levels}")
        self.levels, self.ndim = levels, ndim
        self.first = convolution(in_channels, hidden, ndim=ndim)
        self.encoder = nn.ModuleList(GatedBlock(hidden, ndim=ndim, dropout=dropout) for _ in range(levels))
        self.decoder = nn.ModuleList(
            GatedBlock(hidden, ndim=ndim, dropout=dropout) for _ in range(levels - 1)
        )
        self.down = nn.ModuleList(
            convolution(hidden, hidden, kernel=2, stride=2, ndim=ndim) for _ in range(levels - 1)
        )
        self.up = nn.ModuleList(
            convolution(hidden, 2**ndim * hidden, kernel=1, ndim=ndim) for _ in range(levels - 1)
        )
        self.head = zero_initialised(convolution(hidden, out_channels, ndim=ndim))

    def footprint(self) -> Footprint:
        """The halo of the coarsest level, doubled and widened by a block at each finer one."""
        halo = 1
        for _ in self.down:
            halo = -(-(halo + 1) // 2)
        halo += 1
        for _ in self.down:
            halo = 2 * halo + 1
        halo, stride = halo + 1, 2 ** (self.levels - 1)  # the first convolution
        shares = [2.0 ** (-self.ndim * level) for level in range(self.levels)]
        hidden = cast("int", self.head.in_channels)
        images = 5 + 7 * (sum(shares) + sum(shares[:-1]))
        numbers = 2 * outer_channels(self) + math.ceil(images * hidden)
        return Footprint(-(-halo // stride) * stride, numbers, casts=4 * hidden, stride=stride)

    def body(self, u: Tensor) -> Tensor:
        """Return the features at u's resolution."""
        h = self.encoder[0](self.first(pad_to_multiple(u, 2 ** (self.levels - 1))))
        skips = []
        for down, block in zip(self.down, self.encoder[1:], strict=True):
            skips.append(h)
            h = block(down(h))
        for up, block in zip(self.up, self.decoder, strict=True):
            h = block(skips.pop() + depth_to_space(up(h)))
        return F.silu(cut_to_size(h, u))
