"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def averaged_copy(module: Module) -> Module:
    """A frozen copy in evaluation mode that :func:`update_average` then keeps up to date."""
    return copy.deepcopy(module).eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, *, decay: float, step: int) -> None:
    r"""Move the average towards the module's weights.

    .. math:: \bar w \leftarrow \beta_t \bar w + (1 - \beta_t) w, \qquad
        \beta_t = \min(\beta, (1 + t) / (10 + t))

    The growing decay forgets the untrained weights within the first steps. Buffers are copied.

    Args:
        average: what :func:`averaged_copy` returned.
        module: the network in training.
        decay: beta, in [0, 1).
        step: t, number of updates before this one.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(module.parameters()), weight)
    for kept, buffer in zip(average.buffers(), module.buffers(), strict=True):
        kept.copy_(buffer)
