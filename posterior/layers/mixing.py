"""Matrices over the channels of an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from posterior.replay import full_precision


def mix_channels(x: Tensor, matrix: Tensor, shift: Tensor | None = None) -> Tensor:
    """Multiply the channels of every cell, and shift; matrix and shift are taken in the type of x.

    The result is laid out channel by channel: halves of it are then whole blocks of memory, which a coupling
    splits, changes and joins much faster than every other few numbers. A batch of vectors is one matrix.
    """
    matrix, shift = matrix.to(x.dtype), None if shift is None else shift.to(x.dtype)
    # Autocast would round the state, and with it the inverse, to half precision.
    with full_precision(x.device):
        if x.ndim == 2:
            return F.linear(x, matrix, shift)
        cells, matrices = _cells(x), matrix.expand(x.shape[0], -1, -1)
        if shift is None:
            return torch.bmm(matrices, cells).view(x.shape)
        return torch.baddbmm(shift[:, None], matrices, cells).view(x.shape)


def channel_products(left: Tensor, right: Tensor) -> Tensor:
    """Sum over cells of left right^T, (C, C) in float64: the gradient of a matrix between them."""
    with full_precision(left.device):
        if left.ndim == 2:
            return (left.T @ right).double()
        return torch.bmm(_cells(left), _cells(right).mT).sum(0).double()


def channel_sums(x: Tensor) -> Tensor:
    """Sum over samples and cells, (C,) in float64: the gradient of a shift."""
    return _cells(x).sum((0, 2)).double()


def _cells(x: Tensor) -> Tensor:
    """View an image as (B, C, cells)."""
    return x.reshape(*x.shape[:2], -1)
