"""Ranks of every cell of an image among posterior draws: sbi's ``run_sbc`` and ours, on the same draws.

sbi ranks one number of one pair after another; ours are those of all cells of a pair at once. Draws are made
before and handed to ``run_sbc`` through the adapter, so that neither side's time holds any sampling but
sbi's copy of the draws, which is also timed by itself and taken off. Steps in turn, medians of ratios.

    OMP_NUM_THREADS=1 python examples/benchmarks/sbi_ranks.py [--pairs 50] [--draws 200]    # needs sbi
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from importlib import metadata
from typing import Any, final

import numpy as np
import torch
from measure import seconds_in_turn
from numpy.typing import NDArray
from record import record
from sbi.diagnostics import run_sbc
from sbi.diagnostics.sbc import check_uniformity_frequentist

from posterior.interop.sbi import SbiPosterior, SbiShapes
from posterior.uq.calibration import rank

SIZE, ROUNDS, NOISE = 128, 3, 0.5
Images = NDArray[np.float32]


@final
class Stored:
    """A posterior whose draws (pairs, S, 1, n, n) were made before; an observation is the pair's number."""

    def __init__(self, draws: Images) -> None:
        self.draws = draws

    def sample(self, num_samples: int, y: Images, *, seed: int, batch_size: int) -> Images:
        """The draws of one pair."""
        return self.draws[int(y.flat[0]), :num_samples]

    def log_prob(self, x: Images, y: Images) -> NDArray[np.float64]:
        """Not asked for by ranks."""
        raise ValueError("expected no call for a density, got one")


def pairs(count: int, draws: int, seed: int) -> tuple[Images, Images]:
    """Truths (P, 1, n, n), and draws (P, S, 1, n, n) that are a little too narrow."""
    rng = np.random.default_rng(seed)
    truths = rng.standard_normal((count, 1, SIZE, SIZE), dtype=np.float32)
    mean = truths + NOISE * rng.standard_normal(truths.shape, dtype=np.float32)
    drawn = mean[:, None] + 0.9 * NOISE * rng.standard_normal((count, draws, 1, SIZE, SIZE), dtype=np.float32)
    return truths, drawn


def ours(truths: Images, drawn: Images) -> NDArray[np.int64]:
    """Ranks (P, cells), pair by pair as they stream in."""
    return np.stack([rank(draws, truth).ravel() for truth, draws in zip(truths, drawn, strict=True)])


def main() -> None:
    """Compare the ranks, then the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--draws", type=int, default=200)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # sbi's own, on few pairs
    truths, drawn = pairs(arguments.pairs, arguments.draws, seed=0)
    shapes = SbiShapes(x=(1, SIZE, SIZE), y=(1,), mean=(0.0,), std=(1.0,))
    adapter = SbiPosterior(Stored(drawn), shapes)
    thetas, xs = adapter.theta(truths), torch.arange(float(arguments.pairs))[:, None]
    kept: dict[str, Any] = {}

    def theirs() -> None:
        kept["sbi"], _ = run_sbc(thetas, xs, adapter, arguments.draws, show_progress_bar=False)

    steps = {
        "sbi run_sbc": theirs,
        "sbi's copy of the draws": lambda: adapter.sample_batched((arguments.draws,), xs),
        "ours": lambda: kept.update(ours=ours(truths, drawn)),
    }
    times = seconds_in_turn(steps, ROUNDS)
    ranking = [all_ - copy for all_, copy in zip(*list(times.values())[:2], strict=True)]
    ratios = [own / fast for own, fast in zip(ranking, times["ours"], strict=True)]
    found = kept["sbi"].numpy().astype(np.int64)
    # Where a draw equals the truth in float32, sbi does not count it, and ours does by the toss of a coin.
    tied = (drawn == truths[:, None]).sum(axis=1).reshape(found.shape)
    beyond = (kept["ours"] < found) | (kept["ours"] > found + tied)
    p_values = check_uniformity_frequentist(kept["sbi"][:, :50], arguments.draws)
    figures = {
        "sbi": metadata.version("sbi"),
        "cells": SIZE**2,
        "pairs": arguments.pairs,
        "draws": arguments.draws,
        "rounds": ROUNDS,
        "ranks_compared": int(found.size),
        "ranks_with_ties": int(np.count_nonzero(tied)),
        "ranks_that_differ": int(np.count_nonzero(found != kept["ours"])),
        "ranks_that_differ_by_more_than_ties": int(np.count_nonzero(beyond)),
        "range_of_ranks": [int(found.min()), int(found.max())],
        "median_p_of_50_cells_by_sbi": float(np.median(np.asarray(p_values))),
        "seconds": {name: statistics.median(values) for name, values in times.items()},
        "sbi_without_its_copy_over_ours": {"median": statistics.median(ratios), "least": min(ratios)},
    }
    record("sbi_ranks", figures)


if __name__ == "__main__":
    main()
