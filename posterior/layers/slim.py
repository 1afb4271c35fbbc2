"""SLIM couplings: the physics that made the data acts inside the layer, as the gradient of the misfit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posterior.conditioners import ConditionerFactory
from posterior.layers.actnorm import ActNorm
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Elementwise
from posterior.linear_map import LinearMap
from posterior.linearise import DataConditioner


@final
class GradientConditioner(DataConditioner):
    r"""A coupling's network that sees the gradient of the data misfit in place of the image itself.

    .. math:: g(x_b, d) = h\big(N(A^T (A\, \psi(x_b^1) - d)),\; x_b^2\big), \qquad x_b = (x_b^1, x_b^2)

    x_b^1 are the first channels of the coupling's fixed part, which psi maps to what A acts on. N is an
    ActNorm: a gradient has the units of physics, and the first batch in training mode, in whichever direction
    of the layer, sets its scale to one. A training step of the layer applies A and A^T three times each: once
    in the call, twice in its reverse step.

    Args:
        operator: The operator A.
        network: The network h, from as many channels as x_b has.
        psi: A function or module; None for the identity.
        model_channels: Number of channels of x_b^1.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors.

    Shapes:
        fixed: x_b, (B, C, ...). d: (B, ...), what A returns. Result: as that of h.

    Raises:
        ValueError: If no data are given, or data or adjoint have another shape than A says.

    Source:
        Adler and Oektem, Solving ill-posed inverse problems using iterative deep neural networks, Inverse
        Problems 2017; inside a coupling: InvertibleNetworks.jl's SLIM layers (version 1.1).
    """

    def __init__(
        self,
        operator: LinearMap,
        network: nn.Module,
        *,
        psi: Callable[[Tensor], Tensor] | None = None,
        model_channels: int = 1,
        ndim: int = 2,
    ) -> None:
        super().__init__()
        self.operator, self.network, self.psi = operator, network, psi
        self.model_channels = model_channels
        self.norm = ActNorm(model_channels, ndim=ndim)

    def forward(self, fixed: Tensor, d: Tensor | None = None) -> Tensor:
        """Return g(x_b, d)."""
        if d is None:
            raise ValueError("expected data d as the condition, got None")
        if fixed.shape[1] < self.model_channels:
            raise ValueError(f"expected at least {self.model_channels} fixed channels, got {fixed.shape[1]}")
        image, rest = fixed[:, : self.model_channels], fixed[:, self.model_channels :]
        gradient = self.operator.misfit_gradient(image if self.psi is None else self.psi(image), d)
        return self.network(torch.cat((self.norm(gradient)[0], rest), 1))


@final
class LearnedConditioner(DataConditioner):
    r"""A coupling's network that sees the data through a learned dense matrix, where no operator is known.

    .. math:: g(x_b, d) = h\big(x_b,\; \mathrm{relu}(W \operatorname{vec}(d) + b)\big)

    Args:
        data_shape: Shape of one sample of d.
        image_shape: Channels and sizes of the image that W d becomes; the sizes are those of x_b.
        network: The network h, from the channels of x_b and of that image.

    Shapes:
        fixed: x_b, (B, C, ...). d: (B, *data_shape). Result: as that of h.

    Raises:
        ValueError: If the data have another shape.

    Source:
        InvertibleNetworks.jl's learned SLIM layer (version 1.1).
    """

    def __init__(self, data_shape: Sequence[int], image_shape: Sequence[int], network: nn.Module) -> None:
        super().__init__()
        self.data_shape, self.image_shape = tuple(data_shape), tuple(image_shape)
        self.matrix = nn.Linear(math.prod(self.data_shape), math.prod(self.image_shape))
        self.network = network

    def forward(self, fixed: Tensor, d: Tensor | None = None) -> Tensor:
        """Return g(x_b, d)."""
        if d is None or d.shape[1:] != self.data_shape:
            got = None if d is None else tuple(d.shape)
            raise ValueError(f"expected data of shape (B, {', '.join(map(str, self.data_shape))}), got {got}")
        image = F.relu(self.matrix(d.flatten(1))).unflatten(1, self.image_shape)
        return self.network(torch.cat((fixed, image), 1))


def slim_coupling(
    channels: int,
    operator: LinearMap,
    *,
    network: ConditionerFactory,
    transform: Elementwise | None = None,
    psi: Callable[[Tensor], Tensor] | None = None,
    model_channels: int = 1,
    ndim: int = 2,
) -> Coupling:
    r"""Build a coupling with a physics operator inside; its condition are the data d.

    .. math:: z_a = f(x_a; p), \quad z_b = x_b, \quad p = h\big(N(A^T (A\, \psi(x_b^1) - d)),\; x_b^2\big)

    with x_b the first half of the channels. To rotate the channels before and back after, wrap it by
    :func:`posterior.layers.irim.conjugated`.

    Args:
        channels: Number of channels C of x.
        operator: The operator A, from (B, model_channels, ...) to the shape of d.
        network: Builds h from its channels in and out.
        transform: The family of f: :class:`~posterior.layers.elementwise.Affine` by default, or
            :class:`~posterior.layers.elementwise.Additive`.
        psi: Maps the first channels of x_b to what A acts on, such as their units; None for the identity.
        model_channels: Number of those channels.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors.

    Shapes:
        x, z: (B, C, ...). c, here d: (B, ...), any shape. logdet: (B,).

    Source:
        InvertibleNetworks.jl's SLIM layers (version 1.1).

    Example:
        >>> from posterior.conditioners import ResidualConditioner
        >>> matrix = torch.randn(12, 36)
        >>> operator = LinearMap(lambda x: x.flatten(1) @ matrix.T, lambda d: (d @ matrix).view(-1, 1, 6, 6))
        >>> layer = slim_coupling(4, operator, network=ResidualConditioner)
        >>> z, logdet = layer(torch.randn(2, 4, 6, 6), torch.randn(2, 12))
    """

    def conditioner(in_channels: int, out_channels: int) -> nn.Module:
        inner = network(in_channels, out_channels)
        return GradientConditioner(operator, inner, psi=psi, model_channels=model_channels, ndim=ndim)

    return Coupling(channels, conditioner=conditioner, transform=transform, swap=True, ndim=ndim)
