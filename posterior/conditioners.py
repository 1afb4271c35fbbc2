"""Conditioners: ordinary networks inside couplings. They need not be invertible; the coupling is.

A conditioner maps (B, in, ...) to (B, out, ...) at the same size. Its last layer starts at zero, so a
coupling starts as the identity. Batch statistics that are tracked over calls are out: a reversible chain
evaluates a conditioner twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, final

from torch import Tensor, nn

from posterior.invertible import check_ndim

ConditionerFactory = Callable[[int, int], nn.Module]
"""Builds a conditioner from its number of input channels and of output channels."""

_CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_DROPOUTS: dict[int, type[nn.Module]] = {1: nn.Dropout1d, 2: nn.Dropout2d, 3: nn.Dropout3d}
_ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU}


def convolution(
    in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1, ndim: int = 2
) -> nn.Module:
    """A convolution over ``ndim`` axes; an odd kernel keeps the size at stride 1."""
    check_ndim(ndim)
    padding = kernel // 2 if kernel % 2 else 0
    return _CONVOLUTIONS[ndim](in_channels, out_channels, kernel, stride, padding)


def feature_dropout(probability: float, ndim: int) -> nn.Module:
    """Dropout of whole feature maps: neighbouring cells carry the same information."""
    return _DROPOUTS[ndim](probability) if probability else nn.Identity()


def zero_initialised(layer: nn.Module) -> nn.Module:
    """The layer with all its parameters set to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


@final
class ResidualConditioner(nn.Module):
    r"""Three convolutions, 3-1-3, with a skip around the middle one.

    .. math:: h_1 = \phi(W_1 u + b_1), \quad h_2 = \phi(h_1 + W_2 h_1 + b_2), \quad g(u) = W_3 h_2 + b_3

    W_3 and b_3 start at zero.

    Args:
        in_channels: Channels of the input u.
        out_channels: Channels of the result.
        hidden: Channels of h_1 and h_2.
        ndim: Number of spatial axes, 1 to 3.
        activation: The function phi, "silu" or "relu".
        dropout: Probability of dropping a whole feature map of h_2 in training.

    Shapes:
        u: (B, in_channels, ...). g: (B, out_channels, ...).

    Source:
        Kingma and Dhariwal, Glow, NeurIPS 2018, section 4 (kernels); the inner skip: InvertibleNetworks.jl's
        residual block.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int = 64,
        ndim: int = 2,
        activation: Literal["silu", "relu"] = "silu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.first = convolution(in_channels, hidden, ndim=ndim)
        self.middle = convolution(hidden, hidden, kernel=1, ndim=ndim)
        self.last = zero_initialised(convolution(hidden, out_channels, ndim=ndim))
        self.activation = _ACTIVATIONS[activation]()
        self.dropout = feature_dropout(dropout, ndim)

    def forward(self, u: Tensor) -> Tensor:
        """Return g(u)."""
        h = self.activation(self.first(u))
        h = self.activation(h + self.middle(h))
        return self.last(self.dropout(h))
