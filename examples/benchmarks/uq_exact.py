"""Every statistic of posterior.uq against its exact value, on closed-form posteriors of images.

One observation of a linear-Gaussian image of 16 x 16 cells (``gaussian_images``) has a Gaussian posterior in
closed form. Each of 100 runs draws it 2000 times and estimates everything; truths are drawn from the
posterior too, which is what they are given the observation. Per statistic, over all its cells: exact value,
estimate (mean over runs), standard error of that, z; and the p-value of all cells together, by random signs
of whole runs. Last, all statistics together; and the same of draws that are a little wrong, to show what it
finds.

Quantiles are compared in probability, where those of finitely many draws are unbiased: F of the quantile,
with the exact F. The interval score leaves out cells whose truth lies so near a bound that the kink of the
score falls within the bound's error.

Two are biased by construction, say so, and are left out of the joint test: highest-density intervals (chosen
for shortness) and entropy (from gaps); how far, in errors of one run, ``bias_in_errors_of_a_run`` says.

    OMP_NUM_THREADS=1 python examples/benchmarks/uq_exact.py [--runs 100]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from gaussian_closed_forms import Array, GaussianCells, small_sample_std
from record import record
from scipy.stats import norm
from uq_exact_problem import DRAWS, SIZE, Problem, Run, Statistic

from posterior import uq
from posterior.uq.coverage import sign_flip_test
from posterior.uq.entropy import entropy
from posterior.uq.moments import ShapeMoments

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
THRESHOLD, DEPTH, SHARES, POINT, MODES = 0.5, 4, np.array([0.0, 0.25, 0.5, 0.75, 1.0]), (8, 8), 3
BIASED = ("highest-density interval, 90 %", "entropy")


def by_cell(problem: Problem) -> dict[str, Statistic]:
    """Statistics of single cells."""
    exact, fixed, wide = problem.exact, problem.fixed, norm.ppf(0.95)
    levels = np.broadcast_to(LEVELS[:, None, None], (LEVELS.size, *fixed.shape))
    away = np.abs(np.abs(fixed - exact.mean) / exact.std - wide) > 0.2  # 4 errors of a bound
    others = np.arange(fixed.size).reshape(fixed.shape) != np.ravel_multi_index(POINT, fixed.shape)
    seen = (probability := exact.exceedance(THRESHOLD)) > 0.02
    seen &= probability < 0.98  # rarer: a skewed count
    both = np.stack([exact.mean - wide * exact.std, exact.mean + wide * exact.std])
    zero, prior = np.zeros_like(exact.mean), np.diag(problem.prior).reshape(exact.mean.shape)
    log_std = np.log(exact.std) + 0.5 * np.log(2.0 * np.pi)
    return {
        "mean": (exact.mean, lambda r: uq.mean(r.draws)),
        "std": (small_sample_std(DRAWS) * exact.std, lambda r: uq.std(r.draws)),
        "variance, streamed": (exact.std**2, lambda r: r.streamed(uq.Moments()).var),
        "skewness, streamed": (zero, lambda r: r.streamed(ShapeMoments()).skewness),
        "kurtosis, streamed": (zero, lambda r: r.streamed(ShapeMoments()).kurtosis),
        "quantiles, 5 to 95 %": (levels, lambda r: exact.cdf(uq.quantiles(r.draws, LEVELS))),
        "quantile sketch, 5 to 95 %": (
            levels,
            lambda r: exact.cdf(r.streamed(uq.QuantileSketch(seed=r.number)).quantiles(LEVELS)),
        ),
        "equal-tailed interval, 90 %": (
            levels[[0, -1]],
            lambda r: exact.cdf(np.stack(uq.credible_interval(r.draws))),
        ),
        "highest-density interval, 90 %": (both, lambda r: uq.highest_density_interval(r.draws)),
        "exceedance, streamed": (
            probability[seen],
            lambda r: r.streamed(uq.Exceedance(THRESHOLD)).probability[seen],
        ),
        "entropy": (log_std + 0.5, lambda r: entropy(r.draws)),
        "contraction": (1.0 - exact.std**2 / prior, lambda r: uq.contraction(uq.std(r.draws) ** 2, prior)),
        "correlation map": (
            exact.correlation(POINT)[others],
            lambda r: uq.correlation_map(r.draws, POINT)[others],
        ),
        "CRPS": (exact.crps(fixed), lambda r: uq.crps(r.draws, fixed)),
        "interval score, 90 %": (
            exact.interval_score(fixed, 0.9)[away],
            lambda r: uq.winkler_score(r.draws, fixed)[away],
        ),
        "Gaussian log score": (
            log_std + 0.5 * ((fixed - exact.mean) / exact.std) ** 2,
            lambda r: uq.gaussian_log_score(r.draws, fixed),
        ),
        "z-scores": (zero, lambda r: uq.z_scores(r.draws, r.truth)),
    }


def of_images(problem: Problem) -> dict[str, Statistic]:
    """Statistics of whole images, of traces, and of pairs."""
    exact, fixed = problem.exact, problem.fixed
    depth = np.arange(SIZE, dtype=np.float64)
    picker = uq.Picker("rise", THRESHOLD, top=float(DEPTH), base=DEPTH + 1.0)
    passed = exact.passage(DEPTH, THRESHOLD, SHARES)
    density = np.diff(passed, axis=0) / np.diff(SHARES)[:, None]
    common = np.diff(passed, axis=0) > 0.01
    reference = np.random.default_rng(9).multivariate_normal(np.zeros(SIZE**2), problem.prior)

    def horizon(run: Run) -> uq.Horizon:
        return uq.Horizon(picker.pick(run.draws, depth))

    def covered(run: Run) -> Array:
        coverage = uq.Coverage(np.array([0.5, 0.9]))
        coverage.update(run.draws, run.truth)
        return coverage.curve().pooled

    def credibility(run: Run) -> float:
        tarp = uq.Tarp()
        tarp.update(run.draws, run.truth, reference.reshape(SIZE, SIZE))
        return float(tarp.result().credibility[0])

    return {
        "energy score": (exact.energy_score(fixed), lambda r: uq.energy_score(r.draws, fixed)),
        "variogram score": (
            exact.variogram_score(fixed),
            lambda r: uq.variogram_score(r.draws, fixed, lags=[(1, 0), (0, 1)]),
        ),
        "log score": problem.log_score(),
        "data chi-square": problem.chi_square(),
        "principal modes, variances": (
            exact.mode_variances(MODES, DRAWS),
            lambda r: uq.principal_modes(r.draws, MODES).variance,
        ),
        "principal modes, total variance": (
            float(np.trace(exact.covariance)),
            lambda r: uq.principal_modes(r.draws, MODES).total_variance,
        ),
        "horizon, presence": (passed[-1], lambda r: horizon(r).presence),
        "horizon, density of depth": (
            density[common],
            lambda r: horizon(r).density(DEPTH + SHARES)[common],
        ),
        "z-scores, mean square": (
            (DRAWS - 1.0) / (DRAWS - 3.0),
            lambda r: (uq.z_scores(r.draws, r.truth) ** 2).mean(),
        ),
        "coverage, 50 and 90 %": (np.array([0.5, 0.9]), covered),
        "PIT, mean": (0.5, lambda r: uq.pit(uq.rank(r.draws, r.truth), DRAWS).mean()),
        "TARP credibility": (0.5, credibility),
    }


def departures(
    statistics: Mapping[str, Statistic], drawn: GaussianCells, runs: int, seed: int
) -> dict[str, Array]:
    """Estimate less exact value of every run, (runs, cells), of draws from ``drawn``; truths are right."""
    rng = np.random.default_rng(seed)
    right = Problem().exact
    found: dict[str, list[Array]] = {name: [] for name in statistics}
    for number in range(runs):
        run = Run(drawn.sample(DRAWS, rng), right.sample(1, rng)[0], number)
        for name, (value, estimate) in statistics.items():
            found[name].append((np.asarray(estimate(run)) - value).ravel())
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {runs}", end="", file=sys.stderr)
    return {name: np.stack(rows) for name, rows in found.items()}


def row(value: Any, rows: Array) -> dict[str, Any]:
    """The line of a statistic."""
    runs = len(rows)
    of_run = rows.mean(axis=1)
    error = of_run.std(ddof=1) / np.sqrt(runs)
    noise = rows.var(axis=0, ddof=1)
    # The mean square of a mean of runs is noise / runs where there is no bias.
    bias = max(0.0, float((rows.mean(axis=0) ** 2 - noise / runs).mean() / noise.mean())) ** 0.5
    return {
        "cells": rows.shape[1],
        "exact": float(np.mean(value)),
        "estimate": float(np.mean(value) + of_run.mean()),
        "standard_error": float(error),
        "z": float(of_run.mean() / error),
        "largest_z_of_a_cell": float(np.abs(rows.mean(axis=0) / np.sqrt(noise / runs)).max()),
        "p_all_cells": sign_flip_test(rows),
        "error_of_a_run": float(np.sqrt(noise.mean())),
        "bias_in_errors_of_a_run": bias,
    }


def together(found: Mapping[str, Array]) -> float:
    """p-value of all statistics and cells at once, but for those biased by construction."""
    return sign_flip_test(
        np.concatenate([rows for name, rows in found.items() if name not in BIASED], axis=1)
    )


def main() -> None:
    """The table, and what the joint test finds in draws that are a little wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    runs, problem = parser.parse_args().runs, Problem()
    exact, statistics = problem.exact, by_cell(problem) | of_images(problem)
    found = departures(statistics, exact, runs, seed=7)
    wrong = {
        "std 0.5 % too large": GaussianCells(exact.mean, 1.005**2 * exact.covariance),
        "shifted by 0.01 std": GaussianCells(exact.mean + 0.01 * exact.std, exact.covariance),
    }
    some = {
        name: statistics[name] for name in ("mean", "std", "quantiles, 5 to 95 %", "CRPS", "energy score")
    }
    figures = {
        "cells": SIZE**2,
        "draws": DRAWS,
        "runs": runs,
        "statistics": {name: row(statistics[name][0], rows) for name, rows in found.items()},
        "left_out_of_the_joint_test": BIASED,
        "numbers_tested_together": sum(rows.shape[1] for name, rows in found.items() if name not in BIASED),
        "p_all_together": together(found),
        "p_all_together_of_wrong_draws": {
            name: together(departures(some, drawn, runs, seed=8)) for name, drawn in wrong.items()
        },
    }
    record("uq_exact", figures)


if __name__ == "__main__":
    main()
