"""One walk through a chain of layers and back, and the one autograd function that every chain is.

The forward walk keeps the output alone, besides what its options say; the backward walk asks every layer,
last to first, for its input and its gradients at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, final

import torch
from torch import Tensor, nn

from posterior.drift import DriftGuard, estimated_error, fingerprint, relative_error
from posterior.invertible import Invertible, Trace
from posterior.linearise import working_dtype
from posterior.replay import autocast_like_now

T = TypeVar("T")


class Step(NamedTuple):
    """A layer of a chain and what it acts on."""

    layer: Invertible
    on_condition: bool = False
    """Whether it maps the condition, by itself, rather than the image."""
    given_condition: bool = True
    """Whether a layer on the image is handed the condition."""


class Passed(NamedTuple):
    """What a forward walk returns."""

    out: Tensor
    c: Tensor | None
    logdet: Tensor
    logdet_c: Tensor
    traces: tuple[Trace, ...]
    anchors: tuple[Tensor, ...]


class Returned(NamedTuple):
    """What a backward walk returns: the rebuilt input, gradients, and the drift at every anchor."""

    x: Tensor
    c: Tensor | None
    grad_x: Tensor
    grad_c: Tensor | None
    errors: tuple[Tensor, ...]


@final
@dataclass(frozen=True)
class Walk:
    """One call of a chain.

    Attributes:
        steps: The layers in forward order.
        trainables: The trainable parameters of each.
        inverse: Whether the call is in the inverse direction.
        moves_condition: Whether some layer acts on the condition, which then is an output too.
        keep: Whether layers keep what spares work on the way back.
        anchor_every: The image is kept before every so many layers; 0 for never.
        chunk: Samples that go together; 0 for all.
        guard: Takes note of the drift.
    """

    steps: tuple[Step, ...]
    trainables: tuple[list[nn.Parameter], ...]
    inverse: bool
    guard: DriftGuard
    moves_condition: bool = False
    keep: bool = False
    anchor_every: int = 0
    chunk: int = 0

    def parameters(self) -> list[nn.Parameter]:
        """Trainable parameters of all layers, each once."""
        return list({id(p): p for own in self.trainables for p in own}.values())

    def ahead(self, x: Tensor, c: Tensor | None) -> Passed:
        """Evaluate the layers in the order of this direction."""
        logdet = logdet_c = x.new_zeros(x.shape[0])
        traces: list[Trace] = []
        anchors: list[Tensor] = []
        for index, (layer, on_condition, given) in enumerate(self._ordered(self.steps)):
            if self._is_anchor(index):
                anchors += [x, c] if self.moves_condition and c is not None else [x]
            if on_condition:
                assert c is not None
                c, change, trace = layer.record(c, inverse=self.inverse, keep=self.keep)
                logdet_c = logdet_c + change
            else:
                x, change, trace = layer.record(x, c if given else None, inverse=self.inverse, keep=self.keep)
                logdet = logdet + change
            traces.append(trace)
        return Passed(x, c, logdet, logdet_c, tuple(traces), tuple(anchors))

    def back(self, passed: Passed, grads: tuple[Tensor, Tensor | None], found: dict[int, Tensor]) -> Returned:
        """Walk from the outputs to the inputs.

        Args:
            passed: What :meth:`ahead` returned, with the gradients of the log-determinants in their place.
            grads: Gradients of the two outputs; None for a condition that is no output.
            found: Gradients by the parameter's id; they add up here.
        """
        x, c, grad_logdet, grad_logdet_c, traces, kept = passed
        grad, grad_c = grads
        anchors, owned = list(kept), False
        errors: list[Tensor] = []
        for index, (layer, on_condition, given) in reversed(list(enumerate(self._ordered(self.steps)))):
            step = layer.reverse_step_inverse if self.inverse else layer.reverse_step
            if on_condition:
                assert c is not None
                assert grad_c is not None
                c, grad_c, _, more = step(c, None, grad_c, grad_logdet_c, traces[index])
                owned = False
            else:
                if self.moves_condition and c is not None:
                    c = c.detach().requires_grad_()  # its own layers are behind it
                x, grad, more_c, more = step(x, c if given else None, grad, grad_logdet, traces[index])
                if more_c is not None:
                    # The sum is kept in the state's precision, in memory of its own.
                    more_c = more_c.to(grad.dtype, copy=not owned)
                    grad_c = (
                        more_c
                        if grad_c is None
                        else more_c.add_(grad_c)
                        if not owned
                        else grad_c.add_(more_c)
                    )
                    owned = True
            _add_up(found, self._ordered(self.trainables)[index], more)
            if self._is_anchor(index):
                if self.moves_condition and c is not None:
                    errors.append(relative_error(anchors[-1], c))
                    c = anchors.pop()
                errors.append(relative_error(anchors[-1], x))
                x = anchors.pop()
        return Returned(x, c, grad, grad_c, tuple(errors))

    def chunks(self, *tensors: Tensor | None) -> Iterator[Any]:
        """Split tensors along the batch into the pieces that go together; None stays None."""
        batch = max(1, next(len(one) for one in tensors if one is not None))
        size = self.chunk or batch
        for start in range(0, batch, size):
            yield tuple(None if one is None else one[start : start + size] for one in tensors)

    def _ordered(self, items: Sequence[T]) -> Sequence[T]:
        """In the order of this direction, what is given in forward order."""
        return items[::-1] if self.inverse else items

    def _is_anchor(self, index: int) -> bool:
        return bool(self.anchor_every and index and index % self.anchor_every == 0)


@final
class Chain(torch.autograd.Function):
    """The whole chain as one node of the graph.

    (x, c, parameters) -> (z, logdet), and (c', logdet of c) where layers act on the condition.
    """

    @staticmethod
    def forward(ctx: Any, walk: Walk, x: Tensor, c: Tensor | None, *parameters: Tensor) -> tuple[Tensor, ...]:
        """Walk ahead and save the output, the condition, and what the walk was told to keep."""
        ctx.walk, ctx.autocast, ctx.num_parameters = walk, autocast_like_now(x.device), len(parameters)
        with autocast_like_now(x.device):
            passed = [walk.ahead(one, condition) for one, condition in walk.chunks(x, c)]
        z, c_out, logdet, logdet_c = (_join([one[i] for one in passed]) for i in range(4))
        outputs = (z, logdet) if not walk.moves_condition else (z, c_out, logdet, logdet_c)
        c_out = c_out if walk.moves_condition else c
        kept, ctx.shape = _flatten(tuple((one.traces, one.anchors) for one in passed))
        # Parameters cost nothing here; saving them lets autograd notice an in-place change before the
        # backward pass.
        ctx.save_for_backward(z, c_out, _fingerprints(walk, x, c), *parameters, *kept)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Walk back; every gradient is returned, none is written."""
        if torch.is_grad_enabled():
            raise RuntimeError(
                'memory="invert" gives first derivatives only, and create_graph=True asks for second ones: '
                'build the network with memory="store"'
            )
        walk: Walk = ctx.walk
        z, c, prints, *rest = ctx.saved_tensors
        kept = rest[ctx.num_parameters :]
        every = grads if walk.moves_condition else (grads[0], None, grads[1], None)
        found: dict[int, Tensor] = {}
        pieces = zip(walk.chunks(z, c, *every), _unflatten(kept, ctx.shape), strict=True)
        with ctx.autocast:
            returned = [
                walk.back(Passed(out, c_out, *change, *own), (grad, grad_c), found)
                for (out, c_out, grad, grad_c, *change), own in pieces
            ]
            x, c_in, grad_x, grad_c = (_join([one[i] for one in returned]) for i in range(4))
            errors = [error for one in returned for error in one.errors]
            errors.append(estimated_error(prints, _fingerprints(walk, x, c_in)))
            outputs = [z, c] if walk.moves_condition else [z]
            walk.guard.observe(torch.cat(errors), outputs, working_dtype(z))
        if grad_c is not None:
            grad_c = grad_c.to(c.dtype)
        # Not the saved parameters: hooks on saved tensors may hand back others in their place.
        return None, grad_x, grad_c, *(found.get(id(parameter)) for parameter in walk.parameters())


def _fingerprints(walk: Walk, x: Tensor, c: Tensor | None) -> Tensor:
    if walk.moves_condition and c is not None:
        return torch.cat((fingerprint(x), fingerprint(c)))
    return fingerprint(x)


def _join(pieces: list[Any]) -> Any:
    """Concatenate along the batch; one piece, or None, as it is."""
    return pieces[0] if len(pieces) == 1 or pieces[0] is None else torch.cat(pieces)


def _add_up(
    found: dict[int, Tensor], parameters: Sequence[nn.Parameter], grads: Sequence[Tensor | None]
) -> None:
    for parameter, grad in zip(parameters, grads, strict=True):
        if grad is not None:
            key = id(parameter)
            found[key] = found[key] + grad if key in found else grad


def _flatten(nested: Any) -> tuple[list[Tensor], Any]:
    """The tensors in nested tuples, and the same tuples with their places in the list."""
    tensors: list[Tensor] = []
    return tensors, _place(nested, tensors)


def _place(item: Any, tensors: list[Tensor]) -> Any:
    # Not a closure: one that calls itself keeps what it holds alive until Python collects garbage.
    if isinstance(item, tuple):
        return tuple(_place(one, tensors) for one in item)
    tensors.append(item)
    return len(tensors) - 1


def _unflatten(tensors: Sequence[Tensor], shape: Any) -> Any:
    """Undo :func:`_flatten`."""
    if isinstance(shape, tuple):
        return tuple(_unflatten(tensors, one) for one in shape)
    return tensors[shape]
