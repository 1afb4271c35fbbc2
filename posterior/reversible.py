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

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast, final, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from posterior.drift import DriftGuard, fingerprint
from posterior.invertible import Invertible, trainable
from posterior.replay import GeneratorState, autocast_like_now, generator_state, replayed, same_state

Memory = Literal["invert", "checkpoint", "store"]


@final
class Sequential(Invertible):
    r"""Layers one after the other, differentiated in both directions with the memory of one layer.

    .. math:: z = f_n(\cdots f_1(x; c) \cdots; c), \qquad \log|\det| = \sum_i \log|\det_i|

    What is kept for the backward pass is the choice of ``memory``:

    * ``"invert"``: the output. Inputs are rebuilt; about 4/3 of the multiplications of "store", memory of one
      layer.
    * ``"checkpoint"``: the input of every direct member, which is evaluated again. Memory grows by one image
      a member.
    * ``"store"``: everything, plain autograd. The only one that allows second derivatives through "invert"'s
      layers.

    The choice acts wherever gradients are enabled, in training and in evaluation mode. All three give the
    same gradients, with dropout, autocast, frozen or shared parameters too. Members that are chains
    themselves are walked as part of this one under "invert"; otherwise they follow their own choice.

    Args:
        layers: At least one layer.
        memory: "invert", "checkpoint" or "store".
        drift_tolerance: Relative error of the rebuilt input above which "invert" warns (see :attr:`drift`).

    Shapes:
        x, z: as the layers take and give them. c: handed to every layer, or None. logdet: (B,).

    Raises:
        ValueError: If there is no layer, an unknown memory mode, or a layer with running statistics.
    """

    def __init__(
        self, layers: Iterable[Invertible], memory: Memory = "invert", *, drift_tolerance: float = 1e-3
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.memory = memory
        self._guard = DriftGuard(drift_tolerance)
        if not self.layers:
            raise ValueError("expected at least one layer, got none")
        if memory not in get_args(Memory):
            raise ValueError(f'expected memory "invert", "checkpoint" or "store", got {memory!r}')
        _refuse_running_statistics(self)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply every layer, first to last."""
        return self._apply_chain(x, c, inverse=False)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo every layer, last to first."""
        return self._apply_chain(z, c, inverse=True)

    @property
    def drift(self) -> float | None:
        """Relative error of the input that the latest backward pass rebuilt, the worst sample of it.

        None before any.
        """
        return self._guard.latest

    def _apply_chain(self, x: Tensor, c: Tensor | None, *, inverse: bool) -> tuple[Tensor, Tensor]:
        if self.memory == "invert" and torch.is_grad_enabled():
            run = _Run(tuple(_leaves(self)), inverse=inverse, guard=self._guard)
            return _Chain.apply(run, x, c, *trainable(self))
        logdet = x.new_zeros(x.shape[0])
        members = cast("tuple[Invertible, ...]", tuple(self.layers))
        for layer in reversed(members) if inverse else members:
            call = layer.inverse if inverse else layer
            if self.memory == "checkpoint" and torch.is_grad_enabled():
                x, change = checkpoint(call, x, c, use_reentrant=False)
            else:
                x, change = call(x, c)
            logdet = logdet + change
        return x, logdet


@dataclass(frozen=True)
class _Run:
    """One call of a chain: what the backward pass needs besides tensors."""

    layers: tuple[Invertible, ...]
    inverse: bool
    guard: DriftGuard

    def ahead(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor, list[GeneratorState | None]]:
        """Evaluate the layers; remember the generators' state before each that drew random numbers."""
        logdet = x.new_zeros(x.shape[0])
        states: list[GeneratorState | None] = []
        now = generator_state(x.device)
        for layer in reversed(self.layers) if self.inverse else self.layers:
            x, change = layer.inverse(x, c) if self.inverse else layer(x, c)
            logdet = logdet + change
            before, now = now, generator_state(x.device)
            states.append(None if same_state(before, now) else before)
        return x, logdet, states

    def back(
        self, out: Tensor, c: Tensor | None, grads: tuple[Tensor, Tensor], states: list[GeneratorState | None]
    ) -> tuple[Tensor, Tensor, Tensor | None, dict[nn.Parameter, Tensor]]:
        """Walk from the output to the input; gradients of c and of shared parameters add up on the way."""
        grad, grad_logdet = grads
        grad_c: Tensor | None = None
        found: dict[nn.Parameter, Tensor] = {}
        layers = self.layers if self.inverse else self.layers[::-1]
        for layer, state in zip(layers, reversed(states), strict=True):
            step = layer.reverse_step_inverse if self.inverse else layer.reverse_step
            with replayed(state, out.device):
                out, grad, more_c, more = step(out, c, grad, grad_logdet)
            if more_c is not None:
                # The sum is kept in the state's precision, in memory of its own.
                grad_c = more_c.to(grad.dtype, copy=True) if grad_c is None else grad_c.add_(more_c)
            for parameter, value in zip(trainable(layer), more, strict=True):
                if value is not None:
                    found[parameter] = found[parameter] + value if parameter in found else value
        return out, grad, grad_c, found


@final
class _Chain(torch.autograd.Function):
    """The whole chain as one node of the graph: (x, c, parameters) -> (z, logdet)."""

    @staticmethod
    def forward(
        ctx: Any, run: _Run, x: Tensor, c: Tensor | None, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.run, ctx.autocast = run, autocast_like_now(x.device)
        with autocast_like_now(x.device):
            out, logdet, ctx.states = run.ahead(x, c)
        # Parameters cost nothing here; saving them lets autograd notice an in-place change before the
        # backward pass.
        ctx.save_for_backward(out, c, fingerprint(x), *parameters)
        return out, logdet

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                'memory="invert" gives first derivatives only, and create_graph=True asks for second ones: '
                'build the network with memory="store"'
            )
        out, c, true, *parameters = ctx.saved_tensors
        with ctx.autocast:
            x, grad_x, grad_c, found = ctx.run.back(out, c, (grads[0], grads[1]), ctx.states)
            ctx.run.guard.observe(true, fingerprint(x))
        if grad_c is not None:
            grad_c = grad_c.to(c.dtype)
        return None, grad_x, grad_c, *(found.get(parameter) for parameter in parameters)


def _leaves(chain: Sequential) -> Iterator[Invertible]:
    """The layers of a chain and of the chains in it, in order."""
    for layer in cast("tuple[Invertible, ...]", tuple(chain.layers)):
        if isinstance(layer, Sequential):
            yield from _leaves(layer)
        else:
            yield layer


def _refuse_running_statistics(module: nn.Module) -> None:
    for name, _ in module.named_buffers():
        if name.endswith("running_mean"):
            raise ValueError(
                f"expected layers without running statistics, got {name!r}: a chain evaluates layers twice, "
                "and their inverse must not depend on what they saw before (use GroupNorm or none)"
            )
