"""Four inference problems with known posteriors, as sbibm states them, and its classifier two-sample test.

sbibm's wheel ships ten observations a task with 10,000 exact posterior samples each; they are read from the
wheel, or from a folder it was unpacked in. Simulators, priors and likelihoods are written anew here; run as a
script, this file checks them against each other and against the shipped samples.

Run: pip download sbibm==1.1.0 --no-deps --dest runs/sbibm
     python examples/benchmarks/sbibm_tasks.py runs/sbibm/sbibm-1.1.0-py2.py3-none-any.whl

Source:
    Lueckmann et al., Benchmarking simulation-based inference, AISTATS 2021, appendix T.
    Friedman, On multivariate goodness-of-fit and two-sample testing, 2003; Lopez-Paz and Oquab, Revisiting
    classifier two-sample tests, ICLR 2017.
"""

from __future__ import annotations

import bz2
import math
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from scipy.stats import ks_2samp
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, Uniform

OBSERVATIONS = range(1, 11)


@final
@dataclass(frozen=True)
class Task:
    """Parameters theta (B, P) with a prior, and data x (B, D) that a simulator draws from them.

    Args:
        name: sbibm's name of the task.
        prior: density of theta.
        simulate: theta (B, P) -> x (B, D).
        log_likelihood: theta (B, P), x (B, D) or (1, D) -> log p(x | theta), shape (B,).
        half_width: the prior is uniform on [-half_width, half_width]^P; None for a normal prior.
    """

    name: str
    prior: Distribution
    simulate: Callable[[Tensor], Tensor]
    log_likelihood: Callable[[Tensor, Tensor], Tensor]
    half_width: float | None = None

    def simulations(self, num: int, seed: int) -> tuple[Tensor, Tensor]:
        """Pairs (theta, x) with theta from the prior; the same for the same seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            theta = self.prior.sample((num,))
            return theta, self.simulate(theta)

    def in_support(self, theta: Tensor) -> Tensor:
        """Which of theta (B, P) the prior allows, shape (B,)."""
        if self.half_width is None:
            return torch.ones(len(theta), dtype=torch.bool)
        return (theta.abs() <= self.half_width).all(1)

    def observation(self, reference: Path, number: int) -> Tensor:
        """The shipped observation ``number``, 1 to 10: x of shape (1, D)."""
        return self._table(reference, number, "observation.csv")

    def reference_samples(self, reference: Path, number: int) -> Tensor:
        """The shipped posterior samples of that observation: theta of shape (10000, P)."""
        return self._table(reference, number, "reference_posterior_samples.csv.bz2")

    def _table(self, reference: Path, number: int, name: str) -> Tensor:
        root = zipfile.Path(reference) if reference.is_file() else reference
        content = (root / "sbibm/tasks" / self.name / f"files/num_observation_{number}" / name).read_bytes()
        lines = (bz2.decompress(content) if name.endswith(".bz2") else content).decode().splitlines()
        return torch.from_numpy(np.loadtxt(lines, delimiter=",", skiprows=1, ndmin=2, dtype=np.float32))


def _uniform(half_width: float, parameters: int) -> Distribution:
    bound = torch.full((parameters,), half_width)
    return Independent(Uniform(-bound, bound, validate_args=False), 1, validate_args=False)


def _two_moons_centre(theta: Tensor) -> Tensor:
    total, difference = theta[:, 0] + theta[:, 1], theta[:, 1] - theta[:, 0]
    return torch.stack((0.25 - total.abs() / math.sqrt(2.0), difference / math.sqrt(2.0)), 1)


def _two_moons(theta: Tensor) -> Tensor:
    """A half circle around a centre that folds the plane: two crescents explain every x."""
    angle = math.pi * (torch.rand(len(theta)) - 0.5)
    radius = 0.1 + 0.01 * torch.randn(len(theta))
    return _two_moons_centre(theta) + radius[:, None] * torch.stack((angle.cos(), angle.sin()), 1)


def _two_moons_log_likelihood(theta: Tensor, x: Tensor) -> Tensor:
    from_centre = x - _two_moons_centre(theta)
    radius = from_centre.norm(dim=1)
    polar = Normal(0.1, 0.01).log_prob(radius) - (math.pi * radius).log()
    return torch.where(from_centre[:, 0] > 0.0, polar, -math.inf)


_NOISE = math.sqrt(0.1)


def _gaussian_linear(theta: Tensor) -> Tensor:
    return theta + _NOISE * torch.randn_like(theta)


def _gaussian_linear_log_likelihood(theta: Tensor, x: Tensor) -> Tensor:
    return Normal(theta, _NOISE).log_prob(x).sum(1)


def _slcp_density(theta: Tensor) -> MultivariateNormal:
    """Four points in the plane share mean and covariance: simple likelihood, complex posterior."""
    first, second = theta[:, 2].square(), theta[:, 3].square()
    correlation, ridge = theta[:, 4].tanh(), 1e-6
    # The Cholesky factor of [[first^2 + ridge, cross], [cross, second^2 + ridge]] without cancellation.
    a = (first.square() + ridge).sqrt()
    b = correlation * first * second / a
    c = (second.square() * (1.0 - (correlation * first / a).square()) + ridge).sqrt()
    factor = torch.stack((a, torch.zeros_like(a), b, c), 1).view(-1, 1, 2, 2)
    return MultivariateNormal(theta[:, None, :2], scale_tril=factor, validate_args=False)


def _slcp(theta: Tensor) -> Tensor:
    return _slcp_density(theta).expand(torch.Size((len(theta), 4))).sample().flatten(1)


def _slcp_log_likelihood(theta: Tensor, x: Tensor) -> Tensor:
    return _slcp_density(theta).log_prob(x.view(-1, 4, 2)).sum(1)


TASKS = {
    task.name: task
    for task in (
        Task("two_moons", _uniform(1.0, 2), _two_moons, _two_moons_log_likelihood, 1.0),
        Task(
            "gaussian_linear",
            MultivariateNormal(torch.zeros(10), 0.1 * torch.eye(10)),
            _gaussian_linear,
            _gaussian_linear_log_likelihood,
        ),
        Task(
            "gaussian_linear_uniform",
            _uniform(1.0, 10),
            _gaussian_linear,
            _gaussian_linear_log_likelihood,
            1.0,
        ),
        Task("slcp", _uniform(3.0, 5), _slcp, _slcp_log_likelihood, 3.0),
    )
}


def metropolis(task: Task, theta: Tensor, x: Tensor, *, steps: int, seed: int = 0) -> Tensor:
    """Random walks from each theta that leave the posterior given x, shape (1, D) or one a row, invariant."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        spread = theta.std(0)
        log_density = task.log_likelihood(theta, x) + task.prior.log_prob(theta)
        for _ in range(steps):
            scale = 10.0 ** (
                -2.0 * torch.rand(len(theta), 1)
            )  # whatever the posterior's width, some steps fit
            proposal = theta + scale * spread * torch.randn_like(theta)
            proposal_density = torch.where(
                task.in_support(proposal),
                task.log_likelihood(proposal, x) + task.prior.log_prob(proposal),
                -math.inf,
            )
            accepted = torch.rand(len(theta)).log() < proposal_density - log_density
            theta = torch.where(accepted[:, None], proposal, theta)
            log_density = torch.where(accepted, proposal_density, log_density)
    return theta


