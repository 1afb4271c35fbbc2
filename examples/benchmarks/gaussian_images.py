"""Linear-Gaussian images: random fields, a blur under uneven illumination, and the exact posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal


@final
class GaussianPosterior:
    r"""A posterior N(K y, S) of images: the exact one, or a wrong one.

    .. math:: \log p(x \mid y) = -\tfrac12 |u|^2 - \sum_i \log L_{ii} - \tfrac{D}{2} \log 2\pi, \qquad
        L L^T = S, \quad L u = x - K y

    Args:
        gain: The matrix K, (D, D) in float64.
        covariance: The matrix S, (D, D) in float64.

    Shapes:
        x, y, z: (B, 1, nx, nz) with D = nx nz; results in float64.
    """

    def __init__(self, gain: Tensor, covariance: Tensor) -> None:
        self.gain, self.covariance = gain, covariance
        self.root = torch.linalg.cholesky(covariance)

    @property
    def std(self) -> Tensor:
        """Standard deviation of every cell, (D,); the same for every y."""
        return self.covariance.diagonal().sqrt()

    def mean(self, y: Tensor) -> Tensor:
        """Posterior means K y as images."""
        return (y.flatten(1).double() @ self.gain.T).view(y.shape)

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Natural logarithm of p(x | y), shape (B,)."""
        squares = self.squares(x.double() - self.mean(y))
        return -0.5 * (squares + len(self.root) * math.log(2.0 * math.pi)) - self.root.diagonal().log().sum()

    def squares(self, residual: Tensor) -> Tensor:
        """r^T S^-1 r of every image r, shape (B,)."""
        u = torch.linalg.solve_triangular(self.root, residual.flatten(1).double().T, upper=False)
        return u.square().sum(0)

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Latents to draws K y + L z, with the log-determinant, as a flow does."""
        draws = self.mean(y) + (z.flatten(1).double() @ self.root.T).view(z.shape)
        return draws, self.root.diagonal().log().sum().expand(len(z))


@final
@dataclass(frozen=True)
class GaussianImages:
    r"""Reflectivity x, and its blurred, unevenly lit, noisy image y.

    .. math:: x \sim N(0, C), \qquad y = \operatorname{diag}(w) B x + e, \qquad e \sim N(0, s^2 I)

    C has unit variance: a Matern covariance of smoothness 3/2, and a share ``nugget`` of white noise. B is a
    Gaussian blur whose rows sum to one. The illumination w falls off with depth, and under a shadow to little
    more than nothing: there the posterior is wide.

    Args:
        size: Cells along x and along z.
        length: Correlation length of the field [cells].
        nugget: Share of x's variance that is white.
        blur: Standard deviation of the blur [cells].
        noise: Standard deviation s of the noise.
    """

    size: int = 16
    length: float = 3.0
    nugget: float = 0.05
    blur: float = 0.8
    noise: float = 0.3

    @property
    def illumination(self) -> Tensor:
        """The weights w in (0, 1], (nx, nz)."""
        x, z = self._positions().T.view(2, self.size, self.size)
        shadow = ((x / self.size - 0.62) / 0.16).square() + ((z / self.size - 0.5) / 0.22).square()
        return (1.0 - 0.5 * z / (self.size - 1)) * (1.0 - 0.9 * torch.exp(-0.5 * shadow))

    @property
    def prior(self) -> Tensor:
        """The covariance C, (D, D)."""
        scaled = math.sqrt(3.0) * self._distances() / self.length
        field = (1.0 + scaled) * torch.exp(-scaled)
        return (1.0 - self.nugget) * field + self.nugget * torch.eye(len(field), dtype=torch.float64)

    @property
    def operator(self) -> Tensor:
        """The matrix A = diag(w) B, (D, D)."""
        weights = torch.exp(-0.5 * (self._distances() / self.blur).square())
        return self.illumination.flatten()[:, None] * weights / weights.sum(1, keepdim=True)

    @property
    def data_covariance(self) -> Tensor:
        """The covariance A C A^T + s^2 I of y, (D, D)."""
        A, C = self.operator, self.prior
        return A @ C @ A.T + self.noise**2 * torch.eye(len(C), dtype=torch.float64)

    def posterior(self) -> GaussianPosterior:
        """The exact posterior: K = C A^T (A C A^T + s^2 I)^-1, S = C - K A C."""
        A, C = self.operator, self.prior
        gain = torch.linalg.solve(self.data_covariance, A @ C).T
        covariance = C - gain @ A @ C
        return GaussianPosterior(gain, 0.5 * (covariance + covariance.T))

    def simulator(self, seed: int) -> Simulator:
        """A source of fresh pairs."""
        return Simulator(self, seed)

    def check(self) -> None:
        """Raise a ValueError unless the closed form obeys Bayes' rule, and simulations agree with it.

        log p(x | y) + log p(y) = log p(x) + log p(y | x) holds at any x and y; for n simulated pairs the mean
        of (x - K y)^T S^-1 (x - K y) / D is 1, with standard error (2 / (n D))^(1/2).
        """
        A, C, exact, pairs = self.operator, self.prior, self.posterior(), 4096
        x, y = self.simulator(seed=0)(pairs)
        u, v = x.flatten(1).double(), y.flatten(1).double()
        zero, white = torch.zeros_like(u[0]), self.noise**2 * torch.eye(len(C), dtype=torch.float64)
        left = exact.log_prob(x, y) + MultivariateNormal(zero, self.data_covariance).log_prob(v)
        right = MultivariateNormal(zero, C).log_prob(u) + MultivariateNormal(u @ A.T, white).log_prob(v)
        if not torch.allclose(left, right, rtol=1e-9, atol=0.0):
            raise ValueError(
                f"expected Bayes' rule to hold, got a difference of {(left - right).abs().max()}"
            )
        square = float(exact.squares(x - exact.mean(y)).mean()) / len(C)
        if abs(square - 1.0) > 5.0 * math.sqrt(2.0 / (pairs * len(C))):
            raise ValueError(f"expected squares of mean 1 from the simulator, got {square}")

    def _positions(self) -> Tensor:
        """Indices (x, z) of every cell, (D, 2)."""
        axis = torch.arange(self.size, dtype=torch.float64)
        return torch.cartesian_prod(axis, axis)

    def _distances(self) -> Tensor:
        """Distance of every two cells [cells], (D, D)."""
        positions = self._positions()
        return torch.cdist(positions, positions)


@final
class Simulator:
    """Independent pairs, another batch at every call.

    Args:
        problem: What to simulate.
        seed: Of the random numbers.
    """

    def __init__(self, problem: GaussianImages, seed: int) -> None:
        self.root = torch.linalg.cholesky(problem.prior).float()
        self.operator, self.problem = problem.operator.float(), problem
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw x and y, each (count, 1, nx, nz) in float32."""
        shape = (count, 1, self.problem.size, self.problem.size)
        white, noise = torch.randn((2, count, len(self.root)), generator=self.generator)
        x = white @ self.root.T
        y = x @ self.operator.T + self.problem.noise * noise
        return x.view(shape), y.view(shape)
