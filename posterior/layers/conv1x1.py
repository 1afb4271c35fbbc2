"""Orthogonal mixing of channels: a 1x1 convolution made of Householder reflections."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from posterior.invertible import Invertible, ReverseStep, Trace, check_image, check_ndim
from posterior.layers.householder import Reflections, product, reflections, vector_gradients
from posterior.layers.mixing import channel_products, mix_channels


@final
class Conv1x1(Invertible):
    r"""Multiply the channels of every cell by an orthogonal matrix, a product of R Householder reflections.

    .. math:: z_p = Q x_p, \qquad Q = H_1 H_2 \cdots H_R, \quad H_i = I - 2 v_i v_i^T, \quad |v_i| = 1

    The log-determinant is zero and the inverse is the transpose. The product is evaluated at once, in its
    compact form and in float64 (see :mod:`posterior.layers.householder`), then rounded to the image's
    precision.

    Args:
        channels: Number of channels C.
        reflectors: Number R of reflections, at least 1. C of them reach every orthogonal matrix of their
            sign, and are the default. Fewer tie the matrix down, more only give it more coordinates.
        frozen: Keep the random matrix of the start: its vectors become a buffer, saved but never trained.
        ndim: Number of spatial axes, 1 to 3, or 0 for vectors.

    Shapes:
        x, z: (B, C, ...). logdet: (B,), zeros. The condition is not used.

    Raises:
        ValueError: If there is no reflection.

    Source:
        Tomczak and Welling, Improving variational auto-encoders using Householder flow, 2016.
    """

    draws_random = False
    vectors: Tensor

    def __init__(
        self, channels: int, *, reflectors: int | None = None, frozen: bool = False, ndim: int = 2
    ) -> None:
        super().__init__()
        check_ndim(ndim, vectors=True)
        reflectors = channels if reflectors is None else reflectors
        if reflectors < 1:
            raise ValueError(f"expected at least 1 reflector, got {reflectors}")
        self.channels, self.ndim = channels, ndim
        vectors = torch.randn(reflectors, channels)
        if frozen:
            self.register_buffer("vectors", vectors)
        else:
            self.vectors = nn.Parameter(vectors)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (Q x, 0)."""
        return self.record(x)[:2]

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (Q^T z, 0)."""
        return self.record(z, inverse=True)[:2]

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """Call either direction; the trace may keep the reflections and Q, a few numbers."""
        check_image("z" if inverse else "x", x, self.channels, self.ndim)
        compact = reflections(self.vectors)
        matrix = product(compact).to(x.dtype)
        out = mix_channels(x, matrix.T if inverse else matrix)
        return out, x.new_zeros(x.shape[0]), (*compact, matrix) if keep else ()

    @torch.no_grad()
    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Q^T undoes both: x = Q^T z, dL/dx = Q^T dL/dz, dL/dQ = sum_p dL/dz_p x_p^T."""
        compact, matrix = self._recall(trace, z)
        x, grad_x = mix_channels(z, matrix.T), mix_channels(grad_z, matrix.T)
        return ReverseStep(x, grad_x, None, self._parameter_gradients(compact, grad_z, x))

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The mirrored step, x = Q^T z: dL/dQ = sum_p z_p (dL/dx_p)^T."""
        compact, matrix = self._recall(trace, x)
        z, grad_z = mix_channels(x, matrix), mix_channels(grad_x, matrix)
        return ReverseStep(z, grad_z, None, self._parameter_gradients(compact, z, grad_x))

    def _recall(self, trace: Trace, like: Tensor) -> tuple[Reflections, Tensor]:
        """The reflections and Q, kept or made again."""
        if trace:
            return Reflections(*trace[:3]), trace[3]
        compact = reflections(self.vectors)
        return compact, product(compact).to(like.dtype)

    def _parameter_gradients(self, compact: Reflections, left: Tensor, right: Tensor) -> list[Tensor]:
        """Gradient of the vectors from dL/dQ = sum_p left_p right_p^T; nothing is spent on frozen ones."""
        if not self.vectors.requires_grad:
            return []
        return [vector_gradients(compact, channel_products(left, right)).to(self.vectors.dtype)]
