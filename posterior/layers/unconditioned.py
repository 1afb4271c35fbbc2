"""A layer in a chain whose condition is not for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from torch import Tensor

from posterior.invertible import Invertible, ReverseStep, Trace


@final
class Unconditioned(Invertible):
    """A layer or chain that is not handed the condition of the chain around it.

    Args:
        inner: The layer or chain.

    Shapes:
        x, z: as those of ``inner``. logdet: (B,). The condition is not used.

    Example:
        >>> import torch
        >>> from posterior.layers.actnorm import ActNorm
        >>> z, logdet = Unconditioned(ActNorm(3))(torch.randn(2, 3, 4, 4), torch.randn(2, 100))
    """

    def __init__(self, inner: Invertible) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the inner map."""
        return self.inner(x)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the inner inverse."""
        return self.inner.inverse(z)

    @property
    def needs_whole_batch(self) -> bool:
        """As the inner map."""
        return self.inner.needs_whole_batch

    def unrolled(self) -> Sequence[Invertible]:
        """The inner layers, none of them handed the condition."""
        leaves = self.inner.unrolled()
        if len(leaves) == 1 and leaves[0] is self.inner:
            return [self]
        return [Unconditioned(leaf) for leaf in leaves]

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """As the inner map."""
        return self.inner.record(x, inverse=inverse, keep=keep)

    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The inner reverse step."""
        return self.inner.reverse_step(z, None, grad_z, grad_logdet, trace)

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The inner reverse step of the inverse direction."""
        return self.inner.reverse_step_inverse(x, None, grad_x, grad_logdet, trace)
