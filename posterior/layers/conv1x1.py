"""Orthogonal mixing of channels: a 1x1 convolution made of Householder reflections."""

from __future__ import annotations

from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posterior.invertible import Invertible, ReverseStep, check_image, check_ndim


@final
class Conv1x1(Invertible):
    r"""Multiply the channels of every cell by an orthogonal matrix, a product of R Householder reflections.

    .. math:: z_p = Q x_p, \qquad Q = H_1 H_2 \cdots H_R, \quad H_i = I - 2 v_i v_i^T, \quad |v_i| = 1

    The log-determinant is zero and the inverse is the transpose. The product is evaluated at once in its
    compact form Q = I - V^T T V with V the rows v_i and T^-1 = triu(V V^T, 1) + I / 2, in float64, then
    rounded to the image's precision.

    Args:
        channels: Number of channels C.
        reflectors: Number R of reflections; C of them reach every orthogonal matrix of their sign, and are
            the default. Fewer tie the matrix down; the cost hardly depends on it.
        ndim: Number of spatial axes, 1 to 3.

    Shapes:
        x, z: (B, C, ...). logdet: (B,), zeros. The condition is not used.

    Raises:
        ValueError: If ``reflectors`` is not in 1..C.

    Source:
        Tomczak and Welling, Improving variational auto-encoders using Householder flow, 2016; compact form:
        Joffrain et al., Accumulating Householder transformations, revisited, ACM TOMS 2006, theorem 2.
    """

    def __init__(self, channels: int, *, reflectors: int | None = None, ndim: int = 2) -> None:
        super().__init__()
        check_ndim(ndim)
        reflectors = channels if reflectors is None else reflectors
        if not 1 <= reflectors <= channels:
            raise ValueError(f"expected 1 to {channels} reflectors for {channels} channels, got {reflectors}")
        self.channels, self.ndim = channels, ndim
        self.vectors = nn.Parameter(torch.randn(reflectors, channels))

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (Q x, 0)."""
        check_image("x", x, self.channels, self.ndim)
        return _multiply(x, _matrix(self._compact(), x)), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (Q^T z, 0)."""
        check_image("z", z, self.channels, self.ndim)
        return _multiply(z, _matrix(self._compact(), z).T), z.new_zeros(z.shape[0])

    @torch.no_grad()
    def reverse_step(self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor) -> ReverseStep:
        """Q^T undoes both: x = Q^T z, dL/dx = Q^T dL/dz, dL/dQ = sum_p dL/dz_p x_p^T."""
        compact = self._compact()
        matrix = _matrix(compact, z)
        x, grad_x = _multiply(z, matrix.T), _multiply(grad_z, matrix.T)
        return ReverseStep(x, grad_x, None, self._parameter_gradients(compact, grad_z, x))

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor
    ) -> ReverseStep:
        """The mirrored step, x = Q^T z: dL/dQ = sum_p z_p (dL/dx_p)^T."""
        compact = self._compact()
        matrix = _matrix(compact, x)
        z, grad_z = _multiply(x, matrix), _multiply(grad_x, matrix)
        return ReverseStep(z, grad_z, None, self._parameter_gradients(compact, z, grad_x))

    def _compact(self) -> _Compact:
        vectors = self.vectors.double()
        norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        unit = vectors / norms
        identity = torch.eye(len(unit), dtype=unit.dtype, device=unit.device)
        system = torch.triu(unit @ unit.T, 1) + 0.5 * identity
        return _Compact(norms, unit, torch.linalg.solve_triangular(system, identity, upper=True))

    def _parameter_gradients(self, compact: _Compact, left: Tensor, right: Tensor) -> list[Tensor]:
        """Gradient of the vectors from dL/dQ = sum_p left_p right_p^T, in O(C^2 R)."""
        if not self.vectors.requires_grad:
            return []
        norms, unit, t = compact
        with torch.autocast(left.device.type, enabled=False):
            g = (_cells(left).T @ _cells(right)).double()
        # Q = I - V^T T V and dT = -T dS T with S = T^-1, of which only the strict upper triangle moves.
        tv, ttv = t @ unit, t.T @ unit
        ttvg = ttv @ g
        upper = torch.triu(ttvg @ tv.T, 1)
        grad_unit = (upper + upper.T) @ unit - tv @ g.T - ttvg
        along = (grad_unit * unit).sum(1, keepdim=True) * unit
        return [((grad_unit - along) / norms).to(self.vectors.dtype)]


class _Compact(NamedTuple):
    """Norms (R, 1), unit vectors V (R, C) and T (R, R) of a product of reflections, in float64."""

    norms: Tensor
    unit: Tensor
    t: Tensor


def _matrix(compact: _Compact, like: Tensor) -> Tensor:
    """Q (C, C) in the precision of ``like``; autocast leaves float64 alone."""
    unit = compact.unit
    identity = torch.eye(unit.shape[1], dtype=unit.dtype, device=unit.device)
    return torch.addmm(identity, unit.T, compact.t @ unit, alpha=-1.0).to(like.dtype)


def _multiply(x: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the channels of every cell; the result is laid out channels-last, which convolutions like."""
    # Autocast would round the state, and with it the inverse, to half precision.
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x.movedim(1, -1), matrix).movedim(-1, 1)


def _cells(x: Tensor) -> Tensor:
    """View an image as (cells, C)."""
    return x.movedim(1, -1).reshape(-1, x.shape[1])
