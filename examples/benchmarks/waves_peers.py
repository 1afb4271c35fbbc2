"""Speed of shots, images and training pairs: against a plain C loop, deepwave and Devito's example solver.

A crop of Marmousi, 128 x 128 cells at 10 m, 1001 steps of 1 ms, 128 receivers, single precision, order 8, one
thread. All contenders take turns, in two groups: shots and images, then pairs. A pair is d = J dm and J^T d
of 16 shots. Needs: gcc, and pip install deepwave pytest. On a machine that others use, with the rights to:

Run: OMP_NUM_THREADS=1 chrt -f 10 taskset -c 1 python examples/benchmarks/waves_peers.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measure import seconds_in_turn
from plain_loop import FLAGS, plain_loop
from record import record
from wave_contenders import Deepwave, ExampleSolver, Ours, Task

from physics.config import AugmentConfig, PatchPriorConfig
from physics.priors import make_prior

SHOTS, SHOTS_A_PAIR = 4, 16
LARGEST_OFFSET = 250.0
"""Half-offsets to either side [m]: 51 of them."""
FASTEST = 3700.0
"""The crop's limit [m/s]: the example solver's own limit of the time step is 1 ms there."""
REST = 0.08
"""Seconds between the rounds: real-time priority must not take a processor for good."""


def crop() -> np.ndarray[Any, Any]:
    """The first plain crop of Marmousi, by seed, that no contender must take smaller steps for."""
    plain = PatchPriorConfig(augment=AugmentConfig(probability=0.0))
    prior = make_prior(plain, (128, 128), (10.0, 10.0))
    draws = (prior.draw(np.random.default_rng(seed)) for seed in range(1000))
    return next(np.asarray(vp, np.float64) for vp in draws if vp.max() < FASTEST)


def departures(vp: np.ndarray[Any, Any]) -> dict[str, float]:
    """Relative L2 differences of records: all compute the same, but for layers and dispersion."""
    task = Task(vp, 1)
    plain = Ours(task, "matched", corrected=False).records[0]
    peer = -Deepwave(task).records[0].numpy().T  # its sources have the other sign
    solver = ExampleSolver(task).records
    corrected = Ours(task, "matched").records[0]
    others = {"deepwave": peer, "example solver": solver, "dispersion correction": corrected}
    return {
        name: float(np.linalg.norm(other - plain) / np.linalg.norm(plain)) for name, other in others.items()
    }


def turns(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every step, in turn."""
    times = seconds_in_turn({**steps, "rest": lambda: time.sleep(REST)}, rounds)
    times.pop("rest")
    return times


def ratio(times: dict[str, list[float]], step: str, reference: str) -> float:
    """Median over rounds of one step's time over another's."""
    return statistics.median(a / b for a, b in zip(times[step], times[reference], strict=True))


def shots_and_images(vp: np.ndarray[Any, Any], rounds: int) -> dict[str, Any]:
    """Times of single kinds of work, and what they come to a shot."""
    task = Task(vp, SHOTS)
    matched, sponge = Ours(task, "matched"), Ours(task, "sponge")
    plain = {name: Ours(task, name, corrected=False) for name in ("matched", "sponge")}
    peer, fine = Deepwave(task), Deepwave(task, interval=1)
    solver = ExampleSolver(task)
    steps: dict[str, Callable[[], object]] = {}
    for name, ours in (("matched 12", matched), ("sponge 40", sponge)):
        steps[f"{name}: C loop"] = plain_loop(ours.cells, task.nt * SHOTS)
        steps[f"{name}: C loop, rows on cache lines"] = plain_loop(ours.cells, task.nt * SHOTS, aligned=True)
        steps[f"{name}: F"] = ours.shots
        steps[f"{name}: F without dispersion correction"] = plain[name.split()[0]].shots
        steps[f"{name}: RTM"] = ours.images
        steps[f"{name}: gather, 51 offsets"] = ours.gathers(LARGEST_OFFSET)
    steps |= {
        "deepwave: F": peer.shots,
        "deepwave: RTM": peer.images,
        "deepwave: RTM, every step kept": fine.images,
    }
    steps |= {"example solver: F": solver.shots, "example solver: RTM": solver.images}
    times = turns(steps, rounds)
    cells = {"matched 12": matched.cells, "sponge 40": sponge.cells}
    return {"seconds": times, "ratios": ratios(times), "points": points(times, cells, task.nt)}


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """What the bars are about."""
    result = {}
    for name in ("matched 12", "sponge 40"):
        f, loop = f"{name}: F", f"{name}: C loop"
        for work in (f, f"{f} without dispersion correction"):
            result[f"{work}, points a second over the C loop's"] = ratio(times, loop, work)
            result[f"{work}, the same with rows on cache lines"] = ratio(
                times, f"{loop}, rows on cache lines", work
            )
            for peer in ("deepwave", "example solver"):
                result[f"{work}, times as fast as {peer}"] = ratio(times, f"{peer}: F", work)
        migrate = f"{name}: RTM"
        for peer in ("deepwave", "example solver"):
            result[f"{migrate}, times as fast as {peer}"] = ratio(times, f"{peer}: RTM", migrate)
        result[f"{migrate} over F"] = ratio(times, migrate, f)
        result[f"{name}: gather of 51 offsets over F"] = ratio(times, f"{name}: gather, 51 offsets", f)
    return result


def points(times: dict[str, list[float]], cells: dict[str, int], steps: int) -> dict[str, float]:
    """Points of the padded grid moved a second, in billions."""
    return {
        step: 1e-9 * cells[name] ** 2 * steps * SHOTS / statistics.median(seconds)
        for step, seconds in times.items()
        for name in cells
        if step.startswith(f"{name}: F") or step.startswith(f"{name}: C loop")
    }


def pairs(vp: np.ndarray[Any, Any], rounds: int) -> dict[str, Any]:
    """Times of whole pairs."""
    task = Task(vp, SHOTS_A_PAIR)
    solver = ExampleSolver(task)
    times = turns(
        {
            "matched 12": Ours(task, "matched").pair,
            "sponge 40": Ours(task, "sponge").pair,
            "deepwave": Deepwave(task).pair,
            "example solver": solver.pair,
            "example solver, built once": solver.pair_built,
        },
        rounds,
    )
    peers = [name for name in times if name not in ("matched 12", "sponge 40")]
    return {
        "seconds": times,
        "ratios": {
            f"{name}: pairs, times as fast as {peer}": ratio(times, peer, name)
            for name in ("matched 12", "sponge 40")
            for peer in peers
        },
    }


def table(single: dict[str, list[float]], whole: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Shots and images a second, pairs an hour."""
    result = {}
    for name, seconds in whole.items():
        row = {"pairs_per_hour": 3600.0 / statistics.median(seconds)}
        for key, work in (("shots_per_second", "F"), ("images_per_second", "RTM")):
            if f"{name}: {work}" in single:
                row[key] = SHOTS / statistics.median(single[f"{name}: {work}"])
        result[name] = row
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pair-rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    velocity = crop()
    single = shots_and_images(velocity, arguments.rounds)
    whole = pairs(velocity, arguments.pair_rounds)
    record(
        "waves_peers",
        {
            "velocity": [float(velocity.min()), float(velocity.max())],
            "compiler": " ".join(("gcc", *FLAGS)),
            "departures_of_records": departures(velocity),
            "table": table(single["seconds"], whole["seconds"]),
            "ratios": single["ratios"] | whole["ratios"],
            "billion_points_per_second": single["points"],
            "seconds": {f"{SHOTS} shots": single["seconds"], "a pair": whole["seconds"]},
        },
    )
