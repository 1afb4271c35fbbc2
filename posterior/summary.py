"""Summary networks y -> c, ordinary modules that are learned jointly with the flow behind them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from posterior.conditioners import (
    convolution,
    cut_to_size,
    feature_dropout,
    pad_to_multiple,
    zero_initialised,
)
from posterior.invertible import channels_last, check_image, check_ndim
from posterior.layers.squeeze import depth_to_space, space_to_depth


@final
class UNet(nn.Module):
    r"""A small residual U-net that works on 2-cell patches: c = h(y).

    The input's 2^d-cell patches become channels, the finest level thus has half the resolution, and every
    further level half again with twice the channels. On the way up a level's features are added to those of
    the same size. Patches lose nothing (a patch's cells stay apart in its channels) and save a factor 2^d of
    work; the flow's finest scale has that resolution too. Any size is accepted: y is padded at its ends by
    repetition to a multiple of 2^levels, and c is cut to y's size.

    Args:
        in_channels: Channels K of y.
        out_channels: Channels K' of c.
        width: Channels at the finest level.
        levels: Number of levels, at least 1.
        ndim: Number of spatial axes d, 1 to 3.
        dropout: Probability of dropping a whole feature map in training, in every block.

    Shapes:
        y: (B, K, ...). c: (B, K', ...), the size of y.

    Source:
        Ronneberger et al., U-Net, MICCAI 2015; groups instead of batch statistics: Wu and He, Group
        normalization, ECCV 2018.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int = 24,
        levels: int = 3,
        ndim: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        if levels < 1:
            raise ValueError(f"expected at least 1 level, got {levels}")
        self.in_channels, self.ndim, self.levels = in_channels, ndim, levels
        widths, corners = [width * 2**level for level in range(levels)], 2**ndim
        pairs = list(pairwise(widths))
        self.stem = convolution(corners * in_channels, width, ndim=ndim)
        self.encoder = nn.ModuleList(ResidualBlock(w, ndim=ndim, dropout=dropout) for w in widths)
        self.down = nn.ModuleList(convolution(a, b, kernel=2, stride=2, ndim=ndim) for a, b in pairs)
        self.up = nn.ModuleList(convolution(b, corners * a, kernel=1, ndim=ndim) for a, b in pairs)
        self.decoder = nn.ModuleList(ResidualBlock(a, ndim=ndim, dropout=dropout) for a, _ in pairs)
        # No normalisation here: the amplitude of y, which the blocks' skips carry, must reach c.
        self.head = nn.Sequential(nn.SiLU(), convolution(width, corners * out_channels, kernel=1, ndim=ndim))

    def forward(self, y: Tensor) -> Tensor:
        """Return c = h(y)."""
        check_image("y", y, self.in_channels, self.ndim)
        h = self.stem(space_to_depth(pad_to_multiple(y, 2**self.levels)))
        skips = []
        for level, block in enumerate(self.encoder):
            h = block(h if level == 0 else self.down[level - 1](h))
            skips.append(h)
        for level in reversed(range(self.levels - 1)):
            h = self.decoder[level](skips[level] + depth_to_space(self.up[level](h)))
        return cut_to_size(depth_to_space(self.head(h)), y)


@final
class ResidualBlock(nn.Module):
    """Two normalised 3-cell convolutions around a skip; starts as the identity."""

    def __init__(self, channels: int, *, ndim: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _norm(channels),
            nn.SiLU(),
            convolution(channels, channels, ndim=ndim),
            _norm(channels),
            nn.SiLU(),
            feature_dropout(dropout, ndim),
            zero_initialised(convolution(channels, channels, ndim=ndim)),
        )

    def forward(self, h: Tensor) -> Tensor:
        """Return h + body(h)."""
        return h + self.body(h)


@final
class ConditionPyramid(nn.Module):
    """Hand every scale of a flow a condition of its own resolution, all with the same number of channels.

    Each level is a learned 2-cell strided convolution of the finer one. Squeezing the condition as the image
    is squeezed would multiply its channels by 2^d at every scale, and with them the cost of every
    conditioner.

    Args:
        channels: Channels K' of the condition, at every scale.
        scales: Number of scales; scale i has 1/2^i of the resolution, i = 1..scales.
        ndim: Number of spatial axes d, 1 to 3.

    Shapes:
        c: (B, K', ...), every size a multiple of 2^scales. Result: list of (B, K', ...) at 1/2, 1/4, ... of
            the size.
    """

    def __init__(self, channels: int, scales: int, *, ndim: int = 2) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            convolution(channels, channels, kernel=2, stride=2, ndim=ndim) for _ in range(scales)
        )

    def forward(self, c: Tensor) -> list[Tensor]:
        """Return the condition at every scale, finest first."""
        c = channels_last(c)
        levels: list[Tensor] = []
        for convolve in self.down:
            levels.append(convolve(F.silu(levels[-1]) if levels else c))
        return levels


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(math.gcd(channels, 8), channels)
