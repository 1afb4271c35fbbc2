"""The fully hyperbolic network: a nonlinear wave equation whose state is coarsened and refined on its way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, cast, final

from torch import Tensor, nn

from posterior.invertible import Invertible, check_image, check_ndim
from posterior.layers.coupling import check_condition
from posterior.layers.hyperbolic import EachHalf, HyperbolicLayer
from posterior.layers.inverse import Inverse
from posterior.layers.squeeze import HaarSqueeze, Squeeze, check_divisible
from posterior.networks.base import InvertibleNetwork
from posterior.networks.multiscale import check_precision, scale_memories
from posterior.reversible import MemoryLike, Sequential
from posterior.summary import ConditionPyramid

Architecture = Sequence[tuple[int, int]]
"""Layers as (action, hidden channels); before the time step -1 halves every size, 1 doubles it, 0 neither."""


@final
class Hyperbolic(InvertibleNetwork):
    r"""Leapfrog steps at every resolution from fine to coarse and back to fine; volume is preserved.

    The halves of x's channels are the previous and the current state; an odd number of channels is squeezed
    first, so that there are halves. Both states change resolution together, by an orthonormal transform, so
    z has the shape of x. Steps at one resolution are one reversible chain: memory does not grow with
    ``steps``, and drift restarts at every change of resolution. The condition reaches each resolution
    through a learned pyramid.

    The log-determinant is zero: as a density, let an ActNorm come first.

    Args:
        in_channels: Channels C of x, any number.
        cond_channels: Channels K of the condition; 0 for none.
        hidden: Hidden channels of the layers.
        scales: Number of resolutions L, each half of the one before.
        steps: Layers at a resolution, on the way down and again on the way up.
        ndim: Number of spatial axes d, 1 to 3.
        memory: What is kept for the backward pass, one choice or one a resolution, finest first; see
            :class:`posterior.reversible.Memory`.
        kernel: Size of the layers' kernels, odd.
        step: The square alpha of the layers' time step.
        squeeze: Builds the change of resolution from the channels of one state; None for the Haar transform.
        architecture: The layers one by one, instead of ``hidden``, ``scales`` and ``steps``: pairs (action,
            hidden channels). Before the layer's step action -1 halves every size of the states and gives them
            2^d times the channels, 1 is the opposite, 0 neither. The actions must sum to 0.

    Shapes:
        x, z: (B, C, ...). c: (B, K, ...), the size of x. logdet: (B,), zeros. Every size must be a multiple
        of 2^(L-1), of 2^L for odd C.

    Raises:
        ValueError: If a size is not such a multiple (the message names it and the size to pad to), or the
            architecture does not return to x's size or halves what has too few channels.

    Source:
        Lensink, Peters and Haber, Fully hyperbolic convolutional neural networks, Research in the
        Mathematical Sciences 2022 (arXiv 1905.10484).

    Example:
        >>> import torch
        >>> net = Hyperbolic(in_channels=1, hidden=8, scales=2, steps=2)
        >>> z, logdet = net(torch.randn(4, 1, 16, 16))
        >>> z.shape
        torch.Size([4, 1, 16, 16])
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
        kernel: int = 3,
        step: float = 1.0,
        squeeze: Callable[[int], Squeeze] | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        self.in_channels, self.cond_channels, self.ndim = in_channels, cond_channels, ndim
        plan = _plan(
            in_channels, ndim, _hourglass(hidden, scales, steps) if architecture is None else architecture
        )
        make = partial(HyperbolicLayer, cond_channels=cond_channels, kernel=kernel, step=step, ndim=ndim)
        build = (lambda _: HaarSqueeze(ndim)) if squeeze is None else squeeze
        stages = _stages(in_channels, plan, make, build)
        self.levels = [level for level, _ in stages]
        finest, coarsest = min(self.levels), max(self.levels)
        if cond_channels and finest < 0:
            raise ValueError(
                f"expected no condition where states become finer than x, got {cond_channels} channels"
            )
        memories = scale_memories(memory, coarsest - finest + 1)
        self.chains = nn.ModuleList(Sequential(layers, memories[level - finest]) for level, layers in stages)
        self.pyramid = ConditionPyramid(cond_channels, coarsest, ndim=ndim) if cond_channels else None

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x to the latent z and the log-determinant 0, given c."""
        conditions = self._conditions("x", x, c)
        for chain, level in zip(self._members(), self.levels, strict=True):
            x, _ = chain(x, conditions[level])
        return x.contiguous(), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map the latent z to x and the log-determinant 0, given c."""
        conditions = self._conditions("z", z, c)
        for chain, level in reversed(list(zip(self._members(), self.levels, strict=True))):
            z, _ = chain.inverse(z, conditions[level])
        return z.contiguous(), z.new_zeros(z.shape[0])

    def _conditions(self, name: str, image: Tensor, c: Tensor | None) -> Mapping[int, Tensor | None]:
        """Check what came in; the condition at every level."""
        check_image(name, image, self.in_channels, self.ndim)
        check_precision(name, image, self)
        check_divisible(name, image, 2 ** max(self.levels))
        check_condition(image, c, self.cond_channels)
        if self.pyramid is None or c is None:
            return dict.fromkeys(self.levels)
        return dict(enumerate([c, *self.pyramid(c)]))

    def _members(self) -> Sequence[Sequential]:
        return cast("Sequence[Sequential]", self.chains)


