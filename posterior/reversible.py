"""Chains of invertible layers that train in memory independent of their length.

Backpropagation needs each layer's input. An invertible layer can rebuild its input from its output, so the
chain keeps its output alone and walks it backwards, one :meth:`~posterior.invertible.Invertible.reverse_step`
a layer.

Source:
    Gomez et al., The reversible residual network, NeurIPS 2017; for normalizing flows with a log-determinant
    and one conditioner evaluation a step: this project's own derivation (see
    :class:`posterior.layers.coupling.AffineCoupling`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast, final, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from posterior.drift import DriftGuard, declared_precisions
from posterior.invertible import Invertible, trainable
from posterior.slabs import Slabs, limit_memory, parse_bytes
from posterior.walk import Chain, Step, Walk

MemoryMode = Literal["invert", "checkpoint", "store"]


@final
@dataclass(frozen=True)
class Memory:
    """What a chain keeps for its backward pass.

    Args:
        mode: "invert" keeps the output and rebuilds the rest: about 4/3 of the multiplications of "store",
            memory of one layer. "checkpoint" keeps the input of every direct member, which is evaluated
            again: memory grows by one image a member. "store" keeps everything, plain autograd; the only
            one that allows second derivatives.
        keep: Under "invert", keep what spares each layer part of its work (of a coupling, the scale and
            shift): memory grows by one image a coupling, and its conditioner's last layer is evaluated once.
        anchor_every: Under "invert", keep the image before every so many layers, so that drift starts again
            there; 0 for never.
        chunk: Under "invert", samples of the batch that go through the chain together; 0 for all. The
            hidden activations of a conditioner shrink with it.
        drift_tolerance: Relative error of the rebuilt input above which "invert" warns; None for what the
            precision of the conditioners allows, see :class:`posterior.drift.DriftGuard`.
        slab_budget: Bytes, such as "2GB", that one conditioner may take for its value and gradient beside
            the images. Where it would take more it runs over slabs of the image, see
            :func:`posterior.slabs.limit_memory`. "store" then keeps everything but the hidden
            images of such a conditioner: they are computed again on the way back. None for no limit.

    Raises:
        ValueError: If the mode is unknown, a number negative or the budget no size.
    """

    mode: MemoryMode = "invert"
    keep: bool = False
    anchor_every: int = 0
    chunk: int = 0
    drift_tolerance: float | None = None
    slab_budget: int | str | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(MemoryMode):
            raise ValueError(f'expected memory "invert", "checkpoint" or "store", got {self.mode!r}')
        for name in ("anchor_every", "chunk", "drift_tolerance"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"expected {name} of at least 0, got {getattr(self, name)}")
        if self.slab_budget is not None:
            Slabs(parse_bytes(self.slab_budget))

    def limit(self, chain: nn.Module) -> None:
        """Give the couplings of a chain the budget of these options, if there is one."""
        if self.slab_budget is not None:
            limit_memory(chain, self.slab_budget)

    def walk(
        self, steps: Sequence[Step], guard: DriftGuard, *, inverse: bool, moves_condition: bool = False
    ) -> Walk:
        """One call under these options."""
        whole = self.chunk and any(step.layer.needs_whole_batch for step in steps)
        return Walk(
            tuple(steps),
            tuple(trainable(step.layer) for step in steps),
            inverse,
            guard,
            moves_condition,
            keep=self.keep,
            anchor_every=self.anchor_every,
            chunk=0 if whole else self.chunk,
        )


MemoryLike = MemoryMode | Memory
"""A mode, or a mode with its options."""


@final
class Sequential(Invertible):
    r"""Layers one after the other, differentiated in both directions with the memory of one layer.

    .. math:: z = f_n(\cdots f_1(x; c) \cdots; c), \qquad \log|\det| = \sum_i \log|\det_i|

    What is kept for the backward pass is the choice of ``memory``. It acts wherever gradients are enabled, in
    training and in evaluation mode. All modes give the same gradients, with dropout, autocast, frozen or
    shared parameters too. Members that are chains themselves are walked as part of this one under "invert";
    otherwise they follow their own choice.

    Args:
        layers: At least one layer.
        memory: A mode, or a :class:`Memory` with more to choose.

    Shapes:
        x, z: as the layers take and give them. c: handed to every layer, or None. logdet: (B,).

    Raises:
        ValueError: If there is no layer, an unknown memory mode, or a layer with running statistics.
    """

    def __init__(self, layers: Iterable[Invertible], memory: MemoryLike = "invert") -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.memory = as_memory(memory)
        self._guard = DriftGuard(self.memory.drift_tolerance, declared_precisions(self))
        if not self.layers:
            raise ValueError("expected at least one layer, got none")
        refuse_running_statistics(self)
        self.memory.limit(self)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply every layer, first to last."""
        return self._apply_chain(x, c, inverse=False)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo every layer, last to first."""
        return self._apply_chain(z, c, inverse=True)

    def unrolled(self) -> Sequence[Invertible]:
        """The layers of this chain and of the chains in it, in order."""
        return [leaf for layer in self._members() for leaf in layer.unrolled()]

    @property
    def needs_whole_batch(self) -> bool:
        """Whether any layer must see the whole batch."""
        return any(layer.needs_whole_batch for layer in self._members())

    @property
    def drift(self) -> float | None:
        """Relative error of the input that the latest backward pass rebuilt, the worst sample of it.

        None before any.
        """
        return self._guard.latest

    def _apply_chain(self, x: Tensor, c: Tensor | None, *, inverse: bool) -> tuple[Tensor, Tensor]:
        # Laid out once as the image is, beside which every coupling puts it.
        c = None if c is None else c.contiguous()
        if self.memory.mode == "invert" and torch.is_grad_enabled():
            walk = self.memory.walk([Step(leaf) for leaf in self.unrolled()], self._guard, inverse=inverse)
            z, logdet = Chain.apply(walk, x, c, *walk.parameters())
            return z, logdet
        logdet = x.new_zeros(x.shape[0])
        for layer in reversed(self._members()) if inverse else self._members():
            call = layer.inverse if inverse else layer
            if self.memory.mode == "checkpoint" and torch.is_grad_enabled():
                x, change = checkpoint(call, x, c, use_reentrant=False)
            else:
                x, change = call(x, c)
            logdet = logdet + change
        return x, logdet

    def _members(self) -> Sequence[Invertible]:
        return cast("Sequence[Invertible]", self.layers)


def as_memory(memory: MemoryLike) -> Memory:
    """A mode with its default options, or the options as they are."""
    return memory if isinstance(memory, Memory) else Memory(memory)


def refuse_running_statistics(module: nn.Module) -> None:
    """Raise a ValueError if some part of ``module`` remembers statistics of what it saw."""
    for name, _ in module.named_buffers():
        if name.endswith("running_mean"):
            raise ValueError(
                f"expected layers without running statistics, got {name!r}: a chain evaluates layers twice, "
                "and their inverse must not depend on what they saw before (use GroupNorm or none)"
            )
