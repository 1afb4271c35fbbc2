"""Squeezes that cut the image into pieces rather than mix neighbours: by columns and by patches."""

from __future__ import annotations

from typing import final

from torch import Tensor

from posterior.layers.squeeze import Squeeze


@final
class ColumnSqueeze(Squeeze):
    r"""Cut each channel into 2^d runs of neighbouring columns: a reshape that moves nothing.

    .. math:: (B, C, n_x, n_z) \mapsto (B, 2^d C, n_x / 2, n_z / 2) \quad \text{in the order of depth, then x}

    A column is a line of cells along depth. Channel 2^d c + r of z holds run r of channel c of x, so the old
    channels are the outer index here. A run is n_x / 4 columns in 2-D and n_x n_y / 8 in 3-D; where that is
    no whole number, a column is cut. In its new image each column fills two of half the depth.

    Args:
        ndim: Number of spatial axes d, 1 to 3.

    Source:
        InvertibleNetworks.jl's pattern "column", with its fastest axis, the first one, taken as depth.

    Example:
        >>> z, _ = ColumnSqueeze()(torch.arange(16.0).view(1, 1, 4, 4))
        >>> z[0, 1]
        tensor([[4., 5.],
                [6., 7.]])
    """

    def squeeze(self, x: Tensor) -> Tensor:
        """Cut every channel into runs of its cells."""
        return x.reshape(x.shape[0], -1, *(size // 2 for size in x.shape[2:]))

    def unsqueeze(self, z: Tensor) -> Tensor:
        """Join the runs of each channel."""
        return z.reshape(z.shape[0], -1, *(2 * size for size in z.shape[2:]))


@final
class PatchSqueeze(Squeeze):
    """The two halves of every axis become channels: quarters of an image, eighths of a volume.

    Patches are the outer index of the new channels, the old channels the inner one; the patch varies fastest
    along depth. Each patch stays a whole image of its own, cells that were neighbours still are.

    Args:
        ndim: Number of spatial axes d, 1 to 3.

    Source:
        InvertibleNetworks.jl's pattern "patch".

    Example:
        >>> z, _ = PatchSqueeze()(torch.arange(16.0).view(1, 1, 4, 4))
        >>> z[0, 1]
        tensor([[2., 3.],
                [6., 7.]])
    """

    def squeeze(self, x: Tensor) -> Tensor:
        """Put the patches behind one another as channels."""
        halves = [size // 2 for size in x.shape[2:]]
        patches = x.reshape(*x.shape[:2], *(part for half in halves for part in (2, half)))
        which = range(2, patches.ndim, 2)
        patches = patches.permute(0, *which, 1, *(axis + 1 for axis in which))
        return patches.reshape(x.shape[0], -1, *halves)

    def unsqueeze(self, z: Tensor) -> Tensor:
        """Put the patches back into their places."""
        ndim, sizes = self.ndim, z.shape[2:]
        patches = z.reshape(z.shape[0], *(2,) * ndim, -1, *sizes)
        places = [axis for which in range(1, 1 + ndim) for axis in (which, which + 1 + ndim)]
        patches = patches.permute(0, 1 + ndim, *places)
        return patches.reshape(z.shape[0], -1, *(2 * size for size in sizes))
