"""Conditional Glow and conditional HINT against a posterior in closed form: linear-Gaussian images.

Each network learns p(x | y) by maximum likelihood from simulations that never repeat; the exact posterior has
no part in it. Then, for held-out y and with q for the network (see :func:`gaussian_errors.compare`):

    mean           |E_q[x | y] - E[x | y]| / |E[x | y]|: at most 0.02
    std            |std_q(x | y) - std(x | y)| / |std(x | y)|: at most 0.05
    log-density    mean of (log p(x | y) - log q(x | y)) / D: at most 0.02 nats

The same figures of the exact posterior show the error of sampling; those of three wrong posteriors, that each
bar can be failed.

Run:
    OMP_NUM_THREADS=1 python examples/benchmarks/linear_gaussian.py
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import final

import torch
from gaussian_errors import BARS, DRAWS, OBSERVATIONS, Comparison, Posterior, compare
from gaussian_images import GaussianImages, GaussianPosterior
from linear_gaussian_figure import Column, draw
from matplotlib.figure import Figure
from record import record
from torch import Tensor, nn

from posterior.flow import ConditionalFlow
from posterior.networks.base import InvertibleNetwork
from posterior.networks.conditional_hint import ConditionalHINT
from posterior.networks.glow import ConditionalGlow
from posterior.plots.style import save
from posterior.reversible import Memory
from posterior.summary import UNet
from posterior.training.ema import averaged_copy, update_average

GALLERY = Path(__file__).resolve().parents[1] / "gallery"
NETWORKS = {"glow": "Conditional Glow", "hint": "Conditional HINT"}
STEPS = {"glow": 8000, "hint": 6000}
BATCH, RATE, WARM_UP, CLIP, DECAY = 64, 4e-3, 200, 1.0, 0.999
MEMORY = Memory("invert", keep=True)
PAIRS, HELD_OUT_SEED = 4096, 1_000_000


@final
class Illuminated(nn.Module):
    """What the summary network sees of y: its values, and their illumination, each of unit variance.

    Args:
        problem: Where y comes from.

    Shapes:
        y: (B, 1, nx, nz). Result: (B, 2, nx, nz).
    """

    def __init__(self, problem: GaussianImages) -> None:
        super().__init__()
        self.scale = float(problem.data_covariance.diagonal().mean().sqrt())
        light = problem.illumination.float()
        self.light = nn.Buffer((light - light.mean()) / light.std())

    def forward(self, y: Tensor) -> Tensor:
        """Return the two channels."""
        return torch.cat((y / self.scale, self.light.expand_as(y)), 1)


def build(name: str, problem: GaussianImages) -> ConditionalFlow:
    """Eight layers on two scales, behind a U-net that sees y and its illumination."""
    network: InvertibleNetwork
    if name == "glow":
        network = ConditionalGlow(1, 8, hidden=32, scales=2, steps=4, memory=MEMORY)
    else:  # its layers transform the condition too: fewer channels, each part divided once
        network = ConditionalHINT(1, 2, hidden=32, scales=2, steps=4, recursion=1, memory=MEMORY)
    summary = nn.Sequential(Illuminated(problem), UNet(2, network.cond_channels, width=32))
    return ConditionalFlow(network, summary)


def train(flow: ConditionalFlow, problem: GaussianImages, *, steps: int, seed: int) -> ConditionalFlow:
    """Adam with warm-up, a cosine to zero and clipped gradients; returns the averaged weights."""
    simulate, exact = problem.simulator(seed), problem.posterior()
    cells, every = problem.size**2, max(1, steps // 20)
    optimiser = torch.optim.Adam(flow.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(1.0, (step + 1) / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * step / steps)),
    )
    average, behind = averaged_copy(flow), 0.0
    for step in range(steps):
        x, y = simulate(BATCH)
        log_prob = flow(x, y)
        (-log_prob.mean() / cells).backward()
        nn.utils.clip_grad_norm_(flow.parameters(), CLIP)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        update_average(average, flow, decay=DECAY, step=step)
        behind += float((exact.log_prob(x, y) - log_prob.detach()).mean()) / (cells * every)
        if (step + 1) % every == 0:
            say(f"step {step + 1} of {steps}: {behind:.4f} nats a cell behind the exact log-density")
            behind = 0.0
    return average


def wrong_posteriors(problem: GaussianImages) -> dict[str, Posterior]:
    """What must fail: too wide; that of half the noise; right moments of every cell, no correlations."""
    exact = problem.posterior()
    return {
        "std 1.2 times too large": GaussianPosterior(exact.gain, 1.2**2 * exact.covariance),
        "half the noise": replace(problem, noise=problem.noise / 2).posterior(),
        "independent cells": GaussianPosterior(exact.gain, exact.std.square().diag()),
    }


def picture(problem: GaussianImages, x: Tensor, y: Tensor, compared: Mapping[str, Comparison]) -> Figure:
    """The figure of the first held-out pair."""

    def column(key: str, title: str) -> Column:
        figures, moments = compared[key]
        mean, std = (moment[0, 0].numpy() for moment in moments)
        return Column(title, mean, std, figures["mean"], figures["std"])

    given = {"Truth x": x[0, 0], "Data y": y[0, 0], "Illumination": problem.illumination}
    return draw(
        {title: image.numpy() for title, image in given.items()},
        column("exact", "Exact"),
        [column(*network) for network in NETWORKS.items()],
        column("half the noise", "Half the noise"),
    )


def say(message: str) -> None:
    """A line of progress, with the time of day."""
    print(time.strftime("%H:%M:%S"), message, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=[*NETWORKS, "both"], default="both")
    parser.add_argument("--steps", type=int, help=f"of training, for each network; by default {STEPS}")
    parser.add_argument("--seed", type=int, default=0, help="of first weights and simulations")
    return parser.parse_args()


def main() -> None:
    """Train, compare, record the figures and draw."""
    options, problem = arguments(), GaussianImages()
    problem.check()
    exact, wrong = problem.posterior(), wrong_posteriors(problem)
    networks: dict[str, Posterior] = {}
    training: dict[str, dict[str, float]] = {}
    for name in NETWORKS if options.network == "both" else [options.network]:
        say(f"{NETWORKS[name]}: training")
        torch.manual_seed(options.seed)
        flow, steps, start = build(name, problem), options.steps or STEPS[name], time.process_time()
        networks[name] = train(flow, problem, steps=steps, seed=options.seed)
        training[name] = {
            "parameters": sum(parameter.numel() for parameter in flow.parameters()),
            "steps": steps,
            "processor_seconds": time.process_time() - start,
        }
    x, y = problem.simulator(HELD_OUT_SEED)(PAIRS)
    say("comparing")
    compared = {
        name: compare(posterior, exact, x, y)
        for name, posterior in {"exact": exact, **wrong, **networks}.items()
    }
    figures = {
        "bars": BARS,
        "problem": asdict(problem) | {"posterior_std": [float(exact.std.min()), float(exact.std.max())]},
        "training": {"seed": options.seed, "batch": BATCH, "learning_rate": RATE, **training},
        "held_out": {"pairs": PAIRS, "observations": OBSERVATIONS, "draws_an_observation": DRAWS},
        "networks": {NETWORKS[name]: compared[name].figures for name in networks},
        "exact": compared["exact"].figures,
        "wrong": {name: compared[name].figures for name in wrong},
    }
    if options.network == "both" and options.steps is None:
        record("linear_gaussian", figures)
        save(picture(problem, x, y, compared), GALLERY / "linear_gaussian", formats=("png",))
    else:  # part of the comparison is no result
        print(json.dumps(figures, indent=1))
    passed = {name: all(compared[name].figures["within_bars"].values()) for name in (*networks, *wrong)}
    if passed != dict.fromkeys(networks, True) | dict.fromkeys(wrong, False):
        sys.exit(f"expected every network within the bars and no wrong posterior, got {passed}")


if __name__ == "__main__":
    main()
