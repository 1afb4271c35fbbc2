"""Squeezes: trade resolution for channels without loss, so that couplings have channels to split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from posterior.invertible import AXES, Invertible, ReverseStep, Trace, check_ndim


def space_to_depth(x: Tensor) -> Tensor:
    """Move every block of 2 cells an axis into the channels: (B, C, 2n, ...) -> (B, 2^d C, n, ...).

    Blocks are the outer index of the new channels, the old channels the inner one. The result is laid out
    channels-last.
    """
    ndim = x.ndim - 2
    halves = [size // 2 for size in x.shape[2:]]
    cells = x.movedim(1, -1)
    cells = cells.reshape(x.shape[0], *[part for half in halves for part in (half, 2)], x.shape[1])
    where = range(1, 1 + 2 * ndim, 2)
    cells = cells.permute(0, *where, *(axis + 1 for axis in where), 1 + 2 * ndim)
    return cells.reshape(x.shape[0], *halves, 2**ndim * x.shape[1]).movedim(-1, 1)


def depth_to_space(z: Tensor) -> Tensor:
    """Undo :func:`space_to_depth`."""
    ndim = z.ndim - 2
    sizes = z.shape[2:]
    cells = z.movedim(1, -1).reshape(z.shape[0], *sizes, *(2,) * ndim, z.shape[1] // 2**ndim)
    interleaved = [
        axis for pair in zip(range(1, 1 + ndim), range(1 + ndim, 1 + 2 * ndim), strict=True) for axis in pair
    ]
    cells = cells.permute(0, *interleaved, 1 + 2 * ndim)
    return cells.reshape(z.shape[0], *(2 * size for size in sizes), -1).movedim(-1, 1)


def along_each_axis(z: Tensor, pair: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]) -> Tensor:
    """Transform the even and the odd cells of every axis in turn; z is laid out as by :func:`space_to_depth`.

    Args:
        z: Blocks in the channels, (B, 2^d C, n, ...).
        pair: Maps (even, odd, axis) to the two new halves. Both are (B, n, ...), then the corners of the
            other axes and the channels; ``axis`` is the one along which they alternated.
    """
    ndim = z.ndim - 2
    cells = z.movedim(1, -1)
    blocks = cells.reshape(*cells.shape[:-1], *(2,) * ndim, -1)
    for corner in range(1 + ndim, 1 + 2 * ndim):
        even, odd = blocks.unbind(corner)
        blocks = torch.stack(pair(even, odd, corner - ndim), corner)
    return blocks.reshape(cells.shape).movedim(-1, 1)


def check_divisible(name: str, image: Tensor, factor: int) -> None:
    """Raise a ValueError that names the first axis which ``factor`` does not divide."""
    for axis, size in zip(AXES[image.ndim - 2], image.shape[2:], strict=True):
        if size % factor:
            padded = -(-size // factor) * factor
            raise ValueError(f"{axis} of {name} must be a multiple of {factor}, got {size}: pad to {padded}")


def check_axes(name: str, image: Tensor, ndim: int) -> None:
    """Raise a ValueError unless ``image`` has ``ndim`` spatial axes, whatever its channels."""
    if image.ndim != ndim + 2:
        expected = ", ".join(("B", "C", *AXES[ndim]))
        raise ValueError(f"expected {name} of shape ({expected}), got {tuple(image.shape)}")


class Squeeze(Invertible, ABC):
    """An orthonormal map that halves every axis: log-determinant 0, gradients follow the same map.

    The reverse steps hold for maps without parameters.

    Args:
        ndim: Number of spatial axes d, 1 to 3.

    Shapes:
        x: (B, C, 2n, ...). z: (B, 2^d C, n, ...). logdet: (B,), zeros. The condition is not used.
    """

    draws_random = False

    def __init__(self, ndim: int = 2) -> None:
        super().__init__()
        check_ndim(ndim)
        self.ndim = ndim

    @abstractmethod
    def squeeze(self, x: Tensor) -> Tensor:
        """Map (B, C, 2n, ...) to (B, 2^d C, n, ...) orthonormally."""

    @abstractmethod
    def unsqueeze(self, z: Tensor) -> Tensor:
        """Undo :meth:`squeeze`; also its transpose."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (squeezed x, 0)."""
        check_axes("x", x, self.ndim)
        check_divisible("x", x, 2)
        return self.squeeze(x), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (unsqueezed z, 0)."""
        check_axes("z", z, self.ndim)
        if z.shape[1] % 2**self.ndim:
            raise ValueError(f"expected z with a multiple of {2**self.ndim} channels, got {tuple(z.shape)}")
        return self.unsqueeze(z), z.new_zeros(z.shape[0])

    @torch.no_grad()
    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The map is orthonormal: its inverse takes the gradient back too."""
        return ReverseStep(self.unsqueeze(z), self.unsqueeze(grad_z), None, [])

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The mirrored step."""
        return ReverseStep(self.squeeze(x), self.squeeze(grad_x), None, [])


@final
class CheckerboardSqueeze(Squeeze):
    """Cells of each parity become channels of their own: (B, C, 2n, ...) -> (B, 2^d C, n, ...).

    Args:
        ndim: Number of spatial axes d, 1 to 3.

    Source:
        Dinh et al., Density estimation using Real NVP, ICLR 2017, section 3.6.
    """

    def squeeze(self, x: Tensor) -> Tensor:
        """Rearrange space into channels."""
        return space_to_depth(x)

    def unsqueeze(self, z: Tensor) -> Tensor:
        """Rearrange channels into space."""
        return depth_to_space(z)


@final
class HaarSqueeze(Squeeze):
    r"""One level of the orthonormal Haar transform: sub-bands become channels, smooth ones first.

    .. math:: (a, b) \mapsto \tfrac{1}{\sqrt 2} (a + b, a - b) \quad \text{along every axis}

    Sub-bands are the outer index of the new channels, in the order low-low, low-high, high-low, high-high of
    (x, z).

    Args:
        ndim: Number of spatial axes d, 1 to 3.

    Source:
        Ardizzone et al., Guided image generation with conditional invertible neural networks, 2019, section
        3.3.
    """

    def squeeze(self, x: Tensor) -> Tensor:
        """Rearrange space into channels, then transform each block."""
        return self._butterfly(space_to_depth(x))

    def unsqueeze(self, z: Tensor) -> Tensor:
        """Transform each block, a symmetric and orthonormal map, then rearrange channels into space."""
        return depth_to_space(self._butterfly(z))

    def _butterfly(self, x: Tensor) -> Tensor:
        bands = along_each_axis(x, lambda even, odd, _: (even + odd, even - odd))
        return bands * 2.0 ** (-0.5 * self.ndim)
