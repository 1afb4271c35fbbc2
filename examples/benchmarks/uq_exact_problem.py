"""The posterior that ``uq_exact`` draws from: one observation of a linear-Gaussian image, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from gaussian_closed_forms import Array, GaussianCells
from gaussian_images import GaussianImages

from posterior import uq

SIZE, DRAWS, BATCH, SEED = 16, 2000, 100, 3


@final
@dataclass(frozen=True)
class Run:
    """Draws (S, n, n) of the posterior and a further one as truth, (n, n)."""

    draws: Array
    truth: Array
    number: int

    def streamed(self, stream: Any) -> Any:
        """An accumulator that has seen the draws in batches."""
        for batch in np.split(self.draws, len(self.draws) // BATCH):
            stream.update(batch)
        return stream


Statistic = tuple[Any, Callable[[Run], Any]]
"""The exact value, and what estimates it from a run."""


@final
class Problem:
    """One observation: exact posterior, prior, and a truth held fixed for the scores."""

    def __init__(self) -> None:
        images = GaussianImages(size=SIZE)
        self.posterior = images.posterior()
        x, y = images.simulator(SEED)(1)
        self.y, self.fixed, self.noise = y, x[0, 0].double().numpy(), images.noise
        self.operator, self.prior = images.operator.numpy(), images.prior.numpy()
        self.exact = GaussianCells(self.posterior.mean(y)[0, 0].numpy(), self.posterior.covariance.numpy())

    def chi_square(self) -> tuple[float, Callable[[Run], Any]]:
        """Of the data that draws predict: |A m - y|^2 and the trace of A S A^T, over s^2 n."""
        data = self.y[0, 0].double().numpy()
        misfit = self.operator @ self.exact.mean.ravel() - data.ravel()
        spread = np.trace(self.operator @ self.exact.covariance @ self.operator.T)

        def estimate(run: Run) -> float:
            check = uq.Predictive(data, self.noise)
            check.update((run.draws.reshape(len(run.draws), -1) @ self.operator.T).reshape(run.draws.shape))
            return float(check.result().chi_square.mean())

        return float((misfit @ misfit + spread) / (self.noise**2 * data.size)), estimate

    def log_score(self) -> tuple[float, Callable[[Run], Any]]:
        """Density of truths: its mean is the entropy of the posterior."""
        _, determinant = np.linalg.slogdet(2.0 * np.pi * np.e * self.exact.covariance)

        def estimate(run: Run) -> float:
            density = self.posterior.log_prob(torch.as_tensor(run.truth)[None, None], self.y)
            return uq.log_score(density.numpy(), run.truth.size).value

        return 0.5 * determinant / self.fixed.size, estimate
