"""A layer or network the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from torch import Tensor

from posterior.invertible import Invertible, ReverseStep, Trace


@final
class Inverse(Invertible):
    """The inverse of an invertible map, sharing its weights: forward and inverse change places.

    It trains in that direction too, in the same memory.

    Args:
        inner: The layer or network.

    Shapes:
        x, z: as those of ``inner``, exchanged. logdet: (B,), of the call's own direction.

    Example:
        >>> from posterior.layers.actnorm import ActNorm
        >>> layer = ActNorm(3)
        >>> z, logdet = Inverse(layer)(torch.randn(2, 3, 4, 4))
    """

    def __init__(self, inner: Invertible) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the inner inverse."""
        return self.inner.inverse(x, c)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the inner forward map."""
        return self.inner(z, c)

    @property
    def needs_whole_batch(self) -> bool:
        """As the inner map."""
        return self.inner.needs_whole_batch

    def unrolled(self) -> Sequence[Invertible]:
        """The inner layers, last to first, each the other way round."""
        leaves = self.inner.unrolled()
        if len(leaves) == 1 and leaves[0] is self.inner:
            return [self]
        return [Inverse(leaf) for leaf in reversed(leaves)]

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """As the inner map in the other direction."""
        return self.inner.record(x, c, inverse=not inverse, keep=keep)

    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The inner reverse step of the inverse direction."""
        return self.inner.reverse_step_inverse(z, c, grad_z, grad_logdet, trace)

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The inner reverse step of the forward direction."""
        return self.inner.reverse_step(x, c, grad_x, grad_logdet, trace)
