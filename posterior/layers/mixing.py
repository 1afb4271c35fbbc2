"""Matrices over the channels of an image."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from posterior.replay import full_precision


def mix_channels(x: Tensor, matrix: Tensor, shift: Tensor | None = None) -> Tensor:
    """Multiply the channels of every cell, and shift; laid out channels-last, which convolutions like."""
    # Autocast would round the state, and with it the inverse, to half precision.
    with full_precision(x.device):
        return F.linear(x.movedim(1, -1), matrix, shift).movedim(-1, 1)


def channel_products(left: Tensor, right: Tensor) -> Tensor:
    """Sum over cells of left right^T, (C, C) in float64: the gradient of a matrix between them."""
    with full_precision(left.device):
        return (_cells(left).T @ _cells(right)).double()


def _cells(x: Tensor) -> Tensor:
    """View an image as (cells, C)."""
    return x.movedim(1, -1).reshape(-1, x.shape[1])
