"""A linear-Gaussian survey whose target is known in closed form, under a network that was trained wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posterior.refine import Batch, GaussianLikelihood
from posterior.sample import AmortizedPosterior, ModelInfo
from posterior.standardise import Standardiser

SHAPE, SHOTS, TRACES, NOISE = (1, 4, 4), 4, 6, 0.5
UNITS = Standardiser((1.0,), (2.0,), (0.0,), (1.5,))


class AffineFlow(nn.Module):
    """p(u | v) = N(G v, L L^T) in the network's units; L is lower triangular with a positive diagonal."""

    def __init__(self, gain: Tensor, root: Tensor) -> None:
        super().__init__()
        self.gain = nn.Parameter(gain.float())
        self.log_diagonal = nn.Parameter(root.diagonal().log().float())
        self.lower = nn.Parameter(torch.tril(root, -1).float())

    def root(self) -> Tensor:
        return torch.tril(self.lower, -1) + self.log_diagonal.exp().diag()

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        residual = x.flatten(1) - y.flatten(1) @ self.gain.T
        z = torch.linalg.solve_triangular(self.root(), residual.T, upper=False).T
        return z.reshape(x.shape), -self.log_diagonal.sum().expand(len(x))

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        u = y.flatten(1) @ self.gain.T + z.flatten(1) @ self.root().T
        return u.reshape(z.shape), self.log_diagonal.sum().expand(len(z))


class BentFlow(nn.Module):
    """u = 1.2 sinh(z + 0.2 v) cell by cell: no affine map, so modes in z and in x differ."""

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        moved = torch.asinh(x / 1.2)
        return moved - 0.2 * y, -(1.2 * moved.cosh()).log().flatten(1).sum(1)

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        moved = z + 0.2 * y
        return 1.2 * moved.sinh(), (1.2 * moved.cosh()).log().flatten(1).sum(1)


@dataclass(frozen=True)
class Gaussian:
    """N(mean, covariance) of flat models, float64."""

    mean: Tensor
    covariance: Tensor

    @property
    def precision(self) -> Tensor:
        return torch.linalg.inv(self.covariance)

    @property
    def std(self) -> Tensor:
        return self.covariance.diagonal().sqrt()

    def given(self, operator: Tensor, data: Tensor, noise: float) -> Gaussian:
        """Conditioned on data = operator x + noise."""
        precision = self.precision + operator.T @ operator / noise**2
        covariance = torch.linalg.inv(precision)
        mean = covariance @ (self.precision @ self.mean + operator.T @ data / noise**2)
        return Gaussian(mean, covariance)

    def log_prob(self, x: Tensor) -> Tensor:
        """Differentiable, for x (B, *SHAPE)."""
        flat = x.flatten(1).double()
        return torch.distributions.MultivariateNormal(self.mean, self.covariance).log_prob(flat)

    def divergence(self, x: Tensor, log_prob: np.ndarray) -> float:
        """KL to this Gaussian, nats a dimension, of a law with draws x and their log-densities."""
        return float((torch.from_numpy(log_prob) - self.log_prob(x)).mean()) / len(self.mean)


class Survey:
    """Prior N(0, C), shots d_i = A_i x + e, and an amortized posterior of another prior and other noise."""

    def __init__(self, seed: int = 0) -> None:
        g = torch.Generator().manual_seed(seed)
        size = int(np.prod(SHAPE))
        self.operator = torch.randn(SHOTS, TRACES, size, generator=g, dtype=torch.float64) / 8.0
        axis = torch.arange(4, dtype=torch.float64)
        cells = torch.cartesian_prod(axis, axis)
        self.prior = Gaussian(1.0 * torch.ones(size).double(), 4.0 * torch.exp(-torch.cdist(cells, cells)))
        self.truth = self.prior.mean + torch.linalg.cholesky(self.prior.covariance) @ torch.randn(
            size, generator=g, dtype=torch.float64
        )
        clean = torch.einsum("std,d->st", self.operator, self.truth)
        self.data = clean + NOISE * torch.randn(clean.shape, generator=g, dtype=torch.float64)
        self.y = (1.5 * torch.randn(SHAPE, generator=g)).float()
        root = torch.tril(0.2 * torch.randn(size, size, generator=g, dtype=torch.float64), -1)
        self.root = root + torch.diag(0.6 + 0.4 * torch.rand(size, generator=g, dtype=torch.float64))
        self.gain = 0.2 * torch.randn(size, size, generator=g, dtype=torch.float64)
        self.posterior = AmortizedPosterior(
            AffineFlow(self.gain, self.root), UNITS, ModelInfo(x_shape=SHAPE, y_shape=SHAPE)
        )
        mean = 1.0 + 2.0 * self.gain @ (self.y.flatten().double() / 1.5)
        self.amortized = Gaussian(mean, 4.0 * self.root @ self.root.T)

    @property
    def flat_operator(self) -> Tensor:
        return self.operator.flatten(0, 1)

    def modelling(self, x: Tensor, weights: Tensor) -> Tensor:
        shots = torch.einsum("std,bd->bst", self.operator.to(x), x.flatten(1))
        return torch.einsum("bks,bst->bkt", weights, shots)

    def likelihood(self, noise: float = NOISE) -> GaussianLikelihood:
        return GaussianLikelihood(self.modelling, self.data, noise)

    def target(self, prior: Gaussian | None = None, noise: float = NOISE) -> Gaussian:
        """The closed form of q(x | y) p(d | x), or p(x) p(d | x)."""
        start = self.amortized if prior is None else prior
        return start.given(self.flat_operator, self.data.flatten(), noise)

    def latent_target(self) -> Gaussian:
        """The closed form of N(z; 0, I) p(d | f(z))."""
        size = len(self.root)
        start = Gaussian(torch.zeros(size).double(), torch.eye(size).double())
        shift = self.data.flatten() - self.flat_operator @ self.amortized.mean
        return start.given(self.flat_operator @ (2.0 * self.root), shift, NOISE)

    def bent(self) -> AmortizedPosterior:
        return AmortizedPosterior(BentFlow(), UNITS, ModelInfo(x_shape=SHAPE, y_shape=SHAPE))


class Wrapped:
    """A likelihood under test: raises, or returns nan, at the calls that are named."""

    def __init__(
        self,
        inner: GaussianLikelihood,
        spoil: Callable[[int], bool],
        error: BaseException | None = None,
        part: int = 0,
    ) -> None:
        self._inner, self._spoil, self._error, self._part, self.calls = inner, spoil, error, part, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, x: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        found = list(self._inner(x, batch))
        self.calls += 1
        if self._spoil(self.calls):
            if self._error is not None:
                raise self._error
            found[self._part] = found[self._part] * torch.nan
        return found[0], found[1]

    def value(self, x: Tensor, batch: Batch) -> Tensor:
        return self._inner.value(x, batch)


@pytest.fixture
def survey() -> Survey:
    return Survey()


@pytest.fixture
def wrapped() -> type[Wrapped]:
    return Wrapped
