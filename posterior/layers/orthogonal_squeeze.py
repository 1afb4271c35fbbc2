"""A squeeze that learns which sub-bands it makes."""

from __future__ import annotations

from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from posterior.invertible import ReverseStep, Trace, check_image
from posterior.layers.householder import Reflections, product, reflections, vector_gradients
from posterior.layers.squeeze import Squeeze, depth_to_space, space_to_depth

Start = Literal["haar", "checkerboard"]


@final
class OrthogonalSqueeze(Squeeze):
    r"""Multiply each block of 2^d cells by a learned orthogonal matrix of its channel.

    .. math:: z_{p, \cdot, c} = Q_c\, x_{p, \cdot, c}, \qquad Q_c = H_1 \cdots H_{2^d}\, S

    for block p and channel c. S is the Haar transform or the identity. The reflections H_i come in equal
    pairs at first, so Q_c starts as S; they reach every rotation of it. Sub-bands are the outer index of the
    new channels, as in :class:`~posterior.layers.squeeze.HaarSqueeze`.

    Args:
        channels: Number of channels C of x.
        ndim: Number of spatial axes d, 1 to 3.
        start: "haar" or "checkerboard", the squeeze that S is.

    Raises:
        ValueError: If the start is neither.

    Source:
        Etmann, Ke and Schoenlieb, iUNets: learnable invertible up- and downsampling for large-scale inverse
        problems, IEEE MLSP 2020, section 3 (there with a matrix exponential).
    """

    def __init__(self, channels: int, ndim: int = 2, *, start: Start = "haar") -> None:
        super().__init__(ndim)
        if start not in get_args(Start):
            raise ValueError(f'expected start "haar" or "checkerboard", got {start!r}')
        self.channels, self.start, self.corners = channels, start, 2**ndim
        pairs = torch.randn(channels, self.corners // 2, self.corners)
        self.vectors = nn.Parameter(pairs.repeat_interleave(2, 1))

    def squeeze(self, x: Tensor) -> Tensor:
        """Rearrange space into channels, then multiply each block."""
        check_image("x", x, self.channels, self.ndim)
        return self._multiply(space_to_depth(x), self._matrices(reflections(self.vectors), x))

    def unsqueeze(self, z: Tensor) -> Tensor:
        """Multiply each block by the transpose, then rearrange channels into space."""
        check_image("z", z, self.corners * self.channels, self.ndim)
        return depth_to_space(self._multiply(z, self._matrices(reflections(self.vectors), z).mT))

    @torch.no_grad()
    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Q^T undoes both: with x in blocks, dL/dQ_c = sum_p dL/dz_pc x_pc^T."""
        compact = reflections(self.vectors)
        transposed = self._matrices(compact, z).mT
        blocks, grad_blocks = self._multiply(z, transposed), self._multiply(grad_z, transposed)
        grads = self._parameter_gradients(compact, grad_z, blocks)
        return ReverseStep(depth_to_space(blocks), depth_to_space(grad_blocks), None, grads)

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The mirrored step: dL/dQ_c = sum_p z_pc dL/dx_pc^T, with dL/dx in blocks."""
        compact = reflections(self.vectors)
        matrices = self._matrices(compact, x)
        grad_blocks = space_to_depth(grad_x)
        z = self._multiply(space_to_depth(x), matrices)
        grads = self._parameter_gradients(compact, z, grad_blocks)
        return ReverseStep(z, self._multiply(grad_blocks, matrices), None, grads)

    def _matrices(self, compact: Reflections, like: Tensor) -> Tensor:
        """Q (C, 2^d, 2^d) in the precision of ``like``."""
        return (product(compact) @ self._start_matrix(compact.unit)).to(like.dtype)

    def _start_matrix(self, like: Tensor) -> Tensor:
        """S (2^d, 2^d), symmetric."""
        matrix = like.new_ones(1, 1)
        if self.start == "checkerboard":
            return torch.eye(self.corners, dtype=like.dtype, device=like.device)
        butterfly = like.new_tensor([[1.0, 1.0], [1.0, -1.0]])
        for _ in range(self.ndim):
            matrix = torch.kron(matrix, butterfly)
        return matrix * 2.0 ** (-0.5 * self.ndim)

    def _multiply(self, z: Tensor, matrices: Tensor) -> Tensor:
        """Multiply the blocks in the channels of z, each by the matrix of its channel."""
        with torch.autocast(z.device.type, enabled=False):
            mixed = torch.einsum("cij,pjc->pic", matrices, self._blocks(z))
        return mixed.reshape(z.movedim(1, -1).shape).movedim(-1, 1)

    def _parameter_gradients(self, compact: Reflections, left: Tensor, right: Tensor) -> list[Tensor]:
        """Gradient of the vectors from dL/dQ_c = sum_p left_pc right_pc^T."""
        if not self.vectors.requires_grad:
            return []
        with torch.autocast(left.device.type, enabled=False):
            grad = torch.einsum("pic,pjc->cij", self._blocks(left), self._blocks(right)).double()
        grad_product = grad @ self._start_matrix(compact.unit).T
        return [vector_gradients(compact, grad_product).to(self.vectors.dtype)]

    def _blocks(self, z: Tensor) -> Tensor:
        """View z as (blocks, 2^d, C)."""
        return z.movedim(1, -1).reshape(-1, self.corners, self.channels)
