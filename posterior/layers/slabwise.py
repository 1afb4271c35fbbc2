"""A coupling over slabs of the image: its conditioner's hidden images are never larger than one slab's.

The conditioner sees a slab with its halo; what it gives outside of the slab is dropped. Each cell of the
image is changed in the slab that owns it. On the way back the gradient in the halo is zero, those of the
inputs add up where halos overlap, and one evaluation serves each slab as it serves a whole image.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar, final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from posterior.invertible import Invertible, ReverseStep, Trace
from posterior.layers.elementwise import Elementwise, Parameters, Undone
from posterior.linearise import linearise, working_dtype
from posterior.replay import GeneratorState, generator_state, replayed, restore, same_state
from posterior.slabs import Limited, Slab, Slabs, footprint

Undo = Callable[[Tensor, Parameters, Tensor, Tensor], Undone]
T = TypeVar("T")
_RAW_COPIES = 6
"""Numbers alive for each raw one in the arithmetic of a transform."""


class Slabwise(Invertible, Limited, ABC):
    """A layer that changes one part of the channels, cell by cell, as a network of the rest says.

    Attributes:
        transform: The change.
    """

    transform: Elementwise

    @abstractmethod
    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The changed and the fixed channels; views where x is contiguous."""

    @abstractmethod
    def join(self, changed: Tensor, fixed: Tensor) -> Tensor:
        """Undo :meth:`split`."""

    @abstractmethod
    def inputs(self, fixed: Tensor, c: Tensor | None) -> list[Tensor]:
        """What the network sees."""

    def seen(self, slab: Slab, fixed: Tensor, c: Tensor | None) -> list[Tensor]:
        """What it sees of a slab."""
        return self.inputs(slab.seen(fixed), None if c is None else slab.seen(c))

    @abstractmethod
    def precision(self, x: Tensor) -> AbstractContextManager[object]:
        """The surroundings in which the network runs."""


def within_budget(
    layer: Slabwise, x: Tensor, whole: Callable[[], T], parts: Callable[[Sequence[Slab]], T]
) -> T:
    """``whole()`` where the image is one slab, else ``parts(slabs)``.

    Where an accelerator runs out of memory: after a warning again, with slabs of half the thickness.
    """
    while True:
        assert layer.slabs is not None
        slabs = _cut(layer, x, layer.slabs)
        before = generator_state(x.device)
        try:
            return whole() if len(slabs) == 1 else parts(slabs)
        except torch.OutOfMemoryError:
            if len(_cut(layer, x, layer.slabs.halved())) == len(slabs):
                raise
        # Outside of the handler, whose traceback holds on to the tensors of the failed attempt.
        layer.slabs = layer.slabs.halved()
        restore(before, x.device)
        warnings.warn(
            f"out of memory with {len(slabs)} slabs of an image of shape {tuple(x.shape)}: from here on "
            f"with {len(_cut(layer, x, layer.slabs))}; the result is the same but for rounding",
            RuntimeWarning,
            stacklevel=2,
        )


def record_in_slabs(
    layer: Slabwise, slabs: Sequence[Slab], x: Tensor, c: Tensor | None, *, inverse: bool, keep: bool
) -> tuple[Tensor, Tensor, Trace]:
    """Call a direction, as :meth:`~posterior.invertible.Invertible.record` does.

    With gradients enabled each slab is a checkpoint: its conditioner is evaluated again on the way back.
    """
    one = partial(_one, layer, inverse=inverse)
    x = x.contiguous()
    logdet, before = x.new_zeros(x.shape[0]), generator_state(x.device)
    drawn: GeneratorState = ()
    pieces: list[_Whole] = []
    for slab in slabs:
        # Whole feature maps are dropped: every slab draws the same numbers as the whole image would.
        with replayed(drawn, x.device):
            # A checkpoint of the whole image, not of a part: no part is copied until the way back.
            piece, change, parameters = (
                checkpoint(one, slab, x, c, use_reentrant=False)
                if torch.is_grad_enabled()
                else one(slab, x, c)
            )
        if slab is slabs[0] and not same_state(before, generator_state(x.device)):
            drawn = before
        logdet = logdet + change
        kept = parameters if keep and layer.transform.compact else ()
        pieces = pieces or [_Whole(x.shape[slab.axis]) for _ in (piece, *kept)]
        for whole, part in zip(pieces, (piece, *kept), strict=True):
            whole.put(slab, part)
    out, *own = (whole.image() for whole in pieces)
    return layer.join(out, layer.split(x)[1]), logdet, (drawn, tuple(own))


