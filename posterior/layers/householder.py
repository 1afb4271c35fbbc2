r"""Products of Householder reflections in compact form, any number of them at once.

.. math:: Q = H_1 H_2 \cdots H_R = I - V^T T V, \quad H_i = I - 2 v_i v_i^T, \quad |v_i| = 1

with V the rows v_i and T^-1 = triu(V V^T, 1) + I / 2. Above its diagonal T holds
-4 v_i^T H_{i+1} ... H_{j-1} v_j, so no entry exceeds 4: the form is as stable as the product, for any R.

Source:
    Joffrain et al., Accumulating Householder transformations, revisited, ACM TOMS 2006, theorem 2; the
    gradient: this project's own derivation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Reflections(NamedTuple):
    """Products of R reflections in C dimensions, in float64, with any leading axes."""

    norms: Tensor
    """Norms of the vectors as they came, (..., R, 1)."""
    unit: Tensor
    """Unit vectors V, (..., R, C)."""
    t: Tensor
    """T, (..., R, R)."""


def reflections(vectors: Tensor) -> Reflections:
    """The compact form for vectors (..., R, C), none of them zero."""
    vectors = vectors.double()
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    unit = vectors / norms
    identity = torch.eye(unit.shape[-2], dtype=unit.dtype, device=unit.device)
    system = torch.triu(unit @ unit.mT, 1) + 0.5 * identity
    return Reflections(norms, unit, torch.linalg.solve_triangular(system, identity, upper=True))


def product(compact: Reflections) -> Tensor:
    """Q, (..., C, C)."""
    unit = compact.unit
    identity = torch.eye(unit.shape[-1], dtype=unit.dtype, device=unit.device)
    return identity - unit.mT @ (compact.t @ unit)


def vector_gradients(compact: Reflections, grad_product: Tensor) -> Tensor:
    """Gradient of the vectors (..., R, C), given dL/dQ (..., C, C), in O(C^2 R + C R^2)."""
    norms, unit, t = compact
    # dT = -T dS T with S = T^-1, of which only the strict upper triangle moves.
    tv, ttv = t @ unit, t.mT @ unit
    ttvg = ttv @ grad_product
    upper = torch.triu(ttvg @ tv.mT, 1)
    grad_unit = (upper + upper.mT) @ unit - tv @ grad_product.mT - ttvg
    along = (grad_unit * unit).sum(-1, keepdim=True) * unit
    return (grad_unit - along) / norms