def moved(task: Task, theta: Tensor, x: Tensor, *, steps: int = 1000) -> float:
    """How far random walks carry theta's law: the largest Kolmogorov-Smirnov distance of any marginal.

    The log-likelihood counts as one. Nothing moves but by chance where theta is drawn from the posterior.
    """
    after = metropolis(task, theta, x, steps=steps)
    before, after = (torch.column_stack((t, task.log_likelihood(t, x))) for t in (theta, after))
    return max(
        float(ks_2samp(a, b).statistic) for a, b in zip(before.T.numpy(), after.T.numpy(), strict=True)
    )


if __name__ == "__main__":
    reference = Path(sys.argv[1])
    limit = 1.95 * math.sqrt(2.0 / 10_000)  # p = 0.001 for two independent sets of 10,000
    print(f"Kolmogorov-Smirnov distances; expected below {limit:.4f}")
    for task in TASKS.values():
        joint = moved(task, *task.simulations(10_000, seed=0))
        shipped = [
            moved(task, task.reference_samples(reference, number), task.observation(reference, number))
            for number in OBSERVATIONS
        ]
        print(
            f"{task.name}: simulator against likelihood {joint:.4f}, "
            f"likelihood against shipped samples {max(shipped):.4f} (largest of {len(shipped)})"
        )
