"""Dot tests of every linear operator of the wave physics, in double and in single precision.

Positions are off the grid, read with the sinc. 2-D: order 8 and the default layers; 3-D: order 4 and layers
of 8 cells, which compile faster. Random vectors are nearly orthogonal, so their inner products are small
differences of large sums, which single precision shows; with y = A x nothing cancels, so both are here.

Run: OMP_NUM_THREADS=1 python examples/benchmarks/dot_tests.py
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import get_args

import numpy as np
from record import record
from waves import SETTINGS, SHAPES, Precision, rough, scattered

from physics.gathers import GatherOperator
from physics.linear import BornOperator, ForwardOperator, LinearOperator, dot_test
from physics.model import EarthModel
from physics.wavelets import ricker

BARS = {"float64": 1e-12, "float32": 1e-5}
SEEDS = range(3)


def operators(model: EarthModel) -> dict[str, Callable[[], LinearOperator]]:
    """All linear operators on a model."""
    survey = scattered(model)
    wavelet = ricker(15.0, survey.dt, survey.nt)
    offsets = np.array([-20.0, -10.0, 0.0, 30.0])
    return {
        "F": lambda: ForwardOperator(model, survey),
        "J": lambda: BornOperator(model, survey, wavelet=wavelet),
        "inverse scattering": lambda: BornOperator(
            model, survey, wavelet=wavelet, imaging="inverse_scattering"
        ),
        "gathers": lambda: GatherOperator(model, survey, wavelet=wavelet, offsets=offsets),
    }


def random_mismatch(operator: LinearOperator) -> float:
    """Largest |<A x, y> - <x, A^T y>| over the larger of the two, for random x and y."""
    return max(dot_test(operator, rng=np.random.default_rng(seed), rtol=math.inf) for seed in SEEDS)


def own_mismatch(operator: LinearOperator) -> float:
    """Largest |<A x, y> - <x, A^T y>| over the first, for random x and y = A x."""
    largest = 0.0
    for seed in SEEDS:
        x = np.random.default_rng(seed).standard_normal(operator.domain_shape).astype(operator.dtype)
        y = operator.forward(x)
        back = operator.adjoint(y).astype(np.float64)
        energy = float(np.vdot(y.astype(np.float64), y.astype(np.float64)))
        largest = max(largest, abs(float(np.vdot(x.astype(np.float64), back)) / energy - 1.0))
    return largest


def dot_tests(dtype: Precision) -> dict[str, dict[str, dict[str, float]]]:
    """Mismatches by setting, operator and kind of vectors."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for where, (name, options) in itertools.product(SHAPES, SETTINGS.items()):
        table[f"{where}, {name}"] = row = {}
        for kind, make in operators(rough(where, dtype=dtype, **options)).items():
            operator = make()
            row[kind] = {"random": random_mismatch(operator), "y = A x": own_mismatch(operator)}
            print(dtype, where, name, kind, row[kind], flush=True)
    return table


def largest(table: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """Largest mismatch of each kind of vectors."""
    return {
        kind: max(values[kind] for row in table.values() for values in row.values())
        for kind in ("random", "y = A x")
    }


if __name__ == "__main__":
    tables = {dtype: dot_tests(dtype) for dtype in get_args(Precision)}
    record(
        "dot_tests",
        {
            "bars": BARS,
            "largest": {dtype: largest(table) for dtype, table in tables.items()},
            "relative_mismatch": tables,
        },
    )
