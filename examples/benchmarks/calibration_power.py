"""Which calibration test finds which fault of a posterior of images, with how many pairs.

Correlated linear-Gaussian images of 8 x 8 cells (``gaussian_images``), whose exact posterior is known. Every
trial draws held-out pairs, gives each pair draws of a right or a wrong posterior, and runs every test at the
5 % level. Where sbi is installed, its ``check_tarp`` stands beside ours on the same credibilities.

    python examples/benchmarks/calibration_power.py [--right 500] [--wrong 100]
"""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, final

import numpy as np
from gaussian_images import GaussianImages
from numpy.typing import NDArray
from record import record

from posterior.uq.c2st import local_c2st
from posterior.uq.calibration import Coverage, CoverageCurve
from posterior.uq.coverage import coverage_test
from posterior.uq.functionals import block_mean, cell, data_misfit, energy, principal_scores
from posterior.uq.modes import principal_modes
from posterior.uq.ranks import FunctionalRanks, holm
from posterior.uq.reliability import CalibrationErrorFit
from posterior.uq.sbc import rank_test
from posterior.uq.tarp import Tarp, TarpResult, data_reference

Array = NDArray[np.float64]
SIZE, DRAWS, PAIRS, LEVEL = 8, 100, (60, 300), 0.05


@final
@dataclass(frozen=True)
class Fault:
    """How a posterior departs from the right one."""

    scale: float = 1.0
    """Factor on the std of every cell."""
    shift: float = 0.0
    """Shift of every cell, in its posterior std."""
    independent: bool = False
    """Cells drawn on their own: right one by one, wrong together."""
    ignores_data: bool = False
    """The prior in place of the posterior."""


FAULTS = {
    "right": Fault(),
    "std 30 % too small": Fault(scale=0.7),
    "std 15 % too small": Fault(scale=0.85),
    "std 30 % too large": Fault(scale=1.3),
    "shifted by 0.3 std": Fault(shift=0.3),
    "cells independent": Fault(independent=True),
    "ignores the data": Fault(ignores_data=True),
}


