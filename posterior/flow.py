"""A conditional density of images: summary network, invertible network, standard normal base."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from posterior.config import NetworkConfig
from posterior.networks.base import InvertibleNetwork
from posterior.networks.build import build_network
from posterior.summary import UNet


@final
class ConditionalFlow(nn.Module):
    r"""The density p(x | y) of a conditional normalizing flow.

    .. math:: \log p(x \mid y) = \log N(z; 0, I) + \log|\det \partial z / \partial x|, \qquad z = f(x; h(y))

    h (``summary``) and f (``network``) are learned jointly. Calling the module is :meth:`log_prob`, so that
    it can be wrapped by ``DistributedDataParallel``.

    Args:
        network: The invertible network f; z has the shape of x.
        summary: The module h: y (B, K, ...) -> c (B, K', ...).

    Shapes:
        x, z: (B, C, nx, nz), or with one or three axes. y: (B, K, nx, nz). log_prob, logdet: (B,).

    Source:
        Papamakarios et al., Normalizing flows for probabilistic modeling and inference, JMLR 2021, eq. (6).

    Example:
        >>> flow = ConditionalFlow.from_config(NetworkConfig(hidden=8, steps=1), in_channels=1, y_channels=2)
        >>> flow.sample(5, torch.randn(2, 16, 16)).shape
        torch.Size([5, 1, 16, 16])
    """

    def __init__(self, network: InvertibleNetwork, summary: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.summary = summary

    @classmethod
    def from_config(
        cls, config: NetworkConfig, *, in_channels: int, y_channels: int, ndim: int = 2
    ) -> ConditionalFlow:
        """Build the flow that a configuration describes, with fresh weights.

        Args:
            config: The architecture.
            in_channels: Channels C of x.
            y_channels: Channels K of y.
            ndim: Number of spatial axes.
        """
        network = build_network(config, in_channels, ndim)
        summary = UNet(
            y_channels,
            config.cond_channels,
            width=config.summary_width,
            levels=max(3, config.scales),
            ndim=ndim,
            dropout=config.dropout,
        )
        return cls(network, summary)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Same as :meth:`log_prob`."""
        return self.log_prob(x, y)

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Natural logarithm of p(x | y) in the space of x, shape (B,)."""
        z, logdet = self.encode(x, y)
        return standard_normal_log_prob(z) + logdet

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, C, ...) to (z, log|det dz/dx|) given y (B, K, ...), or (1, K, ...) for all of x."""
        return self.network(x, self._condition(y, x))

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map z (B, C, ...) to (x, log|det dx/dz|) given y (B, K, ...), or (1, K, ...) for all of z."""
        return self.network.inverse(z, self._condition(y, z))

    @torch.no_grad()
    def sample(
        self, num: int, y: Tensor, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw x from p(x | y); the summary is evaluated once for each y.

        Args:
            num: Number of draws for each y.
            y: One observation (K, ...), or several (B, K, ...).
            generator: Source of the latents, on y's device; None for torch's default one.
            temperature: Factor on the latents; 1 draws from the posterior, less draws nearer to its mode.

        Returns:
            (num, C, ...) for one observation, (num, B, C, ...) for several.
        """
        single = y.ndim == self.network.ndim + 1
        batch = y[None] if single else y
        c = self.summary(batch)
        shape = (num, len(batch), self.network.in_channels, *c.shape[2:])
        z = temperature * torch.randn(shape, generator=generator, device=y.device, dtype=y.dtype)
        x, _ = self.network.inverse(z.flatten(0, 1), c.expand(num, *c.shape).flatten(0, 1))
        return x.view(shape)[:, 0] if single else x.view(shape)

    def _condition(self, y: Tensor, like: Tensor) -> Tensor:
        """h(y), evaluated once for each y, for every sample of ``like``."""
        batch, sizes = like.shape[0], tuple(like.shape[2:])
        # An observation with other axes than x is the summary's affair.
        if (y.ndim == like.ndim and y.shape[2:] != like.shape[2:]) or len(y) not in (1, batch):
            expected = ", ".join((f"1 or {batch}", "K", *map(str, sizes)))
            raise ValueError(
                f"expected y of shape ({expected}) beside {tuple(like.shape)}, got {tuple(y.shape)}"
            )
        c = self.summary(y)
        return c.expand(batch, *c.shape[1:]) if len(y) == 1 else c


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Log-density of N(0, I) for each sample, shape (B,)."""
    cells = math.prod(z.shape[1:])
    return -0.5 * (z.flatten(1).square().sum(1) + cells * math.log(2.0 * math.pi))
