"""Affine maps of a whole latent image, from a number a cell to a full matrix; all start as the identity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, final

import torch
from torch import Tensor, nn

from posterior.invertible import Invertible
from posterior.layers.pixel_affine import PixelAffine
from posterior.seeding import generator

Family = Literal["diagonal", "low_rank", "householder", "blocks"]


@final
class LowRankAffine(Invertible):
    r"""Stretch the cells, and a few learned directions across them.

    .. math:: z = e^{a} \odot (I + Q (e^{\Lambda} - I) Q^T) x + b, \qquad
        \log|\det| = \sum a + \sum \lambda, \qquad Q^T Q = I_r

    Data that inform r directions narrow the posterior along these alone: of a latent standard normal this is
    then the exact posterior. It can never become singular, unlike ``I + U V^T``.

    Args:
        shape: Shape (C, nx, ...) of a sample.
        rank: Number r of directions.

    Shapes:
        x, z: (B, C, nx, ...), of exactly that size. logdet: (B,). The condition is not used.

    Raises:
        ValueError: If the rank is not in 1 .. D, D the size of a sample.
    """

    draws_random = False

    def __init__(self, shape: tuple[int, ...], rank: int) -> None:
        super().__init__()
        size = math.prod(shape)
        if not 1 <= rank <= size:
            raise ValueError(f"expected a rank of 1 to {size}, the size of a sample, got {rank}")
        self.cells = PixelAffine(shape)
        self.directions = nn.Parameter(torch.randn(size, rank, generator=generator(0, size, rank)))
        self.log_stretch = nn.Parameter(torch.zeros(rank))

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Stretch along the directions, then cell by cell."""
        self.cells.check("x", x)
        z, logdet = self.cells(self._stretched(x, self.log_stretch))
        return z, logdet + self.log_stretch.sum()

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo the cells, then the directions."""
        x, logdet = self.cells.inverse(z)
        return self._stretched(x, -self.log_stretch), logdet - self.log_stretch.sum()

    def _stretched(self, image: Tensor, log_stretch: Tensor) -> Tensor:
        basis, _ = torch.linalg.qr(self.directions)
        flat = image.flatten(1)
        return (flat + (flat @ basis * log_stretch.expm1()) @ basis.T).view(image.shape)


@final
class HouseholderAffine(Invertible):
    r"""Stretch along learned axes: a number a cell, then a product of reflections, then a shift.

    .. math:: z = H_1 \cdots H_R (e^{a} \odot x) + b, \qquad \log|\det| = \sum a, \qquad
        H_i = I - 2 v_i v_i^T / |v_i|^2

    Args:
        shape: Shape (C, nx, ...) of a sample.
        reflections: Number R, even: they start in equal pairs, which cancel.

    Shapes:
        x, z: (B, C, nx, ...), of exactly that size. logdet: (B,). The condition is not used.

    Raises:
        ValueError: If R is odd or not positive.

    Source:
        Tomczak and Welling, Improving variational auto-encoders using Householder flow, 2016.
    """

    draws_random = False

    def __init__(self, shape: tuple[int, ...], reflections: int) -> None:
        super().__init__()
        if reflections < 2 or reflections % 2:
            raise ValueError(f"expected an even number of reflections, at least 2, got {reflections}")
        self.cells = PixelAffine(shape)
        self.cells.bias.requires_grad_(False)  # noqa: FBT003 - torch's own signature
        self.bias = nn.Parameter(torch.zeros(shape))
        size = math.prod(shape)
        half = torch.randn(reflections // 2, 1, size, generator=generator(0, size, reflections))
        self.vectors = nn.Parameter(half.expand(-1, 2, -1).flatten(0, 1).clone())

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Stretch, reflect, shift."""
        z, logdet = self.cells(x)
        return self._reflected(z, reverse=True) + self.bias, logdet

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo the shift, the reflections and the stretch."""
        self.cells.check("z", z)
        return self.cells.inverse(self._reflected(z - self.bias, reverse=False))

    def _reflected(self, image: Tensor, *, reverse: bool) -> Tensor:
        flat = image.flatten(1)
        for vector in reversed(self.vectors) if reverse else self.vectors:
            flat = flat - torch.outer(flat @ vector, vector) * (2.0 / vector.square().sum())
        return flat.view(image.shape)


@final
class BlockAffine(Invertible):
    r"""Mix the cells of every block of the image by a triangular matrix of its own.

    .. math:: z_b = e^{a_b} \odot (I + \operatorname{tril}(L_b, -1)) x_b + b_b, \qquad
        \log|\det| = \sum_b \sum a_b

    A block holds all channels of ``block`` cells along every axis; blocks at the end of an axis may be
    smaller. One block as large as the image is a full matrix, for small images: it takes any Gaussian.

    Args:
        shape: Shape (C, nx, ...) of a sample.
        block: Cells of a block along each axis.

    Shapes:
        x, z: (B, C, nx, ...), of exactly that size. logdet: (B,). The condition is not used.

    Raises:
        ValueError: If the block has no cell.
    """

    draws_random = False

    def __init__(self, shape: tuple[int, ...], block: int) -> None:
        super().__init__()
        if block < 1:
            raise ValueError(f"expected blocks of at least 1 cell, got {block}")
        self.cells = PixelAffine(shape)
        members = _members(shape, block)
        self.index = nn.Buffer(members, persistent=False)
        # Members that a smaller block lacks neither give nor take.
        there = members < math.prod(shape)
        self.below = nn.Buffer(torch.tril(there[:, :, None] * there[:, None, :], -1), persistent=False)
        self.lower = nn.Parameter(torch.zeros(self.below.shape))

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mix below the diagonal, then scale and shift."""
        self.cells.check("x", x)
        blocks = self._gather(x)
        mixed = blocks + torch.einsum("nij,bnj->bni", self._nilpotent(), blocks)
        return self.cells(self._scatter(mixed, x))

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo scale and shift, then solve the unit triangular systems."""
        x, logdet = self.cells.inverse(z)
        blocks = self._gather(x).movedim(0, 2)
        solved = torch.linalg.solve_triangular(
            self._nilpotent(), blocks, upper=False, unitriangular=True
        ).movedim(2, 0)
        return self._scatter(solved, z), logdet

    def _nilpotent(self) -> Tensor:
        return self.lower * self.below

    def _gather(self, image: Tensor) -> Tensor:
        """Blocks (B, n, m); members that a smaller block lacks read a zero."""
        flat = torch.cat((image.flatten(1), image.new_zeros(len(image), 1)), 1)
        return flat[:, self.index]

    def _scatter(self, blocks: Tensor, like: Tensor) -> Tensor:
        flat = like.new_zeros(len(like), like[0].numel() + 1)
        flat = flat.index_add(1, self.index.flatten(), blocks.flatten(1))
        return flat[:, :-1].view(like.shape)


def _members(shape: tuple[int, ...], block: int) -> Tensor:
    """Flat numbers of the cells of every block, (n, m); D, one past the last, fills smaller blocks up."""
    size = math.prod(shape)
    cells = torch.arange(size).view(shape)
    for axis in range(1, len(shape)):
        missing = -cells.shape[axis] % block
        filler = torch.full((*cells.shape[:axis], missing, *cells.shape[axis + 1 :]), size)
        cells = torch.cat((cells, filler), axis)
    for axis in range(1, len(shape)):
        cells = cells.unflatten(2 * axis - 1, (-1, block))
    ndim = len(shape) - 1
    where, within = range(1, 1 + 2 * ndim, 2), range(2, 2 + 2 * ndim, 2)
    return cells.permute(*where, 0, *within).reshape(-1, shape[0] * block**ndim).contiguous()


FAMILIES: dict[Family, Callable[[tuple[int, ...], int], Invertible]] = {
    "diagonal": lambda shape, _: PixelAffine(shape),
    "low_rank": LowRankAffine,
    "householder": HouseholderAffine,
    "blocks": BlockAffine,
}
"""Families by name, built from a sample's shape and a size: rank, number of reflections, cells of a block."""
