"""TARP as sbi runs and checks it beside ours, on the same right and wrong posteriors of images.

Correlated linear-Gaussian images of 8 x 8 cells and the faults of ``calibration_power``. Every trial draws
held-out pairs and 100 draws for each, and hands the same to sbi's ``run_tarp`` and ``check_tarp`` as they
come (references uniform over the box of the truths, cells scaled to it) and to ours. Between the two stands
our test of the credibilities with sbi's own references and scaling: what it finds and ``check_tarp`` does not
is lost by the check, not by the references.

    python examples/benchmarks/tarp_against_sbi.py [--right 500] [--wrong 100]    # needs sbi
"""

from __future__ import annotations

import argparse
import warnings
from importlib import metadata
from time import perf_counter
from typing import Any, final

import numpy as np
import torch
from calibration_power import DRAWS, FAULTS, LEVEL, SIZE, Array, Fault, Problem
from record import record
from sbi.diagnostics import check_tarp, run_tarp
from sbi.diagnostics.tarp import get_tarp_references

from posterior.uq.tarp import Tarp, data_reference

PAIRS = 300
AREA = "sbi area to curve, mean"


@final
class Drawn:
    """Draws made before, as sbi asks a posterior for them: thetas (S, n, D) of all observations at once."""

    def __init__(self, draws: Array) -> None:
        self.thetas = torch.as_tensor(draws.reshape(*draws.shape[:2], -1), dtype=torch.float32).transpose(
            0, 1
        )

    def sample_batched(
        self, shape: tuple[int, ...], x: torch.Tensor, show_progress_bars: bool
    ) -> torch.Tensor:
        """All the draws, whatever x."""
        return self.thetas


def trial(problem: Problem, fault: Fault, seed: int) -> dict[str, float]:
    """p-value of every test, and sbi's area."""
    rng = np.random.default_rng(seed)
    truths, observed = problem.pairs(PAIRS, rng)
    draws = problem.draws(observed, fault, rng)
    thetas = torch.as_tensor(truths.reshape(PAIRS, -1), dtype=torch.float32)
    xs = torch.as_tensor(observed.reshape(PAIRS, -1), dtype=torch.float32)
    torch.manual_seed(seed)
    references = get_tarp_references(thetas)
    curve = run_tarp(
        thetas, xs, Drawn(draws), references, num_posterior_samples=DRAWS, show_progress_bar=False
    )
    area, p_value = check_tarp(*curve)
    box = (thetas.amax(0) - thetas.amin(0)).double().numpy().reshape(SIZE, SIZE)
    tests = {"credibilities, sbi's references": Tarp(scale=box), "own draw": Tarp(), "data": Tarp()}
    for pair, (truth, y, samples) in enumerate(zip(truths, observed, draws, strict=True)):
        points = (
            references[pair].double().numpy().reshape(SIZE, SIZE),
            None,
            data_reference(problem.estimate(y), problem.training, rng=rng),
        )
        for test, point in zip(tests.values(), points, strict=True):
            test.update(samples, truth, point)
    ours = {f"ours, {name}": test.result().p_value for name, test in tests.items()}
    return {"sbi run_tarp and check_tarp": float(p_value), **ours, AREA: float(area)}


def summary(trials: list[dict[str, float]]) -> dict[str, Any]:
    """Rejection rates and median p-values, and the spread of sbi's area."""
    values = {name: np.array([one[name] for one in trials]) for name in trials[0]}
    areas = values.pop(AREA)
    rates = {
        name: {"rejected": float((p <= LEVEL).mean()), "median_p": float(np.median(p))}
        for name, p in values.items()
    }
    return rates | {AREA: {"mean": float(areas.mean()), "std": float(areas.std(ddof=1))}}


def main() -> None:
    """Run all trials and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--right", type=int, default=500, help="trials of the right posterior")
    parser.add_argument("--wrong", type=int, default=100, help="trials of every wrong one")
    arguments = parser.parse_args()
    problem, start, table = Problem(), perf_counter(), {}
    warnings.simplefilter("ignore")  # sbi's own
    for number, (name, fault) in enumerate(FAULTS.items()):
        count = arguments.right if name == "right" else arguments.wrong
        table[name] = summary([trial(problem, fault, 10_000 * number + seed) for seed in range(count)])
        print(name, f"{perf_counter() - start:.0f} s", table[name], flush=True)
    figures = {
        "sbi": metadata.version("sbi"),
        "level": LEVEL,
        "pairs": PAIRS,
        "draws": DRAWS,
        "cells": SIZE**2,
        "trials": {"right": arguments.right, "wrong": arguments.wrong},
        "posteriors": table,
    }
    record("tarp_against_sbi", figures)


if __name__ == "__main__":
    main()
