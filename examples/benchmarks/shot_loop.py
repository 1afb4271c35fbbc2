"""Memory of a long loop of shots: 10,000 of them, in models and surveys that change all the time.

Every turn makes a new model, a new survey of the same shape, and new operators, and computes one shot with F
and one image with J^T; the resident memory of the process is noted every 100 shots.

Run: OMP_NUM_THREADS=1 python examples/benchmarks/shot_loop.py
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import record

from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.wavelets import ricker

SHAPE, H, DT, NT, RECEIVERS = (48, 48), 12.5, 0.0014, 300, 32
EVERY = 100
BAR = 0.05
"""Growth after the first 100 shots that still counts as flat."""


def resident() -> float:
    """Resident memory of this process, by the kernel's count [MB, 10^6 bytes]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) / 1e6 for line in lines if line.startswith("VmRSS:"))


def one_shot(rng: np.random.Generator) -> None:
    """A shot and its image in a new model with a new survey."""
    model = EarthModel(rng.uniform(1800.0, 3500.0, SHAPE), (H, H))
    low, high = np.zeros(2), np.array(model.extent)
    survey = Acquisition(rng.uniform(low, high, (1, 2)), rng.uniform(low, high, (RECEIVERS, 2)), DT, NT)
    numerics = Numerics(steps_per_sample=1, subsample=4)
    wavelet = ricker(15.0, DT, NT)
    records = ForwardOperator(model, survey, numerics=numerics).forward(wavelet)
    BornOperator(model, survey, wavelet=wavelet, numerics=numerics).adjoint(records)


def loop(shots: int) -> dict[str, Any]:
    """Resident memory along the loop, and by how much it leaves its value after the first 100 shots."""
    rng = np.random.default_rng(0)
    start, memory = time.perf_counter(), []
    for shot in range(1, shots + 1):
        one_shot(rng)
        if shot % EVERY == 0:
            memory.append(resident())
            print(shot, f"{memory[-1]:.1f} MB", flush=True)
    first = memory[0]
    return {
        "shots": shots,
        "seconds": time.perf_counter() - start,
        "bar": BAR,
        "largest_growth": max(memory) / first - 1.0,
        "final_growth": memory[-1] / first - 1.0,
        "growth_of_the_second_half": memory[-1] / memory[len(memory) // 2] - 1.0,
        "resident_megabytes_every_100_shots": memory,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shots", type=int, default=10_000)
    record("shot_loop", loop(parser.parse_args().shots))
