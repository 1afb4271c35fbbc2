"""General mixing of channels: a 1x1 convolution with an invertible matrix in LU form."""

from __future__ import annotations

import math
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from posterior.invertible import Invertible, ReverseStep, Trace, check_image, check_ndim
from posterior.layers.mixing import channel_products, mix_channels


@final
class Conv1x1LU(Invertible):
    r"""Multiply the channels of every cell by an invertible matrix that is kept as its LU factors.

    .. math::
        z_p = W x_p, \qquad W = P L\,(U + \operatorname{diag}(\sigma e^{s})), \qquad
        \log|\det| = n \sum_i s_i

    with n the number of cells, P a fixed permutation, L unit lower triangular, U strictly upper triangular
    and sigma fixed signs. The start is a random rotation. W and its inverse, by two triangular solves, are
    made in float64 and rounded to the image's precision.

    Args:
        channels: Number of channels C.
        frozen: Keep the random rotation of the start: its factors become a buffer, saved but never trained.
        ndim: Number of spatial axes, 1 to 3, or 0 for vectors.

    Attributes:
        factors: (C, C), packed as LAPACK does: L below the diagonal, U above it, and s on it.
        permutation: (C,), the row of L (U + ...) that each row of W is.
        sign: (C,), sigma.

    Shapes:
        x, z: (B, C, ...). logdet: (B,). The condition is not used.

    Source:
        Kingma and Dhariwal, Glow, NeurIPS 2018, section 3.2, eq. (10) and (11).
    """

    draws_random = False
    factors: Tensor
    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int, *, frozen: bool = False, ndim: int = 2) -> None:
        super().__init__()
        check_ndim(ndim, vectors=True)
        self.channels, self.ndim = channels, ndim
        permutation, lower, upper = torch.linalg.lu(_random_rotation(channels))
        diagonal = upper.diagonal()
        factors = lower.tril(-1) + upper.triu(1) + torch.diag(diagonal.abs().log())
        factors = factors.to(torch.get_default_dtype())
        if frozen:
            self.register_buffer("factors", factors)
        else:
            self.factors = nn.Parameter(factors)
        self.register_buffer("permutation", permutation.argmax(1))
        self.register_buffer("sign", diagonal.sign().to(factors.dtype))

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (W x, n sum(s))."""
        check_image("x", x, self.channels, self.ndim)
        return mix_channels(x, self._matrix(self._unpack()).to(x.dtype)), self._logdet(x)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (W^-1 z, -n sum(s))."""
        check_image("z", z, self.channels, self.ndim)
        return mix_channels(z, self._inverse_matrix(self._unpack()).to(z.dtype)), -self._logdet(z)

    @torch.no_grad()
    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Closed form: x = W^-1 z, dL/dx = W^T dL/dz, dL/dW = sum_p dL/dz_p x_p^T."""
        factors = self._unpack()
        x = mix_channels(z, self._inverse_matrix(factors).to(z.dtype))
        grad_x = mix_channels(grad_z, self._matrix(factors).to(z.dtype).T)
        if not self.factors.requires_grad:
            return ReverseStep(x, grad_x, None, [])
        grad_matrix, grad_sum = channel_products(grad_z, x), _cells(x) * grad_logdet.sum()
        return ReverseStep(x, grad_x, None, [self._pack_gradients(factors, grad_matrix, grad_sum)])

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The mirrored step, x = W^-1 z: dL/dz = W^-T dL/dx, dL/dW = -sum_p dL/dz_p x_p^T."""
        factors = self._unpack()
        z = mix_channels(x, self._matrix(factors).to(x.dtype))
        grad_z = mix_channels(grad_x, self._inverse_matrix(factors).to(x.dtype).T)
        if not self.factors.requires_grad:
            return ReverseStep(z, grad_z, None, [])
        grad_matrix, grad_sum = -channel_products(grad_z, x), -_cells(x) * grad_logdet.sum()
        return ReverseStep(z, grad_z, None, [self._pack_gradients(factors, grad_matrix, grad_sum)])

    def _unpack(self) -> _Factors:
        packed = self.factors.double()
        identity = torch.eye(self.channels, dtype=packed.dtype, device=packed.device)
        diagonal = self.sign * packed.diagonal().exp()
        return _Factors(packed.tril(-1) + identity, packed.triu(1) + torch.diag(diagonal))

    def _matrix(self, factors: _Factors) -> Tensor:
        return (factors.lower @ factors.upper)[self.permutation]

    def _inverse_matrix(self, factors: _Factors) -> Tensor:
        lower, upper = factors
        transposed = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)[self.permutation].T
        half = torch.linalg.solve_triangular(lower, transposed, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, half, upper=True)

    def _pack_gradients(self, factors: _Factors, grad_matrix: Tensor, grad_sum: Tensor) -> Tensor:
        """Gradient of the packed factors from those of W and of sum(s)."""
        lower, upper = factors
        grad_product = grad_matrix[self.permutation.argsort()]
        grad_upper = lower.T @ grad_product
        grad_log = grad_upper.diagonal() * upper.diagonal() + grad_sum
        packed = (grad_product @ upper.T).tril(-1) + grad_upper.triu(1) + torch.diag(grad_log)
        return packed.to(self.factors.dtype)

    def _logdet(self, x: Tensor) -> Tensor:
        return (self.factors.diagonal().sum() * _cells(x)).to(x.dtype).expand(x.shape[0])


class _Factors(NamedTuple):
    """L with its unit diagonal, and U with the diagonal sigma e^s, (C, C) in float64."""

    lower: Tensor
    upper: Tensor


def _random_rotation(size: int) -> Tensor:
    """A rotation drawn uniformly, in float64."""
    q, r = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))
    # The signs make the draw uniform (Mezzadri, Notices of the AMS 2007); the last one makes it a rotation.
    q = q * r.diagonal().sign()
    q[:, -1] *= torch.linalg.det(q).sign()
    return q


def _cells(image: Tensor) -> int:
    return math.prod(image.shape[2:])
