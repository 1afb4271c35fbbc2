"""What conditioners and summary networks are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posterior.invertible import check_ndim

ConditionerFactory = Callable[[int, int], nn.Module]
"""Builds a conditioner from its number of input channels and of output channels."""

_CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_LAYOUTS = {1: torch.preserve_format, 2: torch.channels_last, 3: torch.channels_last_3d}
_DROPOUTS: dict[int, type[nn.Module]] = {
    0: nn.Dropout,
    1: nn.Dropout1d,
    2: nn.Dropout2d,
    3: nn.Dropout3d,
}


@final
@dataclass(frozen=True)
class Activation:
    """A function of one number, written so that a hidden image need not be copied.

    Attributes:
        value: The function; ``inplace`` overwrites its argument.
        pull: Overwrites the gradient behind it (first) by that before it, given the input (second).
        by_output: Whether the output will do for the input in ``pull``, so that the input can be overwritten.
    """

    value: Callable[..., Tensor]
    pull: Callable[[Tensor, Tensor], Tensor]
    by_output: bool


ACTIVATIONS = {
    "silu": Activation(
        F.silu,
        lambda grad, u: torch.ops.aten.silu_backward.grad_input(grad, u, grad_input=grad),
        by_output=False,
    ),
    "relu": Activation(
        F.relu,
        lambda grad, u: torch.ops.aten.threshold_backward.grad_input(grad, u, 0, grad_input=grad),
        by_output=True,
    ),
}


def convolution(
    in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1, ndim: int = 2
) -> nn.Module:
    """A convolution over ``ndim`` axes; an odd kernel keeps the size at stride 1."""
    check_ndim(ndim)
    padding = kernel // 2 if kernel % 2 else 0
    layer = _CONVOLUTIONS[ndim](in_channels, out_channels, kernel, stride, padding)
    if kernel == 1:  # one order of memory, but torch's replicas want gradients and weights of equal strides
        return layer
    # Images come channels-last; weights that do too need no reordering at every call.
    return cast("Any", layer).to(memory_format=_LAYOUTS[ndim])


def feature_dropout(probability: float, ndim: int) -> nn.Module:
    """Dropout of whole feature maps: neighbouring cells carry the same information."""
    return _DROPOUTS[ndim](probability) if probability else nn.Identity()


def zero_initialised(layer: nn.Module) -> nn.Module:
    """The layer with all its parameters set to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def outer_channels(conditioner: nn.Module) -> int:
    """Channels in and out of a network that begins with ``first`` and ends with ``head``."""
    first, head = cast("nn.Conv2d", conditioner.first), cast("nn.Conv2d", conditioner.head)
    return first.in_channels + head.out_channels


def pad_to_multiple(y: Tensor, factor: int) -> Tensor:
    """Repeat the last cells of every axis until ``factor`` divides its size."""
    excess = [-size % factor for size in y.shape[2:]]
    for axis, extra in enumerate(excess, start=2):
        if extra:
            last = y.narrow(axis, y.shape[axis] - 1, 1)
            y = torch.cat((y, last.expand(*y.shape[:axis], extra, *y.shape[axis + 1 :])), axis)
    return y


def cut_to_size(y: Tensor, like: Tensor) -> Tensor:
    """Undo :func:`pad_to_multiple`: keep the first cells of every axis, as many as ``like`` has."""
    for axis, size in enumerate(like.shape[2:], start=2):
        y = y.narrow(axis, 0, size)
    return y
