"""Conditional Glow and conditional HINT against a posterior in closed form: linear-Gaussian images.

Each network learns p(x | y) by amortized maximum likelihood from simulations that never repeat; the exact
posterior is not used in training. Then, on held-out data, with q for the network and norms over all cells and
all held-out y:

    mean           |E_q[x | y] - E[x | y]| / |E[x | y]|, at most 0.02
    std            |std_q(x | y) - std(x | y)| / |std(x | y)|, at most 0.05
    log-density    mean of (log p(x | y) - log q(x | y)) / D over pairs, the KL divergence a cell averaged
                   over y, at most 0.02 nats; also the mean of its absolute value

The same figures of the exact posterior show the error of sampling, those of three wrong posteriors that a
wrong answer fails.

Run (an hour on one core):
    OMP_NUM_THREADS=1 python examples/benchmarks/linear_gaussian.py
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, final

import torch
from gaussian_images import GaussianImages, GaussianPosterior
from linear_gaussian_figure import Column, draw
from record import record
from torch import Tensor, nn

from posterior.flow import ConditionalFlow
from posterior.networks.base import InvertibleNetwork
from posterior.networks.conditional_hint import ConditionalHINT
from posterior.networks.glow import ConditionalGlow
from posterior.plots.style import save
from posterior.summary import UNet
from posterior.training.ema import averaged_copy, update_average

GALLERY = Path(__file__).resolve().parents[1] / "gallery"
BARS = {"mean": 0.02, "std": 0.05, "log_density": 0.02}
STEPS, BATCH, RATE, WARM_UP = 10_000, 64, 5e-3, 200
HELD_OUT, DRAWS, PAIRS = 64, 4096, 4096
"""Held-out y for mean and std, draws for each; held-out pairs for the log-density."""


class Posterior(Protocol):
    """What is compared: a flow, or a Gaussian."""

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Log-density of x (B, 1, nx, nz) given y, shape (B,)."""

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, 1, nx, nz) to draws given one y, with the log-determinant."""


@final
class Survey(nn.Module):
    """What the summary network sees of y: its values at unit variance, and the illumination.

    Args:
        problem: Where y comes from.

    Shapes:
        y: (B, 1, nx, nz). Result: (B, 2, nx, nz).
    """

    def __init__(self, problem: GaussianImages) -> None:
        super().__init__()
        self.scale = float(problem.data_covariance.diagonal().mean().sqrt())
        light = problem.illumination.float()
        self.register_buffer("light", (light - light.mean()) / light.std())

    def forward(self, y: Tensor) -> Tensor:
        """Return the two channels."""
        return torch.cat((y / self.scale, self.light.expand_as(y)), 1)


def glow(problem: GaussianImages) -> ConditionalFlow:
    """A conditional Glow of eight flow steps on two scales."""
    return _flow(problem, ConditionalGlow(1, 8, hidden=32, scales=2, steps=4, memory="store"))


def hint(problem: GaussianImages) -> ConditionalFlow:
    """A conditional HINT of eight layers on two scales; the lane of y begins with two channels."""
    return _flow(problem, ConditionalHINT(1, 2, hidden=32, scales=2, steps=4, recursion=1, memory="store"))


def _flow(problem: GaussianImages, network: InvertibleNetwork) -> ConditionalFlow:
    summary = nn.Sequential(Survey(problem), UNet(2, network.cond_channels, width=32, levels=3))
    return ConditionalFlow(network, summary)


NETWORKS = {"glow": glow, "hint": hint}


def train(flow: ConditionalFlow, problem: GaussianImages, steps: int, *, seed: int) -> ConditionalFlow:
    """Maximise the likelihood of fresh pairs: Adam, one cosine, clipped gradients; the averaged weights."""
    simulate, exact = problem.simulator(seed), problem.posterior()
    optimiser = torch.optim.Adam(flow.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
    )
    average, gap = averaged_copy(flow), 0.0
    for step in range(steps):
        x, y = simulate(BATCH)
        log_prob = flow(x, y)
        (-log_prob.mean() / x[0].numel()).backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        update_average(average, flow, decay=0.999, step=step)
        gap += float((exact.log_prob(x, y) - log_prob.detach()).mean()) / x[0].numel()
        if (step + 1) % (every := max(1, steps // 20)) == 0:
            say(f"step {step + 1} of {steps}: {gap / every:.4f} nats a cell short of the exact log-density")
            gap = 0.0
    return average


class Moments(NamedTuple):
    """Means and standard deviations of every cell, (n, 1, nx, nz), one for each y."""

    mean: Tensor
    std: Tensor


@torch.no_grad()
def moments(posterior: Posterior, observed: Tensor, *, seed: int) -> Moments:
    """Moments of many draws for each of the observations."""
    generator = torch.Generator().manual_seed(seed)
    means, stds = [], []
    for y in observed:
        z = latents(DRAWS, y.shape, generator)
        x = torch.cat([posterior.decode(part, y[None])[0] for part in z.split(1024)]).double()
        means.append(x.mean(0))
        stds.append(x.std(0))
    return Moments(torch.stack(means), torch.stack(stds))


def latents(count: int, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Standard normal latents (count, 1, nx, nz), arranged so that moments of draws converge fast.

    Every one is N(0, I). They come as orthogonal sets, each with its mirror image: the mean of an affine
    map's values is exact, and their variance has a tenth of the error of independent draws.

    Source:
        Yu et al., Orthogonal random features, NeurIPS 2016, section 3 (orthogonal directions, independent
        lengths).
    """
    cells = math.prod(shape)
    white = torch.randn((-(-count // (2 * cells)), cells, cells), generator=generator)
    directions, triangle = torch.linalg.qr(white.double())
    # The signs make the distribution of the orthogonal matrix uniform.
    directions = directions * triangle.diagonal(dim1=1, dim2=2).sign()[:, None]
    lengths = torch.randn(white.shape, generator=generator).norm(dim=2)
    half = (directions.mT * lengths[:, :, None]).float().flatten(0, 1)
    return torch.cat((half, -half), 1).view(-1, *shape)[:count]


@torch.no_grad()
def compare(posterior: Posterior, problem: GaussianImages) -> tuple[dict[str, Any], Moments]:
    """The figures of one posterior, and its moments for the held-out y."""
    exact, simulate = problem.posterior(), problem.simulator(seed=1000)
    x, y = simulate(PAIRS)
    cells = x[0].numel()
    batches = zip(x.split(256), y.split(256), strict=True)
    gap = torch.cat([exact.log_prob(*pair) - posterior.log_prob(*pair) for pair in batches]) / cells
    found = moments(posterior, y[:HELD_OUT], seed=2000)
    mean, std = exact.mean(y[:HELD_OUT]), exact.std.view_as(x[0])
    shift = found.mean - mean
    figures = {
        "mean": float(shift.norm() / mean.norm()),
        "std": float((found.std - std).norm() / (len(shift) ** 0.5 * std.norm())),
        "log_density": float(gap.mean()),
        "log_density_standard_error": float(gap.std()) / len(gap) ** 0.5,
        "log_density_absolute": float(gap.abs().mean()),
        "log_density_lost_by_the_mean": float(exact.squares(shift).mean()) / (2 * cells),
        "std_of_the_average_over_y": float((found.std.mean(0) - std).norm() / std.norm()),
    }
    return figures | {"within": {name: figures[name] <= bar for name, bar in BARS.items()}}, found


def wrong_posteriors(problem: GaussianImages) -> dict[str, GaussianPosterior]:
    """What must fail: too wide; that of half the noise; right moments of every cell but no correlations."""
    exact = problem.posterior()
    return {
        "std 1.2 times too large": GaussianPosterior(exact.gain, 1.44 * exact.covariance),
        "half the noise": replace(problem, noise=problem.noise / 2).posterior(),
        "independent cells": GaussianPosterior(exact.gain, exact.covariance.diagonal().diag()),
    }


def say(message: str) -> None:
    """A line of progress, with the time of day."""
    print(time.strftime("%H:%M:%S"), message, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=[*NETWORKS, "both"], default="both")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training, for each network")
    parser.add_argument("--seed", type=int, default=0, help="of first weights and simulations")
    return parser.parse_args()


def main() -> None:
    """Train, compare, draw."""
    ...


if __name__ == "__main__":
    main()
