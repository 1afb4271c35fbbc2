"""A scale and a shift for each cell of an image of fixed size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from torch import Tensor

from posterior.invertible import check_ndim
from posterior.layers.diagonal import DiagonalAffine


@final
class PixelAffine(DiagonalAffine):
    r"""Scale and shift every cell of every channel by numbers of its own.

    .. math:: z = e^{a} \odot x + b, \qquad \log|\det| = \sum a

    Behind a frozen network it is the diagonal correction of a Gaussian latent in the paper below. Starts as
    the identity.

    Args:
        shape: Shape (C, nx, nz) of a sample; with one or three axes, or none for vectors, (C,).

    Shapes:
        x, z: (B, C, nx, nz), of exactly that size. logdet: (B,). The condition is not used.

    Raises:
        ValueError: If there are more than three spatial axes or a size is not positive.

    Source:
        Siahkoohi et al., Reliable amortized variational inference with physics-based latent distribution
        correction, Geophysics 2023.

    Example:
        >>> z, logdet = PixelAffine((1, 8, 4))(torch.randn(2, 1, 8, 4))
        >>> logdet.shape
        torch.Size([2])
    """

    def __init__(self, shape: Sequence[int]) -> None:
        check_ndim(len(shape) - 1, vectors=True)
        if min(shape) < 1:
            raise ValueError(f"expected positive sizes (C, nx, ...), got {tuple(shape)}")
        super().__init__(tuple(shape))
        self.shape = tuple(shape)

    def check(self, name: str, image: Tensor) -> None:
        """Raise a ValueError unless the image has the size of the numbers."""
        if image.shape[1:] != self.shape:
            expected = ", ".join(("B", *map(str, self.shape)))
            raise ValueError(f"expected {name} of shape ({expected}), got {tuple(image.shape)}")
