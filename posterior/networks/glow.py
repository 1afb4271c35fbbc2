"""Conditional Glow: a multi-scale normalizing flow of images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, cast, final

import torch
from torch import Tensor, nn

from posterior.conditioners import ConditionerFactory, ResidualConditioner
from posterior.invertible import check_image, check_ndim
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import AffineCoupling, check_condition
from posterior.layers.squeeze import (
    CheckerboardSqueeze,
    HaarSqueeze,
    Squeeze,
    check_divisible,
    depth_to_space,
    space_to_depth,
)
from posterior.networks.base import InvertibleNetwork
from posterior.reversible import Memory, Sequential
from posterior.summary import ConditionPyramid

_SQUEEZES: dict[str, type[Squeeze]] = {"haar": HaarSqueeze, "checkerboard": CheckerboardSqueeze}


@final
class ConditionalGlow(InvertibleNetwork):
    r"""Squeeze, K flow steps, split; then the same at half the resolution, L times. z has the shape of x.

    A flow step is ActNorm, an orthogonal 1x1 convolution and an affine coupling conditioned on c. After every
    scale but the last, half of the channels is done: it becomes part of z. The parts return to their place in
    space, so that z has x's shape and sample b of z belongs to sample b of x. The condition reaches scale i
    at that scale's resolution, through a learned pyramid. Each scale is one reversible chain: memory does not
    grow with ``steps``, and drift restarts at each scale.

    Args:
        in_channels: Channels C of x, any number.
        cond_channels: Channels K' of the condition; 0 for a network without one.
        hidden: Hidden channels of the conditioners.
        scales: Number of scales L; every size of x must be a multiple of 2^L.
        steps: Number K of flow steps at each scale.
        ndim: Number of spatial axes, 1 to 3.
        memory: What is kept for the backward pass, see :class:`posterior.reversible.Sequential`.
        squeeze: "haar" (smooth sub-bands go on to the coarser scale) or "checkerboard".
        conditioner: Builds the network inside each coupling from its channels in and out; None for a residual
            one.

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
        memory: Memory = "invert",
        squeeze: Literal["haar", "checkerboard"] = "haar",
        conditioner: ConditionerFactory | None = None,
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        for name, value in (("in_channels", in_channels), ("scales", scales), ("steps", steps)):
            if value < 1:
                raise ValueError(f"expected {name} of at least 1, got {value}")
        self.in_channels, self.cond_channels = in_channels, cond_channels
        self.scales, self.ndim = scales, ndim
        build = partial(ResidualConditioner, hidden=hidden, ndim=ndim) if conditioner is None else conditioner
        self.pyramid = ConditionPyramid(cond_channels, scales, ndim=ndim) if cond_channels else None
        self.chains = nn.ModuleList()
        channels = in_channels
        for _ in range(scales):
            channels *= 2**ndim
            flow = [_flow_step(channels, cond_channels, build, ndim) for _ in range(steps)]
            self.chains.append(Sequential([_SQUEEZES[squeeze](ndim), *flow], memory))
            channels //= 2

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x to the latent z and the log-determinant, given c."""
        conditions = self._conditions("x", x, c)
        logdet = x.new_zeros(x.shape[0])
        parts: list[Tensor] = []
        for chain, condition in zip(self.chains, conditions, strict=True):
            x, change = chain(x, condition)
            logdet = logdet + change
            if len(parts) < self.scales - 1:
                x, part = x.chunk(2, 1)
                parts.append(part)
        return _assemble(x, parts), logdet

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map the latent z to x and the log-determinant of this direction, given c."""
        conditions = self._conditions("z", z, c)
        logdet = z.new_zeros(z.shape[0])
        x, *parts = _take_apart(z, self.scales)
        for level in reversed(range(self.scales)):
            if level < self.scales - 1:
                x = torch.cat((x, parts[level]), 1)
            x, change = cast("Sequential", self.chains[level]).inverse(x, conditions[level])
            logdet = logdet + change
        return x.contiguous(), logdet

    def _conditions(self, name: str, image: Tensor, c: Tensor | None) -> Sequence[Tensor | None]:
        """Check what came in; the condition of every scale."""
        check_image(name, image, self.in_channels, self.ndim)
        if image.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"expected {name} in float32 or float64, got {image.dtype}: the state keeps full precision; "
                "torch.autocast runs the conditioners in a lower one"
            )
        check_divisible(name, image, 2**self.scales)
        check_condition(image, c, self.cond_channels)
        if self.pyramid is None or c is None:
            return [None] * self.scales
        return self.pyramid(c)


def _flow_step(channels: int, cond_channels: int, conditioner: ConditionerFactory, ndim: int) -> Sequential:
    """ActNorm, 1x1 convolution, coupling; a member of the scale's chain, which decides what is kept."""
    coupling = AffineCoupling(channels, cond_channels, conditioner=conditioner, ndim=ndim)
    return Sequential([ActNorm(channels, ndim=ndim), Conv1x1(channels, ndim=ndim), coupling], "store")


def _assemble(coarsest: Tensor, parts: list[Tensor]) -> Tensor:
    """Put the latents of all scales back into their place in space; ``parts`` are finest first."""
    z = depth_to_space(coarsest)
    for part in reversed(parts):
        z = depth_to_space(torch.cat((z, part), 1))
    return z.contiguous()


def _take_apart(z: Tensor, scales: int) -> list[Tensor]:
    """Undo :func:`_assemble`: [coarsest, *parts]."""
    coarsest, parts = space_to_depth(z), []
    for _ in range(scales - 1):
        coarsest, part = coarsest.chunk(2, 1)
        parts.append(part)
        coarsest = space_to_depth(coarsest)
    return [coarsest, *parts]
