"""The scaffold of multi-scale networks: squeeze, flow, split off half; then the same at half the size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, cast, final

import torch
from torch import Tensor, nn

from posterior.invertible import check_image
from posterior.layers.coupling import check_condition
from posterior.layers.squeeze import (
    CheckerboardSqueeze,
    HaarSqueeze,
    Squeeze,
    check_divisible,
    depth_to_space,
    space_to_depth,
)
from posterior.networks.base import InvertibleNetwork
from posterior.reversible import Memory, MemoryLike, Sequential, as_memory
from posterior.summary import ConditionPyramid

SqueezeChoice = Literal["haar", "checkerboard"] | Callable[[int], Squeeze]
"""A squeeze by name, or what builds it from its number of channels in."""
_SQUEEZES: dict[str, type[Squeeze]] = {"haar": HaarSqueeze, "checkerboard": CheckerboardSqueeze}


@final
class MultiScale(InvertibleNetwork):
    """Chains at successive scales, each beginning with a squeeze; z has the shape of x.

    After every scale but the last, half of the channels is done: it becomes part of z. The parts return to
    their place in space, so that z has x's shape and sample b of z belongs to sample b of x. A condition
    reaches each scale at its own resolution, through a learned pyramid. Each scale is one reversible chain:
    memory does not grow with its length, and drift restarts at each scale.

    Args:
        in_channels: Channels C of x, any number.
        chains: One a scale, finest first; each halves every size and multiplies the channels by 2^d.
        cond_channels: Channels K' of the condition; 0 for none.
        split: Whether half of the channels is done after every scale but the last; if not, all go on.
        ndim: Number d of spatial axes.

    Shapes:
        x, z: (B, C, ...), every size a multiple of 2^scales. c: (B, K', ...), the size of x. logdet: (B,).

    Raises:
        ValueError: If a size is not a multiple of 2^scales, or shapes do not fit.

    Source:
        Dinh et al., Density estimation using Real NVP, ICLR 2017, section 3.6.
    """

    def __init__(
        self,
        in_channels: int,
        chains: Iterable[Sequential],
        *,
        cond_channels: int = 0,
        split: bool = True,
        ndim: int = 2,
    ) -> None:
        super().__init__()
        self.chains = nn.ModuleList(chains)
        scales = len(self.chains)
        self.pyramid = ConditionPyramid(cond_channels, scales, ndim=ndim) if cond_channels else None
        self.in_channels, self.cond_channels = in_channels, cond_channels
        self.split, self.ndim = split, ndim

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x to the latent z and the log-determinant, given c."""
        self._check("x", x, c)
        logdet = x.new_zeros(x.shape[0])
        parts: list[Tensor] = []
        for chain, condition in zip(self.chains, self._conditions(c), strict=True):
            x, change = chain(x, condition)
            logdet = logdet + change
            if self.split and len(parts) < len(self.chains) - 1:
                x, part = x.chunk(2, 1)
                parts.append(part)
        return assemble(x, parts, len(self.chains)), logdet

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map the latent z to x and the log-determinant of this direction, given c."""
        self._check("z", z, c)
        conditions = self._conditions(c)
        logdet = z.new_zeros(z.shape[0])
        x, parts = take_apart(z, len(self.chains), split=self.split)
        for level in reversed(range(len(self.chains))):
            if level < len(parts):
                x = torch.cat((x, parts[level]), 1)
            x, change = cast("Sequential", self.chains[level]).inverse(x, conditions[level])
            logdet = logdet + change
        return x.contiguous(), logdet

    def _check(self, name: str, image: Tensor, c: Tensor | None) -> None:
        check_image(name, image, self.in_channels, self.ndim)
        check_precision(name, image, self)
        check_divisible(name, image, 2 ** len(self.chains))
        check_condition(image, c, self.cond_channels)

    def _conditions(self, c: Tensor | None) -> Sequence[Tensor | None]:
        """The condition of every scale."""
        return [None] * len(self.chains) if self.pyramid is None or c is None else self.pyramid(c)


def build_squeeze(squeeze: SqueezeChoice, width: int, ndim: int) -> Squeeze:
    """The squeeze at the start of a scale that works on ``width`` channels."""
    if not isinstance(squeeze, str):
        return squeeze(width // 2**ndim)
    if squeeze not in _SQUEEZES:
        raise ValueError(f"expected squeeze {', '.join(map(repr, _SQUEEZES))} or a factory, got {squeeze!r}")
    return _SQUEEZES[squeeze](ndim)


def scale_channels(in_channels: int, scales: int, *, split: bool = True, ndim: int = 2) -> list[int]:
    """Channels inside every scale of a :class:`MultiScale`, finest first."""
    growth = 2 ** (ndim - 1) if split else 2**ndim
    return [in_channels * 2**ndim * growth**level for level in range(scales)]


def scale_memories(memory: MemoryLike | Sequence[MemoryLike], scales: int) -> list[Memory]:
    """One choice for all scales, or one for each."""
    if isinstance(memory, str | Memory):
        return [as_memory(memory)] * scales
    if len(memory) != scales:
        raise ValueError(f"expected one memory choice, or one for each of {scales} scales, got {len(memory)}")
    return [as_memory(one) for one in memory]


def check_counts(**counts: int) -> None:
    """Raise a ValueError that names the first of the given numbers below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"expected {name} of at least 1, got {count}")


def check_precision(name: str, image: Tensor, network: nn.Module) -> None:
    """Raise a ValueError unless the state comes in float32 or float64, as and where the network is."""
    if image.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"expected {name} in float32 or float64, got {image.dtype}: the state keeps full precision; "
            "a conditioner's dtype, or torch.autocast, runs the conditioners in a lower one"
        )
    own = next(network.parameters())
    if (image.dtype, image.device) != (own.dtype, own.device):
        raise ValueError(
            f"expected {name} in {own.dtype} on {own.device} as the network is, got {image.dtype} on "
            f"{image.device}"
        )


def assemble(coarsest: Tensor, parts: Sequence[Tensor], scales: int) -> Tensor:
    """Put the latents of all scales back into their place in space; ``parts`` are finest first."""
    z = depth_to_space(coarsest)
    for level in reversed(range(scales - 1)):
        z = depth_to_space(torch.cat((z, parts[level]), 1) if parts else z)
    return z.contiguous()


def take_apart(z: Tensor, scales: int, *, split: bool = True) -> tuple[Tensor, list[Tensor]]:
    """Undo :func:`assemble`: (coarsest, parts)."""
    coarsest, parts = space_to_depth(z), []
    for _ in range(scales - 1):
        if split:
            coarsest, part = coarsest.chunk(2, 1)
            parts.append(part)
        coarsest = space_to_depth(coarsest)
    return coarsest, parts
