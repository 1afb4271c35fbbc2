"""The training loss: negative log-likelihood per dimension, with its two terms apart."""

from __future__ import annotations

import math
from typing import Protocol, final

from torch import Tensor, nn


class Encoder(Protocol):
    """The part of a conditional flow that the likelihood needs."""

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, C, ...) under the condition y to z of x's shape and the log-determinant (B,)."""
        ...


def likelihood_terms(z: Tensor, logdet: Tensor) -> tuple[Tensor, Tensor]:
    r"""The two terms of the negative log-likelihood per dimension, in nats.

    .. math:: -\tfrac1D \log p(x \mid y) =
        \underbrace{\tfrac1{2D} \lVert z \rVert^2 + \tfrac12 \log 2\pi}_{\text{latent}}
        \; \underbrace{- \tfrac1D \log\lvert\det \partial z / \partial x\rvert}_{\text{logdet}}

    A latent term far from its expectation under the base density, 1/2 + 1/2 log 2 pi = 1.42, says that the
    network is not calibrated as a density, whatever the sum.

    Args:
        z: latents (B, C, ...), D = C * cells dimensions.
        logdet: log-determinants (B,).

    Returns:
        The latent term (B,) and the logdet term (B,); their sum is the loss of each sample.

    Source:
        Dinh, Sohl-Dickstein and Bengio, Density estimation using Real NVP, ICLR 2017, equation 2.
    """
    flat = z.flatten(1)
    latent = 0.5 * flat.square().mean(1) + 0.5 * math.log(2.0 * math.pi)
    return latent, -logdet / flat.shape[1]


@final
class NegativeLogLikelihood(nn.Module):
    """The loss as a module, so that DistributedDataParallel can wrap it.

    Args:
        flow: module with ``encode(x, y) -> (z, logdet)``.
    """

    def __init__(self, flow: nn.Module) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Latent and logdet terms of each sample, (B,) and (B,), nats per dimension."""
        encoder: Encoder = self.flow  # type: ignore[assignment]  # a module says nothing of its methods' types
        return likelihood_terms(*encoder.encode(x, y))