@torch.no_grad()
def reverse_in_slabs(
    layer: Slabwise,
    slabs: Sequence[Slab],
    undo: Undo,
    point: tuple[Tensor, Tensor | None],
    grads: tuple[Tensor, Tensor],
    trace: Trace,
) -> ReverseStep:
    """Rebuild the input of a call and differentiate, with one evaluation of the conditioner a slab."""
    (out, c), (grad_out, grad_logdet) = point, grads
    drawn, kept = trace or ((), ())
    x = out.clone(memory_format=torch.contiguous_format)
    grad = grad_out.clone(memory_format=torch.contiguous_format)
    (changed, fixed), (grad_changed, grad_fixed) = layer.split(x), layer.split(grad)
    wanted = [grad_fixed]
    if c is not None and c.requires_grad:
        wanted.append(torch.zeros(c.shape, dtype=grad.dtype, device=c.device))
    found: list[Tensor | None] = []
    for slab in slabs:
        with replayed(drawn, out.device), layer.precision(out):
            raw, pullback = linearise(layer.conditioner, layer.seen(slab, fixed, c), value=not kept)
        parameters = tuple(slab.own(one).contiguous() for one in kept)
        if raw is not None:
            parameters = layer.transform.natural(slab.cropped(raw).to(out.dtype))
        parts = slab.own(changed), slab.own(grad_changed)
        # In place: no other slab looks at them.
        *rebuilt, grad_raw = undo(parts[0].contiguous(), parameters, parts[1].contiguous(), grad_logdet)
        for part, value in zip(parts, rebuilt, strict=True):
            part.copy_(value)
        del raw, parameters, rebuilt
        (grad_seen,), more = pullback(slab.padded(grad_raw))
        found = [_sum(*pair) for pair in zip(found or [None] * len(more), more, strict=True)]
        if grad_seen is not None:
            sizes = (fixed.shape[1], grad_seen.shape[1] - fixed.shape[1])
            for whole, value in zip(wanted, grad_seen.split(sizes, 1), strict=False):
                slab.seen(whole).add_(value)
    return ReverseStep(x, grad, wanted[1] if len(wanted) > 1 else None, found)


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first + second


def bytes_a_cell(layer: Slabwise, x: Tensor) -> int:
    """Bytes a cell of x that a layer's network takes for its value and gradient, by its own account."""
    own = footprint(layer.conditioner)
    assert own is not None
    with layer.precision(x):
        lowered = working_dtype(x)
    numbers = own.numbers + (own.casts if lowered != x.dtype else 0)
    raw = layer.transform.width * layer.split(x)[0].shape[1]
    return numbers * lowered.itemsize + _RAW_COPIES * raw * x.itemsize


def _cut(layer: Slabwise, x: Tensor, slabs: Slabs) -> list[Slab]:
    own = footprint(layer.conditioner)
    assert own is not None
    return slabs.cut(x.shape, own, bytes_a_cell(layer, x))


def _one(
    layer: Slabwise, slab: Slab, x: Tensor, c: Tensor | None, *, inverse: bool
) -> tuple[Tensor, Tensor, Parameters]:
    """The slab's own changed part, log-determinant and parameters."""
    changed, fixed = layer.split(x)
    with layer.precision(x):
        raw = layer.conditioner(*layer.seen(slab, fixed, c))
    parameters = layer.transform.natural(slab.cropped(raw).to(x.dtype))
    call = layer.transform.inverse if inverse else layer.transform.forward
    return *call(slab.own(changed).contiguous(), parameters), parameters


@final
class _Whole:
    """An image put together of its slabs; where no gradient is asked for, in its final place at once."""

    def __init__(self, size: int) -> None:
        self.size, self.axis = size, 0
        self.pieces: list[Tensor] = []

    def put(self, slab: Slab, piece: Tensor) -> None:
        """Add the next slab's part."""
        self.axis = slab.axis
        if torch.is_grad_enabled():
            self.pieces.append(piece)
            return
        if not self.pieces:
            shape = list(piece.shape)
            shape[slab.axis] = self.size
            self.pieces.append(piece.new_empty(shape))
        slab.own(self.pieces[0]).copy_(piece)

    def image(self) -> Tensor:
        """The whole."""
        return self.pieces[0] if len(self.pieces) == 1 else torch.cat(self.pieces, self.axis)
