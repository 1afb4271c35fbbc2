"""Conditional Glow: a multi-scale normalizing flow of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from posterior.conditioners import ConditionerFactory, ResidualConditioner
from posterior.invertible import Invertible, check_ndim
from posterior.layers.actnorm import ActNorm
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Elementwise
from posterior.layers.normalised_mixing import NormalisedMixing
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

MixingFactory = Callable[[int], Invertible]
"""Builds the layer that mixes channels from their number."""


@final
class ConditionalGlow(InvertibleNetwork):
    r"""Squeeze, K flow steps, split; then the same at half the resolution, L times. z has the shape of x.

    A flow step is ActNorm, an orthogonal 1x1 convolution and a coupling conditioned on c; see
    :class:`posterior.networks.multiscale.MultiScale` for how scales become one latent image. The condition
    reaches scale i at that scale's resolution, through a learned pyramid. Memory does not grow with
    ``steps``.

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
        mixing: Builds the mixing of a step from its number of channels, such as
            ``partial(Conv1x1, reflectors=3)`` or ``Conv1x1LU``; None for a full orthogonal ``Conv1x1``.
        conditioner: Builds the network inside each coupling from its channels in and out; None for a residual
            one.
        transform: The couplings' family of functions; None for an affine one.
        dtype: Precision in which conditioners run, such as ``torch.bfloat16``; the state keeps its own.
        split: Whether half of the channels is done after every scale but the last.

    Shapes:
        x, z: (B, C, nx, nz), or with one or three axes. c: (B, K', nx, nz). logdet: (B,).

    Raises:
        ValueError: If a size is not a multiple of 2^L (the message names it and the size to pad to), or
            shapes do not fit.

    Source:
        Kingma and Dhariwal, Glow, NeurIPS 2018; with a condition, for seismic images: Siahkoohi et al.,
        Reliable amortized variational inference with physics-based latent distribution correction, Geophysics
        2023.

    Example:
        >>> net = ConditionalGlow(in_channels=1, cond_channels=2, hidden=8, scales=2, steps=2)
        >>> z, logdet = net(torch.randn(4, 1, 16, 16), torch.randn(4, 2, 16, 16))
        >>> z.shape, logdet.shape
        (torch.Size([4, 1, 16, 16]), torch.Size([4]))
    """

    def __init__(
        self,
        in_channels: int,
        cond_channels: int,
        *,
        hidden: int = 64,
        scales: int = 3,
        steps: int = 8,
        ndim: int = 2,
        memory: MemoryLike | Sequence[MemoryLike] = "invert",
        squeeze: SqueezeChoice = "haar",
        mixing: MixingFactory | None = None,
        conditioner: ConditionerFactory | None = None,
        transform: Elementwise | None = None,
        dtype: torch.dtype | None = None,
        split: bool = True,
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        check_counts(in_channels=in_channels, scales=scales, steps=steps)
        self.in_channels, self.cond_channels, self.ndim = in_channels, cond_channels, ndim
        build = partial(ResidualConditioner, hidden=hidden, ndim=ndim) if conditioner is None else conditioner
        couple = partial(Coupling, conditioner=build, transform=transform, dtype=dtype, ndim=ndim)
        widths = scale_channels(in_channels, scales, split=split, ndim=ndim)
        chains = [
            Sequential(
                [
                    build_squeeze(squeeze, width, ndim),
                    *(glow_step(couple(width, cond_channels), mixing) for _ in range(steps)),
                ],
                own,
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


@final
class Glow(InvertibleNetwork):
    """Glow without a condition: a normalizing flow of images.

    Args:
        in_channels: Channels C of x, any number.
        **options: As those of :class:`ConditionalGlow`.

    Shapes:
        x, z: (B, C, nx, nz), or with one or three axes. logdet: (B,).

    Source:
        Kingma and Dhariwal, Glow, NeurIPS 2018.

    Example:
        >>> z, logdet = Glow(3, hidden=8, scales=2, steps=2)(torch.randn(4, 3, 16, 16))
    """

    def __init__(self, in_channels: int, **options: Any) -> None:
        super().__init__()
        self.network = ConditionalGlow(in_channels, 0, **options)
        self.in_channels, self.cond_channels, self.ndim = in_channels, 0, self.network.ndim

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x to the latent z and the log-determinant."""
        return self.network(x, c)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map the latent z to x and the log-determinant of this direction."""
        return self.network.inverse(z, c)


def glow_step(coupling: Coupling, mixing: MixingFactory | None = None) -> Sequential:
    """ActNorm, 1x1 convolution, coupling; a member of the scale's chain, which decides what is kept."""
    channels, ndim = coupling.channels, coupling.ndim
    if mixing is None:
        return Sequential([NormalisedMixing(channels, ndim=ndim), coupling], "store")
    return Sequential([ActNorm(channels, ndim=ndim), mixing(channels), coupling], "store")
