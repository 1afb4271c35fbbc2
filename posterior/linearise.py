"""A conditioner's value and its gradient from one evaluation, the heart of a coupling's reverse step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from posterior.invertible import trainable, vector_jacobian
from posterior.replay import full_precision
from posterior.slabs import Footprint

Pullback = Callable[[Tensor], tuple[Sequence[Tensor | None], Sequence[Tensor | None]]]
"""Maps the gradient of the value to those of the inputs and of the trainable parameters, in order; once."""
Linearised = tuple[Tensor | None, Pullback]


class Conditioner(nn.Module, ABC):
    """A network u -> head(body(u)) whose ``head`` is one linear layer or convolution.

    A coupling that kept what the head gave needs the body alone in its reverse step. Any ``nn.Module`` can be
    a conditioner; this form is cheaper.
    """

    head: nn.Module

    @abstractmethod
    def body(self, u: Tensor) -> Tensor:
        """Everything but the last layer."""

    def forward(self, u: Tensor) -> Tensor:
        """Return head(body(u))."""
        return self.head(self.body(u))

    def footprint(self) -> Footprint | None:
        """What it takes to evaluate on a part of u; None where that must be the whole."""
        return None

    def linearise(self, u: Tensor, *, value: bool) -> Linearised:
        """Evaluate once, on the way to the gradient.

        Args:
            u: The input.
            value: Whether the value is wanted; if not, the head is not evaluated.

        Returns:
            The value or None, and the pullback.
        """
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            hidden = self.body(u)
        with torch.no_grad():
            out = self.head(hidden) if value else None
        mine, heads = trainable(self), trainable(self.head)
        rest = [parameter for parameter in mine if id(parameter) not in set(map(id, heads))]

        def pullback(grad: Tensor) -> tuple[Sequence[Tensor | None], Sequence[Tensor | None]]:
            grad_hidden, *grad_head = linear_backward(self.head, hidden.detach(), grad)
            grad_u, *grad_rest = vector_jacobian([hidden], [u, *rest], [grad_hidden])
            found = dict(zip([*rest, *heads], [*grad_rest, *grad_head], strict=True))
            return [grad_u], [found[parameter] for parameter in mine]

        return out, pullback


class DataConditioner(nn.Module, ABC):
    """A conditioner that takes the fixed part of an image and the condition apart, such as measured data."""

    @abstractmethod
    def forward(self, fixed: Tensor, d: Tensor) -> Tensor:
        """Map the fixed part (B, channels, ...) and the data (B, ...) to the coupling's raw numbers."""


def linearise(module: nn.Module, inputs: Sequence[Tensor], *, value: bool = True) -> Linearised:
    """Evaluate any module once, without touching what made its inputs; see :meth:`Conditioner.linearise`."""
    # A compiled module is asked for its value as it was compiled, and differentiated by what was compiled.
    if isinstance(module, Conditioner) and module._compiled_call_impl is None:
        return module.linearise(*inputs, value=value)
    with torch.enable_grad():
        leaves = [one.detach().requires_grad_() for one in inputs]
        out = module(*leaves)
    parameters = trainable(module)

    def pullback(grad: Tensor) -> tuple[Sequence[Tensor | None], Sequence[Tensor | None]]:
        found = vector_jacobian([out], [*leaves, *parameters], [grad.to(out.dtype)])
        return found[: len(leaves)], found[len(leaves) :]

    return out.detach(), pullback


def working_dtype(u: Tensor) -> torch.dtype:
    """The precision in which autocast would run a convolution of u."""
    kind = u.device.type
    if u.dtype != torch.float32 or not torch.is_autocast_enabled(kind):
        return u.dtype  # autocast leaves float64 alone
    return torch.get_autocast_dtype(kind)


def convolve(layer: nn.Module, u: Tensor, weight: Tensor | None = None) -> Tensor:
    """Apply a convolution layer in the precision of u, whatever that of its parameters; not under autocast.

    Args:
        layer: The convolution.
        u: Its input.
        weight: To be used in place of the layer's own.
    """
    conv = cast("nn.Conv2d", layer)
    weight = conv.weight if weight is None else weight
    bias, padding = conv.bias, cast("list[int]", list(conv.padding))
    return torch.convolution(
        u,
        weight.to(u.dtype),
        None if bias is None else bias.to(u.dtype),
        conv.stride,
        padding,
        conv.dilation,
        False,  # noqa: FBT003 - transposed
        [0] * (u.ndim - 2),
        conv.groups,
    )


def linear_backward(layer: nn.Module, u: Tensor, grad: Tensor, used: Tensor | None = None) -> list[Tensor]:
    """Gradients of u and of the trainable parameters of a convolution or linear layer, without its value.

    All is computed in the precision of u; the parameters' gradients return in their own.

    Args:
        layer: The layer.
        u: Its input.
        grad: Gradient of its output.
        used: The weight that was used in place of the layer's own.
    """
    weight, bias = cast("Tensor", layer.weight), cast("Tensor | None", layer.bias)
    used = weight if used is None else used
    grad = grad.to(u.dtype)
    if isinstance(layer, nn.Linear):
        with full_precision(u.device):
            grad_u, grad_weight, grad_bias = _linear(u, used, grad)
    else:  # autocast does not know this operator
        grad_u, grad_weight, grad_bias = _convolution(cast("Any", layer), u, grad, used)
    pairs = ((weight, grad_weight), (bias, grad_bias))
    return [grad_u, *(g.to(p.dtype) for p, g in pairs if p is not None and p.requires_grad)]


def _linear(u: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    rows, row_grads = u.reshape(-1, u.shape[-1]), grad.reshape(-1, grad.shape[-1])
    return grad @ weight.to(u.dtype), row_grads.T @ rows, row_grads.sum(0)


def _convolution(layer: nn.Conv2d, u: Tensor, grad: Tensor, used: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What autograd itself calls for a convolution; the only way to have it without the value."""
    weight, bias = layer.weight, layer.bias
    mask = [True, weight.requires_grad, bias is not None and bias.requires_grad]
    return torch.ops.aten.convolution_backward.default(
        grad,
        u,
        used.to(u.dtype),
        None if bias is None else list(bias.shape),
        list(layer.stride),
        list(cast("Sequence[int]", layer.padding)),
        list(layer.dilation),
        False,  # noqa: FBT003 - transposed
        [0] * (u.ndim - 2),
        layer.groups,
        mask,
    )
