"""The conditioner of vectors: a residual network of linear layers."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn

from posterior.conditioners.parts import ACTIVATIONS, feature_dropout, zero_initialised
from posterior.invertible import check_image
from posterior.linearise import Conditioner


@final
class DenseConditioner(Conditioner):
    r"""Residual blocks of two linear layers each, for vectors.

    .. math::
        h_0 = W_0 u + b_0, \quad h_i = h_{i-1} + W_i' \phi(W_i \phi(h_{i-1}) + b_i) + b_i', \quad
        g(u) = W \phi(h_n) + b

    W and b start at zero.

    Args:
        in_channels: Size of the input u.
        out_channels: Size of the result.
        hidden: Size of every h.
        layers: Number n of blocks, at least 1.
        activation: The function phi, "silu" or "relu".
        dropout: Probability of dropping an entry behind each block's inner phi in training.

    Shapes:
        u: (B, in_channels). g: (B, out_channels).

    Raises:
        ValueError: If there is no block, or u is not a batch of vectors of that size.

    Source:
        He et al., Identity mappings in deep residual networks, ECCV 2016, fig. 4 (e).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int = 64,
        layers: int = 2,
        activation: Literal["silu", "relu"] = "silu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"expected at least 1 layer, got {layers}")
        self.in_channels, self.activation = in_channels, activation
        self.first = nn.Linear(in_channels, hidden)
        self.inner = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.outer = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.dropout = feature_dropout(dropout, ndim=0)
        self.head = zero_initialised(nn.Linear(hidden, out_channels))

    def body(self, u: Tensor) -> Tensor:
        """Return phi(h_n)."""
        check_image("u", u, self.in_channels, ndim=0)
        phi = ACTIVATIONS[self.activation].value
        h = self.first(u)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            h = h + outer(self.dropout(phi(inner(phi(h)))))
        return phi(h, inplace=not torch.is_grad_enabled())
