"""Every refinement on surveys unlike those of the training, with the wave equation as likelihood.

The network of ``examples/parihaka.toml`` (see :mod:`refinement_foreign`) is asked about patches of Marmousi
seen by half the shots and with twice the noise. It is corrected by the shots themselves, through Born
modelling and the noise's known covariance, at equal cost: 5 passes, which are 5 forward and 5 adjoint solves
of each shot; importance weights take 32 forward ones. Over surveys, in the cells below the mute:

    SNR       of the posterior mean [dB]
    chi2      mean over draws of |W (J x - d)|^2 / n; 1.0 at the truth
    coverage  share of cells whose truth lies in the central 90 % interval of 128 draws, and the same with the
              interval factor that Parihaka's calibration pairs give the amortized network

Two targets. "q": the amortized posterior stands for the prior; its y was made from the same shots, so these
count twice. "p": a flow of p(x | background), trained on the same Parihaka patches without their images.

Run, after ``seispost simulate|train examples/parihaka.toml``:
    OMP_NUM_THREADS=1 DEVITO_LOGGING=ERROR python examples/benchmarks/refinement_waves.py [--surveys 8]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from record import record
from refinement_foreign import Survey, foreign, prior_network, prior_of, survey
from refinement_scores import CHECKS, amortized, chi_square, in_distribution, judge

from physics.pairs import PairSimulator
from posterior import uq
from posterior.refine import (
    Importance,
    LatentCorrection,
    LatentMap,
    Method,
    RefineConfig,
    Refined,
    WarmStart,
    refine,
)
from posterior.sample import AmortizedPosterior

SURVEYS = 8
NAMES = ("snr_db", "chi_square", "coverage_raw", "coverage_factor", "seconds")


@final
@dataclass(frozen=True, eq=False)
class Asked:
    """The network, the prior's network, and the interval factor."""

    posterior: AmortizedPosterior
    network: AmortizedPosterior
    repair: uq.IntervalRecalibration


@final
@dataclass(frozen=True)
class Entry:
    """One line of the table."""

    method: Method
    config: RefineConfig
    target: Literal["q", "p"] = "q"
    after: str | None = None
    """The entry whose result is the proposal."""


def entries(shots: int) -> dict[str, Entry]:
    """What is compared; a proposal comes before what is built on it."""
    diagonal, ranked = LatentCorrection(), LatentCorrection(family="low_rank", size=16)
    few = RefineConfig(
        iterations=5 * shots, batch_size=1, draws="random", tail=0.5, check_draws=CHECKS, final_rate=1.0
    )  # one shot and one draw a step; the mean of the second half of the steps
    point = replace(
        LatentMap().defaults, budget=2 * 5 * shots + 2 * CHECKS * shots, check_draws=CHECKS
    )  # line searches take what they need: here the budget ends them
    return {
        "latent diagonal, q": Entry(diagonal, few),
        "latent low rank, q": Entry(ranked, few),
        "latent MAP, Adam, q": Entry(LatentMap(), replace(few, learning_rate=1e-2)),
        "latent MAP, L-BFGS, q": Entry(LatentMap(), point),
        "warm start, q": Entry(WarmStart(), replace(few, learning_rate=2e-3, clip_norm=1.0)),
        "latent diagonal, p": Entry(diagonal, few, "p"),
        "latent diagonal, q, 20 passes": Entry(
            diagonal, replace(few, iterations=20 * shots, final_rate=0.02)
        ),
        "importance after latent diagonal, p": Entry(
            Importance(num_draws=32), RefineConfig(check_draws=CHECKS), "p", "latent diagonal, p"
        ),
    }


def compare(case: Survey, ask: Asked, lines: dict[str, dict[str, Any]]) -> None:
    """Add the lines that are missing of one survey."""
    if "amortized" not in lines:
        lines["amortized"] = amortized(ask.posterior, case, ask.repair)
    known = entries(case.likelihood.num_sources)
    missing = {name: entry for name, entry in known.items() if name not in lines}
    proposals = {entry.after for entry in missing.values()}
    done: dict[str, Refined] = {}
    for name, entry in known.items():
        if name not in missing and name not in proposals:
            continue
        method, begin = entry.method, time.perf_counter()
        if entry.after is not None:
            assert isinstance(method, Importance)
            method = replace(method, proposal=done[entry.after])
        done[name] = refine(
            ask.posterior,
            case.y,
            case.likelihood,
            method=method,
            config=entry.config,
            prior=prior_of(ask.network, case) if entry.target == "p" else None,
            progress=False,
        )
        lines[name] = judge(done[name], case, ask.repair, time.perf_counter() - begin)
        print(name, {key: lines[name][key] for key in NAMES}, flush=True)


def summary(tables: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Mean and median over surveys of every figure, of the gain in SNR too; doubts by how often they came."""
    found: dict[str, dict[str, Any]] = {}
    for name in tables[0]:
        rows = [table[name] for table in tables]
        for row, table in zip(rows, tables, strict=True):
            row["snr_gain_db"] = row["snr_db"] - table["amortized"]["snr_db"]
        numbers = [key for key, value in rows[0].items() if isinstance(value, int | float)]
        columns = {key: [row[key] for row in rows if key in row] for key in numbers}
        doubts = [doubt.split(":")[0] for row in rows for doubt in row.get("doubts", [])]
        found[name] = {
            "mean": {key: round(float(np.mean(values)), 4) for key, values in columns.items()},
            "median": {key: round(float(np.median(values)), 4) for key, values in columns.items()},
            "surveys_with_higher_snr": sum(row["snr_gain_db"] > 0.0 for row in rows),
            "doubts": {doubt: doubts.count(doubt) for doubt in sorted(set(doubts))},
        }
    return found


def _kept(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def _keep(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values))


def main() -> None:
    """Ask, correct, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--surveys", type=int, default=SURVEYS)
    parser.add_argument("--run", type=Path, default=Path("runs/parihaka"))
    options = parser.parse_args()
    warnings.simplefilter("once")
    posterior, network = AmortizedPosterior.load(options.run / "model"), prior_network(options.run)
    home = _kept(options.run / "refinement" / "home.json")
    if not home:
        repair, scored = in_distribution(posterior, options.run)
        home |= {"repair": asdict(repair), "scores": scored}
        _keep(options.run / "refinement" / "home.json", home)
    ask = Asked(posterior, network, uq.IntervalRecalibration(**home["repair"]))
    simulator, tables, at_truth = PairSimulator(foreign()), [], []
    for index in range(options.surveys):
        case, path = survey(simulator, index), options.run / "refinement" / f"survey-{index}.json"
        at_truth.append(chi_square(case, case.truth[None]))
        tables.append(_kept(path))  # a run that was stopped goes on with the next survey
        compare(case, ask, tables[-1])
        _keep(path, tables[-1])
    lines = summary(tables)
    figures = {
        "surveys": options.surveys,
        "shots": case.likelihood.num_sources,
        "data": case.likelihood.num_data,
        "interval_factor": ask.repair.factor,
        "in_distribution": home["scores"],
        "chi_square_at_truth": float(np.mean(at_truth)),
        "snr_db_each": {name: [round(table[name]["snr_db"], 2) for table in tables] for name in lines},
        "lines": lines,
    }
    if options.surveys == SURVEYS:
        record("refinement_waves", figures)
    else:  # other surveys are no result
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