class _Planned(NamedTuple):
    """A layer to be: action, hidden channels, how often x's size is halved there, channels of both states."""

    action: int
    hidden: int
    level: int
    channels: int
    fine: int
    """Channels of one state before or after the action, where it is finer."""


def _hourglass(hidden: int, scales: int, steps: int) -> Architecture:
    """So many steps at every resolution, down and up."""
    if scales < 1 or steps < 1:
        raise ValueError(f"expected at least 1 scale and 1 step, got {scales} and {steps}")
    actions = [0, *[-1] * (scales - 1), *[1] * (scales - 1)]
    return [(now, hidden) for action in actions for now in (action, *[0] * (steps - 1))]


def _plan(in_channels: int, ndim: int, architecture: Architecture) -> list[_Planned]:
    """Follow level and channels through the architecture, and check that they work out."""
    if in_channels < 1 or not architecture:
        raise ValueError(
            f"expected at least 1 channel and 1 layer, got {in_channels} and {len(architecture)}"
        )
    level = in_channels % 2  # an odd number of channels is squeezed once, before all
    plan = []
    for index, (action, hidden) in enumerate(architecture):
        if action not in (-1, 0, 1):
            raise ValueError(f"expected action -1, 0 or 1, got {action} for layer {index}")
        level -= action
        channels = in_channels * 2.0 ** (ndim * level)
        if channels % 2:
            raise ValueError(
                f"expected an even number of channels, two states, at every layer, got {channels:g} at layer "
                f"{index} for x of {in_channels} channels"
            )
        fine = min(channels, channels * 2.0 ** (ndim * action)) // 2
        plan.append(_Planned(action, hidden, level, int(channels), int(fine)))
    if level != in_channels % 2:
        raise ValueError(
            f"expected actions that sum to 0, back to x's size, got {[a for a, _ in architecture]}"
        )
    return plan


def _stages(
    in_channels: int,
    plan: Sequence[_Planned],
    make: Callable[..., HyperbolicLayer],
    build: Callable[[int], Squeeze],
) -> list[tuple[int, list[Invertible]]]:
    """The layers between changes of resolution: (level, layers)."""
    first = build(in_channels) if in_channels % 2 else None
    stages: list[tuple[int, list[Invertible]]] = [(in_channels % 2, [first] if first else [])]
    for action, hidden, level, channels, fine in plan:
        if action:
            halves = EachHalf(build(fine))
            stages.append((level, [Inverse(halves) if action > 0 else halves]))
        stages[-1][1].append(make(channels, hidden=hidden))
    if first:
        stages[-1][1].append(Inverse(first))
    return [stage for stage in stages if stage[1]]
