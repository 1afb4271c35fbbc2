"""The i-RIM coupling: an additive coupling between two uses of one rotation of the channels."""

from __future__ import annotations

from functools import partial
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor, nn

from posterior.conditioners import ConditionerFactory, convolution, zero_initialised
from posterior.invertible import Invertible, check_ndim
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Additive
from posterior.layers.inverse import Inverse
from posterior.layers.squeeze import check_divisible
from posterior.reversible import MemoryLike, Sequential

_PATCHES: dict[int, tuple[Any, Any]] = {
    1: (nn.Conv1d, nn.ConvTranspose1d),
    2: (nn.Conv2d, nn.ConvTranspose2d),
    3: (nn.Conv3d, nn.ConvTranspose3d),
}
"""Convolutions onto patches and back, by number of spatial axes."""


@final
class PatchConditioner(nn.Module):
    r"""Look at whole patches: down to one cell a patch, a residual convolution there, up again, and a gate.

    .. math::
        h_1 = \phi(W_1 u + b_1), \quad h_2 = \phi(h_1 + W_2 h_1 + b_2), \quad (a, r) = W_3^T h_2 + b_3, \quad
        g(u) = a \odot \sigma(r)

    with phi = relu. W_1 and W_3 map patches of s cells an axis without overlap, W_2 has 3 cells an axis. All
    hidden images are s^d times smaller than u. W_3 and b_3 start at zero.

    Args:
        in_channels: Channels of the input u.
        out_channels: Channels of the result.
        hidden: Channels of h_1 and h_2.
        stride: Cells s of a patch along every axis.
        ndim: Number d of spatial axes, 1 to 3.

    Shapes:
        u: (B, in_channels, ...), every size a multiple of s. g: (B, out_channels, ...).

    Raises:
        ValueError: If a size is not a multiple of s; the message names the axis and the size to pad to.

    Source:
        Putzky and Welling, Invert to learn to invert, NeurIPS 2019; kernels and skip as in
        InvertibleNetworks.jl's i-RIM coupling.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, hidden: int = 64, stride: int = 4, ndim: int = 2
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        if stride < 1:
            raise ValueError(f"expected a stride of at least 1, got {stride}")
        down, up = _PATCHES[ndim]
        self.stride = stride
        self.down = down(in_channels, hidden, stride, stride)
        self.middle = convolution(hidden, hidden, ndim=ndim)
        self.up = zero_initialised(up(hidden, 2 * out_channels, stride, stride))

    def forward(self, u: Tensor) -> Tensor:
        """Return g(u)."""
        check_divisible("the image", u, self.stride)
        h = F.relu(self.down(u), inplace=True)
        h = F.relu(self.middle(h) + h, inplace=True)
        return F.glu(self.up(h), 1)


def conjugated(layer: Invertible, mixing: Invertible, memory: MemoryLike = "invert") -> Sequential:
    r"""Apply a layer in rotated channels: z = C^{-1}(f(C x)), with one C whose two gradients add up.

    Args:
        layer: The layer f.
        mixing: The map C of the channels.
        memory: What is kept for the backward pass, see :class:`posterior.reversible.Memory`; a chain around
            it decides instead under "invert".
    """
    return Sequential([mixing, layer, Inverse(mixing)], memory)


def irim_coupling(
    channels: int,
    cond_channels: int = 0,
    *,
    conditioner: ConditionerFactory | None = None,
    hidden: int = 64,
    stride: int = 4,
    reflectors: int | None = None,
    memory: MemoryLike = "invert",
    ndim: int = 2,
) -> Sequential:
    r"""Build the coupling of an invertible recurrent inference machine; it preserves volume.

    .. math::
        (x_a, x_b) = C x, \qquad z = C^{-1} (x_a,\; x_b + g(x_a, c)), \qquad \log|\det| = 0

    C is an orthogonal 1x1 convolution, the same at both ends.

    Args:
        channels: Number of channels C of x, at least 2 unless there is a condition.
        cond_channels: Number of channels K of the condition; 0 for none.
        conditioner: Builds g from its channels in and out; None for a :class:`PatchConditioner`.
        hidden: Hidden channels of the patch conditioner.
        stride: Patch size of the patch conditioner, which every size of x must be a multiple of.
        reflectors: Householder reflections of C, see :class:`posterior.layers.conv1x1.Conv1x1`; the seed has
            3.
        memory: What is kept for the backward pass where the coupling stands alone.
        ndim: Number of spatial axes, 1 to 3.

    Shapes:
        x, z: (B, C, ...). c: (B, K, ...), the size of x. logdet: (B,), zeros.

    Source:
        Putzky and Welling, Invert to learn to invert, NeurIPS 2019.

    Example:
        >>> import torch
        >>> layer = irim_coupling(4, hidden=8)
        >>> z, logdet = layer(torch.randn(2, 4, 16, 16))
        >>> z.shape
        torch.Size([2, 4, 16, 16])
    """
    build = partial(PatchConditioner, hidden=hidden, stride=stride, ndim=ndim)
    coupling = Coupling(
        channels,
        cond_channels,
        conditioner=build if conditioner is None else conditioner,
        transform=Additive(),
        swap=True,
        ndim=ndim,
    )
    return conjugated(coupling, Conv1x1(channels, reflectors=reflectors, ndim=ndim), memory)
