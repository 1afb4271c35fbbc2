"""Figures of the wave physics: adjoint, derivative, analytic solution, speed of a training pair.

Run: OMP_NUM_THREADS=1 python examples/benchmarks/operators.py
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import time
from typing import Any

import numpy as np
from record import record
from scipy.special import hankel2

from physics import Acquisition, BornOperator, EarthModel, ForwardOperator, dot_test, ricker
from physics.config import LayeredPriorConfig, PairConfig, SurveyConfig
from physics.pairs import PairSimulator


def rough(shape: tuple[int, int] = (40, 36)) -> tuple[EarthModel, Acquisition, np.ndarray]:
    """A random model in float64 with sources and receivers off the grid."""
    rng = np.random.default_rng(0)
    model = EarthModel(rng.uniform(2000.0, 2600.0, shape), (10.0, 12.5), nbl=16, dtype="float64")
    places = rng.uniform(0.0, 1.0, (12, 2)) * np.array(model.extent)
    survey = Acquisition(sources=places[:3], receivers=places[3:], dt=1e-3, nt=350)
    return model, survey, ricker(15.0, 1e-3, 350)


def dot_tests() -> dict[str, float]:
    """Largest relative mismatch of <J dm, d> and <dm, J^T d> over five pairs of random vectors."""
    model, survey, wavelet = rough()
    operators = {"J": BornOperator(model, survey, wavelet=wavelet), "F": ForwardOperator(model, survey)}
    return {
        name: max(dot_test(op, rng=np.random.default_rng(seed)) for seed in range(5))
        for name, op in operators.items()
    }


def taylor() -> dict[str, list[float]]:
    """Orders at which |F(m + h dm) - F(m)| and |F(m + h dm) - F(m) - h J dm| fall as h is halved."""
    model, survey, wavelet = rough()
    dm = 0.05 * model.m * np.random.default_rng(1).standard_normal(model.shape)
    base = ForwardOperator(model, survey).forward(wavelet)
    derivative = BornOperator(model, survey, wavelet=wavelet).forward(dm)
    steps = 0.5 ** np.arange(7)
    moved = [ForwardOperator(model.with_m(model.m + h * dm), survey).forward(wavelet) - base for h in steps]
    first = [np.linalg.norm(change) for change in moved]
    second = [np.linalg.norm(change - h * derivative) for change, h in zip(moved, steps, strict=True)]
    return {
        "first_order": [float(np.log2(a / b)) for a, b in itertools.pairwise(first)],
        "second_order": [float(np.log2(a / b)) for a, b in itertools.pairwise(second)],
    }


def analytic(distances: tuple[float, ...] = (200.0, 600.0, 1000.0), dt: float = 5e-4) -> dict[str, float]:
    """Relative L2 error of a shot in a constant medium against the 2-D Green's function."""
    velocity, h = 2000.0, 10.0
    model = EarthModel(np.full((241, 181), velocity), (h, h), nbl=40, dtype="float64")
    nt = round(0.72 / dt) + 1
    wavelet = ricker(15.0, dt, nt)
    receivers = [(620.0 + distance, 900.0) for distance in distances]
    survey = Acquisition(sources=[(620.0, 900.0)], receivers=receivers, dt=dt, nt=nt)
    records = ForwardOperator(model, survey).forward(wavelet)[0].T
    omega = 2 * np.pi * np.fft.rfftfreq(16 * nt, dt)[1:]
    errors = {}
    for record_, distance in zip(records, distances, strict=True):
        response = np.concatenate([[0.0], -0.25j * hankel2(0, omega * distance / velocity)])
        exact = h**2 * np.fft.irfft(np.fft.rfft(wavelet, 16 * nt) * response, 16 * nt)[:nt]
        errors[f"{distance:.0f} m"] = float(np.linalg.norm(record_ - exact) / np.linalg.norm(exact))
    return errors


def seconds_a_pair(repetitions: int = 9) -> dict[str, Any]:
    """Seconds of one training pair (prior, J, noise, J^T) at the demo's survey, one process, one thread."""
    survey = SurveyConfig()
    simulator = PairSimulator(
        PairConfig(seed=0, stream="benchmark", prior=LayeredPriorConfig(), survey=survey)
    )
    simulator(0)  # compiles
    times = []
    for index in range(repetitions):
        start = time.perf_counter()
        simulator(index)
        times.append(time.perf_counter() - start)
    return {
        "median": statistics.median(times),
        "min": min(times),
        "max": max(times),
        "repetitions": repetitions,
        "survey": dataclasses.asdict(survey),
    }


if __name__ == "__main__":
    record(
        "operators",
        {
            "dot_test_relative_mismatch_float64": dot_tests(),
            "taylor_orders": taylor(),
            "greens_function_relative_error": analytic(),
            "seconds_a_pair": seconds_a_pair(),
        },
    )
