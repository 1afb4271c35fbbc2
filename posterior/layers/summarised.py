"""A layer or network whose condition is a learned summary of what it is given."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from posterior.invertible import Invertible, ReverseStep, Trace, channels_last, trainable, vector_jacobian
from posterior.replay import generator_state, replayed, same_state


@final
class Summarised(Invertible):
    r"""Condition a map on a summary: z = f(x; h(y)).

    The summary is an ordinary module, trained jointly. It may change channels and size, so that observations
    of any shape condition an image. Outside of a chain it is evaluated once, by plain autograd; as a
    member of a chain it is evaluated again on the way back, as everything there.

    Args:
        inner: The layer or network f.
        summary: The module h: y (B, ...) -> c, what ``inner`` takes.

    Shapes:
        x, z: as those of ``inner``. c, here y: (B, ...), what the summary takes. logdet: (B,).

    Raises:
        ValueError: If no y is given.
    """

    def __init__(self, inner: Invertible, summary: nn.Module) -> None:
        super().__init__()
        self.inner, self.summary = inner, summary

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the inner map given h(c)."""
        return self.inner(x, self._summarise(c))

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the inner inverse given h(c)."""
        return self.inner.inverse(z, self._summarise(c))

    @property
    def needs_whole_batch(self) -> bool:
        """As the inner map."""
        return self.inner.needs_whole_batch

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """The trace is (state of the generators before the summary, trace of the inner map)."""
        before = generator_state(x.device)
        summary = self._summarise(c)
        drawn = () if same_state(before, generator_state(x.device)) else before
        out, logdet, trace = self.inner.record(x, summary, inverse=inverse, keep=keep)
        return out, logdet, (drawn, trace)

    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The inner reverse step, then back through the summary."""
        return self._through_summary(z, c, (grad_z, grad_logdet), trace, inverse=False)

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The mirrored step."""
        return self._through_summary(x, c, (grad_x, grad_logdet), trace, inverse=True)

    def _through_summary(
        self, out: Tensor, y: Tensor | None, grads: tuple[Tensor, Tensor], trace: Trace, *, inverse: bool
    ) -> ReverseStep:
        assert y is not None
        drawn, inner_trace = trace or ((), ())
        with replayed(drawn, out.device), torch.enable_grad():
            leaf = y.detach().requires_grad_(y.requires_grad)
            summary = self._summarise(leaf)
        step = self.inner.reverse_step_inverse if inverse else self.inner.reverse_step
        known = summary.detach().requires_grad_(summary.requires_grad)
        x, grad_x, grad_c, found = step(out, known, *grads, inner_trace)
        of_summary = [p for p in trainable(self) if id(p) not in set(map(id, trainable(self.inner)))]
        leaves = [*([leaf] if leaf.requires_grad else []), *of_summary]
        more = vector_jacobian([summary], leaves, [torch.zeros_like(summary) if grad_c is None else grad_c])
        grad_y = more[0] if leaf.requires_grad else None
        values = dict(zip(trainable(self.inner), found, strict=True))
        values |= zip(of_summary, more[len(leaves) - len(of_summary) :], strict=True)
        return ReverseStep(x, grad_x, grad_y, [values[p] for p in trainable(self)])

    def _summarise(self, y: Tensor | None) -> Tensor:
        if y is None:
            raise ValueError("expected an observation to summarise, got None")
        return self.summary(channels_last(y))
