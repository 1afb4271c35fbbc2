"""sbi's diagnostics on our posteriors through the adapter, and our own numbers for the same draws.

Correlated linear-Gaussian images of 8 x 8 cells (``calibration_power``): the exact posterior and two wrong
ones. ``run_sbc`` on cells, with the log-density (expected coverage), and ``run_tarp`` draw from the
adapter; with torch's generator seeded alike it gives ours the same draws, and ranks must agree one by one.
``LC2ST`` is trained on principal scores, and asked about single observations, as ours is: two classifiers, so
that only verdicts compare.

    OMP_NUM_THREADS=1 python examples/benchmarks/sbi_diagnostics.py [--pairs 300]    # needs sbi
"""

from __future__ import annotations

import argparse
import warnings
from importlib import metadata
from typing import Any, NamedTuple, final

import numpy as np
import torch
from calibration_power import FAULTS, SIZE, Array, Fault, Problem
from numpy.typing import NDArray
from record import record
from sbi.diagnostics import LC2ST, run_sbc, run_tarp
from sbi.diagnostics.sbc import check_uniformity_frequentist
from sbi.diagnostics.tarp import get_tarp_references
from torch import Tensor

from posterior.interop.sbi import SbiPosterior, SbiShapes
from posterior.uq.c2st import local_c2st
from posterior.uq.calibration import rank
from posterior.uq.ranks import FunctionalRanks
from posterior.uq.sbc import rank_test
from posterior.uq.tarp import Tarp

DRAWS, SEED, TRIALS, OBSERVATIONS = 200, 11, 100, 20
POSTERIORS = ("right", "std 30 % too small", "ignores the data")
SHAPES = SbiShapes(x=(1, SIZE, SIZE), y=(1, SIZE, SIZE), mean=(0.0,), std=(1.0,))
Images = NDArray[np.float32]


@final
class Gaussian:
    """The exact posterior with a fault, as the adapter asks for it."""

    def __init__(self, problem: Problem, fault: Fault) -> None:
        self.problem, self.fault = problem, fault
        covariance = problem.prior if fault.ignores_data else problem.covariance
        self.root = fault.scale * np.linalg.cholesky(covariance)

    def mean(self, y: Images) -> Array:
        """Of one observation (1, n, n), flattened."""
        return self.problem.gain @ y.astype(np.float64).ravel() * (not self.fault.ignores_data)

    def sample(self, num_samples: int, y: Images, *, seed: int, batch_size: int) -> Images:
        """Draws (S, 1, n, n)."""
        white = np.random.default_rng(seed).standard_normal((num_samples, SIZE**2))
        return (self.mean(y) + white @ self.root.T).reshape(-1, *SHAPES.x).astype(np.float32)

    def log_prob(self, x: Images, y: Images) -> Array:
        """Log-densities (B,)."""
        white = np.linalg.solve(self.root, (x.astype(np.float64).reshape(len(x), -1) - self.mean(y)).T)
        return (
            -0.5 * ((white**2).sum(axis=0) + len(white) * np.log(2.0 * np.pi))
            - np.log(np.diag(self.root)).sum()
        )


class Pairs(NamedTuple):
    """Truths and observations (P, 1, n, n), as sbi's vectors, and all draws (P, S, 1, n, n)."""

    truths: Images
    observed: Images
    thetas: Tensor
    xs: Tensor
    draws: Images


def prepared(problem: Problem, adapter: SbiPosterior, count: int) -> Pairs:
    """Pairs, and the draws that the adapter will give to sbi for them after the same seed."""
    x, y = (a[:, None].astype(np.float32) for a in problem.pairs(count, np.random.default_rng(SEED)))
    thetas, xs = adapter.theta(x), adapter.flat_y(y)
    torch.manual_seed(SEED)
    draws = adapter.sample_batched((DRAWS,), xs)
    return Pairs(x, y, thetas, xs, SHAPES.to_x(draws.transpose(0, 1)))


def sbc(adapter: SbiPosterior, pairs: Pairs) -> dict[str, Any]:
    """Ranks of cells, and of the log-density: sbi's and ours."""
    torch.manual_seed(SEED)
    theirs, _ = run_sbc(pairs.thetas, pairs.xs, adapter, DRAWS, show_progress_bar=False)
    torch.manual_seed(SEED)
    levels, _ = run_sbc(
        pairs.thetas, pairs.xs, adapter, DRAWS, reduce_fns=adapter.log_prob, show_progress_bar=False
    )
    density = FunctionalRanks({"log q": adapter.posterior.log_prob})
    ours = []
    for truth, y, draws in zip(pairs.truths, pairs.observed, pairs.draws, strict=True):
        ours.append(rank(draws, truth).ravel())
        density.update(draws, truth, y)
    coverage = density.ranks()["log q"]
    checks = check_uniformity_frequentist(theirs, DRAWS)
    own = [rank_test(cell, DRAWS, cumulative=True).p_value for cell in np.stack(ours, axis=1)]
    return {
        "cells": {
            "ranks": int(theirs.numel()),
            "ranks_that_differ": int(np.count_nonzero(theirs.numpy() != np.stack(ours))),
            "share_of_cells_rejected_at_5_%": {
                "sbi": float(np.mean(np.asarray(checks) <= 0.05)),
                "ours": float(np.mean(np.array(own) <= 0.05)),
            },
        },
        "expected_coverage": {
            "ranks": len(coverage),
            "ranks_that_differ": int(np.count_nonzero(levels.numpy()[:, 0] != coverage)),
            "p": {
                "sbi": float(np.asarray(check_uniformity_frequentist(levels, DRAWS))[0]),
                "ours": rank_test(coverage, DRAWS, cumulative=True).p_value,
            },
        },
    }


