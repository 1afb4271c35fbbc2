"""Two images carried through one chain together: one goes its own way, the other is changed given it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, cast, final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from posterior.drift import DriftGuard, declared_precisions
from posterior.invertible import Invertible
from posterior.reversible import MemoryLike, Sequential, as_memory, refuse_running_statistics
from posterior.walk import Chain, Step


class Lanes(NamedTuple):
    """The two images after a call, and the log-determinant of each one's map, shape (B,)."""

    x: Tensor
    y: Tensor
    logdet_x: Tensor
    logdet_y: Tensor


@final
class TwoLanes(nn.Module):
    r"""A reversible chain on a pair of images.

    .. math:: y_{k+1} = g_k(y_k) \quad \text{or} \quad x_{k+1} = f_k(x_k) \text{ or } f_k(x_k; y_k)

    The Jacobian of (x, y) is block-triangular, so the two log-determinants together are that of the joint
    map, and ``logdet_x`` alone is that of x -> z_x given y. Memory does not grow with the number of steps
    under "invert", in either direction.

    Args:
        steps: :class:`posterior.walk.Step`\ s; those with ``on_condition`` map y by themselves, the others
            map x, unless told otherwise under the condition y as it is at that point of the chain.
        memory: A mode, or a :class:`posterior.reversible.Memory` with more to choose.

    Shapes:
        x: (B, C, ...), y: (B, K, ...); sizes may differ where the layers of x take care of that.

    Raises:
        ValueError: If there is no step, or a layer has running statistics.

    Source:
        Kruse et al., HINT: Hierarchical invertible neural transport for density estimation and Bayesian
        inference, AAAI 2021, section 3.3.
    """

    def __init__(self, steps: Iterable[Step], memory: MemoryLike = "invert") -> None:
        super().__init__()
        leaves = [Step(leaf, *kind) for layer, *kind in steps for leaf in layer.unrolled()]
        if not leaves:
            raise ValueError("expected at least one step, got none")
        self.layers = nn.ModuleList(leaf.layer for leaf in leaves)
        self._kinds = [(leaf.on_condition, leaf.given_condition) for leaf in leaves]
        self.memory = as_memory(memory)
        self._guard = DriftGuard(self.memory.drift_tolerance, declared_precisions(self))
        refuse_running_statistics(self)
        self.memory.limit(self)

    def forward(self, x: Tensor, y: Tensor) -> Lanes:
        """Apply every step, first to last."""
        return self._apply_chain(x, y, inverse=False)

    def inverse(self, x: Tensor, y: Tensor) -> Lanes:
        """Undo every step, last to first."""
        return self._apply_chain(x, y, inverse=True)

    def forward_y(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Take y alone through its steps: (z_y, log-determinant)."""
        return self._lane_y().forward(y)

    def inverse_y(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Take z_y alone back through its steps: (y, log-determinant)."""
        return self._lane_y().inverse(y)

    @property
    def drift(self) -> float | None:
        """Relative error of the inputs that the latest backward pass rebuilt; None before any."""
        return self._guard.latest

    def _apply_chain(self, x: Tensor, y: Tensor, *, inverse: bool) -> Lanes:
        steps = self._steps()
        if self.memory.mode == "invert" and torch.is_grad_enabled():
            walk = self.memory.walk(steps, self._guard, inverse=inverse, moves_condition=True)
            return Lanes(*Chain.apply(walk, x, y, *walk.parameters()))
        logdet_x, logdet_y = x.new_zeros(x.shape[0]), y.new_zeros(y.shape[0])
        for layer, on_y, given in reversed(steps) if inverse else steps:
            call = layer.inverse if inverse else layer.forward
            if on_y:
                y, change = self._call(call, y)
                logdet_y = logdet_y + change
            else:
                x, change = self._call(call, x, y) if given else self._call(call, x)
                logdet_x = logdet_x + change
        return Lanes(x, y, logdet_x, logdet_y)

    def _call(self, call: Callable[..., tuple[Tensor, Tensor]], *images: Tensor) -> tuple[Tensor, Tensor]:
        if self.memory.mode == "checkpoint" and torch.is_grad_enabled():
            return checkpoint(call, *images, use_reentrant=False)
        return call(*images)

    def _lane_y(self) -> Sequential:
        return Sequential([step.layer for step in self._steps() if step.on_condition], self.memory)

    def _steps(self) -> list[Step]:
        layers = cast("Sequence[Invertible]", self.layers)
        return [Step(layer, *kind) for layer, kind in zip(layers, self._kinds, strict=True)]
