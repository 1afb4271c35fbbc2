"""Multi-scale HINT: a normalizing flow of images whose couplings are divided to the smallest parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import final

import torch
from torch import Tensor

from posterior.conditioners import ConditionerFactory, ResidualConditioner
from posterior.invertible import check_ndim
from posterior.layers.actnorm import ActNorm
from posterior.layers.elementwise import Elementwise
from posterior.layers.hint import HINTCoupling, Permute
from posterior.networks.base import InvertibleNetwork
from posterior.networks.multiscale import (
    MultiScale,
    SqueezeChoice,
    build_squeeze,
    check_counts,
    scale_channels,
    scale_memories,
)
from posterior.reversible import MemoryLike, Sequential


@final
class HINT(InvertibleNetwork):
    r"""Squeeze, K flow steps, split; then the same at half the resolution, L times. z has the shape of x.

    A flow step is ActNorm and a :class:`~posterior.layers.hint.HINTCoupling`; see
    :class:`posterior.networks.multiscale.MultiScale` for how scales become one latent image. A condition
    reaches every coupling of a scale at that scale's resolution, through a learned pyramid. Memory does not
    grow with ``steps``.

    The couplings of a step grow in number with the channels, 2^j at level j. In 3-D the coarse scales have
    hundreds of channels: ``recursion`` bounds the levels.

    Args:
        in_channels: Channels C of x, any number.
        cond_channels: Channels K' of the condition; 0 for a network without one.
        hidden: Hidden channels of the conditioners.
        scales: Number of scales L; every size of x must be a multiple of 2^L.
        steps: Number K of flow steps at each scale.
        ndim: Number of spatial axes, 1 to 3.
        memory: What is kept for the backward pass, one choice or one a scale, see
            :class:`posterior.reversible.Memory`.
        squeeze: "haar" (smooth sub-bands go on to the coarser scale), "checkerboard", or what builds a
            :class:`~posterior.layers.squeeze.Squeeze` from its number of channels in.
        permute: The 1x1 convolution of a step, see :class:`~posterior.layers.hint.HINTCoupling`.
        shared: See there.
        recursion: See there.
        conditioner: Builds each coupling's network from its channels in and out; None for a residual one.
        transform: The couplings' family of functions; None for an affine one.
        dtype: Precision in which conditioners run, such as ``torch.bfloat16``; the state keeps its own.
        split: Whether half of the channels is done after every scale but the last.

    Shapes:
        x, z: (B, C, nx, nz), or with one or three axes. c: (B, K', nx, nz). logdet: (B,).

    Raises:
        ValueError: If a size is not a multiple of 2^L (the message names it and the size to pad to), or
            shapes do not fit.

    Source:
        Kruse et al., HINT: Hierarchical invertible neural transport for density estimation and Bayesian
        inference, AAAI 2021; over scales: InvertibleNetworks.jl's multi-scale HINT.

    Example:
        >>> net = HINT(in_channels=1, hidden=8, scales=2, steps=2)
        >>> z, logdet = net(torch.randn(4, 1, 16, 16))
        >>> z.shape, logdet.shape
        (torch.Size([4, 1, 16, 16]), torch.Size([4]))
    """

    def __init__(
        self,
        in_channels: int,
        cond_channels: int = 0,
        *,
        hidden: int = 64,
        scales: int = 3,
        steps: int = 8,
        ndim: int = 2,
        memory: MemoryLike | Sequence[MemoryLike] = "invert",
        squeeze: SqueezeChoice = "haar",
        permute: Permute = "full",
        shared: bool = False,
        recursion: int | None = None,
        conditioner: ConditionerFactory | None = None,
        transform: Elementwise | None = None,
        dtype: torch.dtype | None = None,
        split: bool = True,
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        check_counts(in_channels=in_channels, scales=scales, steps=steps)
        self.in_channels, self.cond_channels, self.ndim = in_channels, cond_channels, ndim
        couple = partial(
            HINTCoupling,
            cond_channels=cond_channels,
            conditioner=conditioner or partial(ResidualConditioner, hidden=hidden, ndim=ndim),
            transform=transform,
            permute=permute,
            shared=shared,
            recursion=recursion,
            dtype=dtype,
            ndim=ndim,
        )
        widths = scale_channels(in_channels, scales, split=split, ndim=ndim)
        chains = [
            Sequential(
                [build_squeeze(squeeze, width, ndim), *(hint_step(couple(width)) for _ in range(steps))], own
            )
            for width, own in zip(widths, scale_memories(memory, scales), strict=True)
        ]
        self.scales = MultiScale(in_channels, chains, cond_channels=cond_channels, split=split, ndim=ndim)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x to the latent z and the log-determinant, given c."""
        return self.scales(x, c)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map the latent z to x and the log-determinant of this direction, given c."""
        return self.scales.inverse(z, c)


def hint_step(coupling: HINTCoupling) -> Sequential:
    """ActNorm and HINT coupling; a member of the scale's chain, which decides what is kept."""
    return Sequential([ActNorm(coupling.channels, ndim=coupling.ndim), coupling], "store")
