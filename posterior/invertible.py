"""The contract of every invertible map: value and log-determinant together, in both directions.

A chain of such maps trains in memory that does not grow with its length: :mod:`posterior.reversible` walks it
backwards and asks each layer, through :meth:`Invertible.reverse_step`, for its input and its gradients at
once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from posterior.replay import generator_state, replayed, same_state

AXES = {0: (), 1: ("nx",), 2: ("nx", "nz"), 3: ("nx", "ny", "nz")}
"""Names of the spatial axes by dimension; depth comes last. Without any, images are vectors (B, C)."""

Transform = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
Trace = tuple[Any, ...]
"""What a layer keeps of a call for its reverse step: nested tuples of tensors, often empty."""


class ReverseStep(NamedTuple):
    """What a layer gives back on the way backwards, in this order."""

    input: Tensor
    """The layer's input, rebuilt from its output."""
    grad_input: Tensor
    grad_c: Tensor | None
    """Gradient of the condition; None when there is none or when it needs no gradient."""
    grad_parameters: Sequence[Tensor | None]
    """One for each of :func:`trainable` (layer), in that order; None for a parameter that was not used."""


class Invertible(nn.Module, ABC):
    r"""A bijection of images, given a condition: z = f(x; c) with log|det df/dx| for each sample.

    **To write a layer**: implement ``forward`` and ``inverse``. Both return the log-determinant of *their
    own* direction, shape (B,), so the two sum to zero. Keep no state between calls. ``reverse_step`` and
    ``reverse_step_inverse`` work as inherited at the cost of one more evaluation; override both where the
    inverse and the gradient can share work, and ``record`` where a little memory saves much of it. A layer
    that draws random numbers must draw the same ones in both directions.

    Shapes:
        x, z: (B, C), (B, C, nx), (B, C, nx, nz) or (B, C, nx, ny, nz). c: (B, K, ...) or None. logdet: (B,).
    """

    draws_random: ClassVar[bool] = True
    """Whether a call may draw random numbers; False spares watching the generator."""

    @property
    def needs_whole_batch(self) -> bool:
        """Whether the next call must see the whole batch at once: its statistics initialise the layer."""
        return False

    @abstractmethod
    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x to (z, log|det dz/dx|)."""

    @abstractmethod
    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map z to (x, log|det dx/dz|), the inverse of :meth:`forward` under the same condition."""

    def unrolled(self) -> Sequence[Invertible]:
        """The layers, in order, as which a chain may walk this one; itself, unless it is a chain."""
        return [self]

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """Call :meth:`forward` or :meth:`inverse` and return what the reverse step should know of the call.

        As inherited that is the state of the random generators, where the call drew from them.

        Args:
            x: The input of that direction.
            c: The condition.
            inverse: Call :meth:`inverse`.
            keep: Keep tensors that spare the reverse step part of its work.

        Returns:
            (output, log-determinant, trace).
        """
        call = self.inverse if inverse else self.forward
        if not self.draws_random:
            return *call(x, c), ()
        before = generator_state(x.device)
        out, logdet = call(x, c)
        return out, logdet, () if same_state(before, generator_state(x.device)) else before

    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Rebuild the input of :meth:`forward` from its output and differentiate, in one step.

        Args:
            z: Output of ``forward``.
            c: The condition; its gradient is computed only when ``c.requires_grad``.
            grad_z: Gradient of the loss with respect to z, shape of z.
            grad_logdet: Gradient of the loss with respect to the log-determinant, shape (B,).
            trace: What :meth:`record` returned beside z; without it nothing random may have been drawn.
        """
        with replayed(trace, z.device):
            return _invert_and_recompute(self, (self.inverse, self.forward), (z, c), (grad_z, grad_logdet))

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Rebuild the input z of :meth:`inverse` from its output x and differentiate: the mirrored step."""
        with replayed(trace, x.device):
            return _invert_and_recompute(self, (self.forward, self.inverse), (x, c), (grad_x, grad_logdet))


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """Parameters that need a gradient, each once, in the order of ``module.parameters()``."""
    found: dict[int, nn.Parameter] = {}
    _collect(module, found)
    return list(found.values())


def _collect(module: nn.Module, found: dict[int, nn.Parameter]) -> None:
    # nn.Module.parameters() builds every name; this runs for every layer at every step.
    for parameter in module._parameters.values():
        if parameter is not None and parameter.requires_grad:
            found[id(parameter)] = parameter
    for child in module._modules.values():
        if child is not None:
            _collect(child, found)


def vector_jacobian(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], grad_outputs: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    """Gradient of sum(outputs * grad_outputs) for each input; None where there is none."""
    needed = [(out, grad) for out, grad in zip(outputs, grad_outputs, strict=True) if out.requires_grad]
    if not needed or not inputs:
        return [None] * len(inputs)
    outs, grads = zip(*needed, strict=True)
    return torch.autograd.grad(outs, tuple(inputs), grads, allow_unused=True)


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """View values of shape (B,) as (B, 1, ...) so that they broadcast over the image ``like``."""
    return values.view(-1, *(1,) * (like.ndim - 1))


def channels_last(image: Tensor) -> Tensor:
    """The image in the one layout that conditioners see, channels innermost; a copy only where it is not.

    Convolutions run fastest so, and a layer that draws random numbers in the order of memory, such as
    dropout, draws the same ones for an image however that came about.
    """
    if image.ndim == 4:
        return image.contiguous(memory_format=torch.channels_last)
    return image.movedim(1, -1).contiguous().movedim(-1, 1)


def check_image(name: str, image: Tensor, channels: int, ndim: int) -> None:
    """Raise a ValueError unless ``image`` has shape (B, channels, and ``ndim`` spatial axes)."""
    if image.ndim != ndim + 2 or image.shape[1] != channels:
        expected = ", ".join(("B", str(channels), *AXES[ndim]))
        raise ValueError(f"expected {name} of shape ({expected}), got {tuple(image.shape)}")


def check_ndim(ndim: int, *, vectors: bool = False) -> None:
    """Raise a ValueError unless there are one to three spatial axes, or none where vectors are welcome."""
    if ndim not in AXES or not (ndim or vectors):
        raise ValueError(f"expected ndim 1, 2 or 3{', or 0 for vectors' if vectors else ''}, got {ndim}")


def _invert_and_recompute(
    layer: Invertible,
    directions: tuple[Transform, Transform],
    point: tuple[Tensor, Tensor | None],
    grads: tuple[Tensor, Tensor],
) -> ReverseStep:
    """Undo the call without a graph, repeat it with one, and differentiate that: right for any layer."""
    undo, redo = directions
    out, c = point
    devices = [] if out.device.type == "cpu" else [out.device]
    # The fork makes the second evaluation draw what the first one drew (dropout in a conditioner).
    with torch.no_grad(), torch.random.fork_rng(devices, device_type=out.device.type):
        rebuilt, _ = undo(out, c)
    with torch.enable_grad():
        x = rebuilt.detach().requires_grad_()
        condition = None if c is None else c.detach().requires_grad_(c.requires_grad)
        outputs = redo(x, condition)
    wanted = [] if condition is None or not condition.requires_grad else [condition]
    found = vector_jacobian(outputs, [x, *wanted, *trainable(layer)], grads)
    grad_x, grad_c = found[0], found[1] if wanted else None
    return ReverseStep(
        x.detach(), torch.zeros_like(x) if grad_x is None else grad_x, grad_c, found[1 + len(wanted) :]
    )