@final
class Problem:
    """Pairs and draws in numpy."""

    def __init__(self) -> None:
        images = GaussianImages(size=SIZE)
        exact = images.posterior()
        self.noise = images.noise
        self.operator, self.prior = images.operator.numpy(), images.prior.numpy()
        self.gain, self.covariance = exact.gain.numpy(), exact.covariance.numpy()
        self.prior_root = np.linalg.cholesky(self.prior)
        training = np.random.default_rng(0).standard_normal((2000, SIZE**2)) @ self.prior_root.T
        self.training = training.reshape(-1, SIZE, SIZE)
        self.modes = principal_modes(self.training, 3)

    def pairs(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Truths and observations, each (count, size, size)."""
        x = rng.standard_normal((count, SIZE**2)) @ self.prior_root.T
        y = x @ self.operator.T + self.noise * rng.standard_normal(x.shape)
        return x.reshape(-1, SIZE, SIZE), y.reshape(-1, SIZE, SIZE)

    def draws(self, y: Array, fault: Fault, rng: np.random.Generator) -> Array:
        """Draws for each observation, (count, DRAWS, size, size)."""
        covariance = self.prior if fault.ignores_data else self.covariance
        std = np.sqrt(np.diag(covariance))
        mean = y.reshape(len(y), -1) @ self.gain.T * (not fault.ignores_data) + fault.shift * std
        root = np.diag(std) if fault.independent else np.linalg.cholesky(covariance)
        white = rng.standard_normal((len(y), DRAWS, SIZE**2))
        return (mean[:, None] + fault.scale * white @ root.T).reshape(len(y), DRAWS, SIZE, SIZE)

    def forward(self, images: Array) -> Array:
        """Noise-free data of images."""
        return (images.reshape(len(images), -1) @ self.operator.T).reshape(images.shape)

    def estimate(self, y: Array) -> Array:
        """A cruder estimate than the posterior mean: the adjoint image, scaled."""
        return 0.5 * (y.ravel() @ self.operator).reshape(y.shape)


def trial(problem: Problem, fault: Fault, seed: int) -> dict[int, dict[str, float]]:
    """p-value of every test, by number of pairs."""
    rng = np.random.default_rng(seed)
    truths, observed = problem.pairs(PAIRS[-1], rng)
    draws = problem.draws(observed, fault, rng)
    everywhere, half = np.ones((SIZE, SIZE), dtype=bool), np.arange(SIZE) < SIZE // 2
    ranks = FunctionalRanks(
        {
            "cell": cell(SIZE // 2, SIZE // 2),
            "block mean": block_mean(everywhere & half),
            "energy": energy(everywhere),
            "data misfit": data_misfit(problem.forward, problem.noise),
        }
        | principal_scores(problem.modes)
    )
    coverage = Coverage()
    tarps = {
        "own draw": Tarp(),
        "prior image": Tarp(),
        "data": Tarp(),
        "data, 2 directions": Tarp(directions=2),
    }
    errors = {count: CalibrationErrorFit() for count in PAIRS}
    for pair, (truth, y, samples) in enumerate(zip(truths, observed, draws, strict=True)):
        coverage.update(samples, truth)
        ranks.update(samples, truth, y)
        away = data_reference(problem.estimate(y), problem.training, rng=rng)
        prior = problem.training[rng.integers(len(problem.training))]
        for name, point in zip(tarps, (None, prior, away, away), strict=True):
            tarps[name].update(samples, truth, point)
        for count, fit in errors.items():
            if pair < count:
                fit.update(samples, truth)
    scores = problem.modes.scores
    reduced = (
        scores(truths),
        scores(draws.reshape(-1, SIZE, SIZE)).reshape(len(draws), DRAWS, -1),
        scores(observed),
    )
    results: dict[int, dict[str, float]] = {}
    for count in PAIRS:
        curve = coverage.curve()
        part = CoverageCurve(curve.levels, curve.pairs[:count], curve.cells[:count])
        sbc = {n: rank_test(r[:count], DRAWS, cumulative=True).p_value for n, r in ranks.ranks().items()}
        cut = {name: replace(t.result(), ranks=t.result().ranks[:count]) for name, t in tarps.items()}
        results[count] = {
            "coverage, all levels": coverage_test(part),
            "std against error": errors[count].result().p_value,
            **{f"SBC {name}": p for name, p in sbc.items()},
            "SBC, all of these (Holm)": min(holm(sbc).values()),
            **{f"TARP, {name}": result.p_value for name, result in cut.items()},
            **{f"sbi check_tarp, {name}": p for name, result in cut.items() for p in check_tarp(result)},
            "L-C2ST, overall": local_c2st(*(part[:count] for part in reduced), trials=499).overall.p_value,
        }
    return results


def check_tarp(result: TarpResult) -> list[float]:
    """The p-value of sbi on the same credibilities, if sbi is there."""
    if importlib.util.find_spec("sbi") is None:
        return []
    import torch
    from sbi.diagnostics import check_tarp as check

    shares = result.ranks / result.num_samples
    # As sbi makes its curve: a histogram of a tenth as many bins as pairs over the range of the shares.
    counts, alpha = torch.histogram(torch.as_tensor(shares), bins=max(len(shares) // 10, 1), density=True)
    ecp = torch.cat([torch.zeros(1), torch.cumsum(counts, 0) / counts.sum()])
    return [float(check(ecp, alpha)[1])]


def main() -> None:
    """Run all trials and write the table of rejection rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--right", type=int, default=500, help="trials of the right posterior")
    parser.add_argument("--wrong", type=int, default=100, help="trials of every wrong one")
    arguments = parser.parse_args()
    problem, start = Problem(), perf_counter()
    table: dict[str, Any] = {}
    for number, (name, fault) in enumerate(FAULTS.items()):
        trials = arguments.right if name == "right" else arguments.wrong
        p_values = [trial(problem, fault, 10_000 * number + seed) for seed in range(trials)]
        table[name] = {
            f"{count} pairs": {
                test: float(np.mean([p[count][test] <= LEVEL for p in p_values]))
                for test in p_values[0][count]
            }
            for count in PAIRS
        }
        print(name, f"{perf_counter() - start:.0f} s", table[name]["300 pairs"], flush=True)
    figures = {
        "level": LEVEL,
        "draws": DRAWS,
        "cells": SIZE**2,
        "trials": {"right": arguments.right, "wrong": arguments.wrong},
        "seconds": round(perf_counter() - start, 1),
        "rejection_rate": table,
    }
    record("calibration_power", figures)


if __name__ == "__main__":
    main()