def tarp(adapter: SbiPosterior, pairs: Pairs) -> dict[str, Any]:
    """The curve of sbi, and ours of the same references in the same units."""
    references = get_tarp_references(pairs.thetas)
    torch.manual_seed(SEED)
    curve, alpha = run_tarp(
        pairs.thetas, pairs.xs, adapter, references, num_posterior_samples=DRAWS, show_progress_bar=False
    )
    box = (pairs.thetas.amax(0) - pairs.thetas.amin(0)).double().numpy().reshape(SHAPES.x)
    own = Tarp(scale=box)
    for truth, draws, point in zip(pairs.truths, pairs.draws, references, strict=True):
        own.update(draws, truth, point.double().numpy().reshape(SHAPES.x))
    result = own.result()
    # As sbi counts: shares of draws nearer, bins closed on the left, the last one on both sides.
    shares = (result.ranks / DRAWS).astype(np.float32)
    inner = np.searchsorted(np.sort(shares), alpha.numpy()[1:-1], side="left") / len(shares)
    return {
        "largest_difference_of_the_curves": float(np.abs(inner - curve.numpy()[1:-1]).max()),
        "one_pair_is": 1.0 / len(shares),
        "p_of_ours": result.p_value,
    }


def lc2st(problem: Problem, adapter: SbiPosterior, pairs: Pairs) -> dict[str, Any]:
    """Share of observations whose posterior is rejected, on principal scores."""

    def scores(images: Images) -> Array:
        return problem.modes.scores(images[..., 0, :, :].reshape(-1, SIZE, SIZE))

    thetas, xs = (torch.as_tensor(scores(a), dtype=torch.float32) for a in (pairs.truths, pairs.observed))
    every = scores(pairs.draws).reshape(len(pairs.draws), DRAWS, -1)
    theirs = LC2ST(
        prior_samples=thetas,
        xs=xs,
        posterior_samples=torch.as_tensor(every[:, 0], dtype=torch.float32),
        num_trials_null=TRIALS,
    )
    theirs.train_under_null_hypothesis(verbosity=0)
    theirs.train_on_observed_data(verbosity=0)
    own = local_c2st(thetas.numpy(), every, xs.numpy(), trials=999)
    _, y = problem.pairs(OBSERVATIONS, np.random.default_rng(SEED + 1))
    p_values: dict[str, list[float]] = {"sbi LC2ST": [], "ours": []}
    for one in adapter.flat_y(y[:, None]):
        drawn = scores(SHAPES.to_x(adapter.sample((1000,), one)))
        given = problem.modes.scores(one.double().numpy().reshape(1, SIZE, SIZE))[0]
        sample = torch.as_tensor(drawn, dtype=torch.float32)
        p_values["sbi LC2ST"].append(
            theirs.p_value(sample, torch.as_tensor(given[None], dtype=torch.float32))
        )
        p_values["ours"].append(own.test(drawn, given).p_value)
    return {
        "observations": OBSERVATIONS,
        "rejected_at_5_%": {name: float(np.mean(np.array(p) <= 0.05)) for name, p in p_values.items()},
        "median_p": {name: float(np.median(p)) for name, p in p_values.items()},
        "overall_p_of_ours": own.overall.p_value,
    }


def main() -> None:
    """All diagnostics of all posteriors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=300)
    count, problem = parser.parse_args().pairs, Problem()
    warnings.simplefilter("ignore")  # sbi's own
    table = {}
    for name in POSTERIORS:
        adapter = SbiPosterior(Gaussian(problem, FAULTS[name]), SHAPES)
        pairs = prepared(problem, adapter, count)
        table[name] = sbc(adapter, pairs) | {
            "tarp": tarp(adapter, pairs),
            "lc2st": lc2st(problem, adapter, pairs),
        }
        print(name, table[name], flush=True)
    figures = {"sbi": metadata.version("sbi"), "pairs": count, "draws": DRAWS, "posteriors": table}
    record("sbi_diagnostics", figures)


if __name__ == "__main__":
    main()
