"""The contract of every invertible map: value and log-determinant together, in both directions.

A chain of such maps trains in memory that does not grow with its length: :mod:`posterior.reversible` walks it
backwards and asks each layer, through :meth:`Invertible.reverse_step`, for its input and its gradients at
once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

AXES = {1: ("nx",), 2: ("nx", "nz"), 3: ("nx", "ny", "nz")}
"""Names of the spatial axes by dimension; depth comes last."""

Transform = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


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
    inverse and the gradient can share work. A layer that draws random numbers must draw the same ones in both
    directions.

    Shapes:
        x, z: (B, C, nx), (B, C, nx, nz) or (B, C, nx, ny, nz). c: (B, K, ...) or None. logdet: (B,).
    """

    @abstractmethod
    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x to (z, log|det dz/dx|)."""

    @abstractmethod
    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map z to (x, log|det dx/dz|), the inverse of :meth:`forward` under the same condition."""

    def reverse_step(self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor) -> ReverseStep:
        """Rebuild the input of :meth:`forward` from its output and differentiate, in one step.

        Args:
            z: Output of ``forward``.
            c: The condition; its gradient is computed only when ``c.requires_grad``.
            grad_z: Gradient of the loss with respect to z, shape of z.
            grad_logdet: Gradient of the loss with respect to the log-determinant, shape (B,).
        """
        return _invert_and_recompute(self, (self.inverse, self.forward), (z, c), (grad_z, grad_logdet))

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor
    ) -> ReverseStep:
        """Rebuild the input z of :meth:`inverse` from its output x and differentiate: the mirrored step."""
        return _invert_and_recompute(self, (self.forward, self.inverse), (x, c), (grad_x, grad_logdet))


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """Parameters that need a gradient, each once, in the order of ``module.parameters()``."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


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


def check_image(name: str, image: Tensor, channels: int, ndim: int) -> None:
    """Raise a ValueError unless ``image`` has shape (B, channels, and ``ndim`` spatial axes)."""
    if image.ndim != ndim + 2 or image.shape[1] != channels:
        expected = ", ".join(("B", str(channels), *AXES[ndim]))
        raise ValueError(f"expected {name} of shape ({expected}), got {tuple(image.shape)}")


def check_ndim(ndim: int) -> None:
    """Raise a ValueError unless there are one, two or three spatial axes."""
    if ndim not in AXES:
        raise ValueError(f"expected ndim 1, 2 or 3, got {ndim}")


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
