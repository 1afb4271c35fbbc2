"""A survey of images with a true and a wrong problem behind it, for the refinement methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import final

import torch
from gaussian_images import GaussianImages, GaussianPosterior
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from posterior.refine import GaussianLikelihood

TRUE = GaussianImages(size=8)
WRONG = replace(TRUE, length=TRUE.length / 2, noise=3.0 * TRUE.noise)
CELLS, SHOTS = TRUE.size**2, 8


@final
class AffineFlow(nn.Module):
    """The affine network of a Gaussian posterior N(K y, L L^T), with every entry of K and L a weight."""

    def __init__(self, posterior: GaussianPosterior) -> None:
        super().__init__()
        self.gain = nn.Parameter(posterior.gain.float())
        self.log_diagonal = nn.Parameter(posterior.root.diagonal().log().float())
        self.lower = nn.Parameter(torch.tril(posterior.root, -1).float())

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to the latent."""
        residual = x.flatten(1) - y.flatten(1) @ self.gain.T
        z = torch.linalg.solve_triangular(self._root(), residual.T, upper=False).T
        return z.reshape(x.shape), -self.log_diagonal.sum().expand(len(x))

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map the latent to x."""
        x = y.flatten(1) @ self.gain.T + z.flatten(1) @ self._root().T
        return x.reshape(z.shape), self.log_diagonal.sum().expand(len(z))

    def _root(self) -> Tensor:
        return torch.tril(self.lower, -1) + self.log_diagonal.exp().diag()


def survey(y: Tensor) -> GaussianLikelihood:
    """Shot i records every eighth cell of the image, from the i-th on, with the true noise."""
    shots = TRUE.operator.view(CELLS // SHOTS, SHOTS, CELLS).transpose(0, 1)

    def modelling(x: Tensor, weights: Tensor) -> Tensor:
        return torch.einsum("bks,std,bd->bkt", weights, shots.to(x), x.flatten(1))

    data = y.flatten().double().view(CELLS // SHOTS, SHOTS).T
    return GaussianLikelihood(modelling, data, TRUE.noise)


def true_prior() -> Callable[[Tensor], Tensor]:
    """Log-density of the field that the truth was drawn from."""
    law = MultivariateNormal(torch.zeros(CELLS, dtype=torch.float64), TRUE.prior)
    return lambda x: law.log_prob(x.flatten(1).double())


def diagonal_optimum(exact: GaussianPosterior, start: GaussianPosterior) -> float:
    """KL of the best diagonal correction of an affine network: the bound no diagonal one gets below."""
    whitened = torch.linalg.solve_triangular(start.root, exact.covariance, upper=False)
    whitened = torch.linalg.solve_triangular(start.root, whitened.T, upper=False)
    precision = torch.linalg.inv(whitened)
    return float(precision.diagonal().log().sum() - torch.linalg.slogdet(precision)[1]) / (2 * CELLS)
