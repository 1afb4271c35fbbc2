"""Peak memory of streamed summaries against the number of draws, at 128 x 128 cells.

Draws come in batches of 20. Every accumulator is fed 100 to 10 000 of them, and read once; tracemalloc tells
the most memory that it took beyond the batch at hand, in images of float64. For pairs (coverage, std against
error, ranks of functionals) it is the number of pairs that grows, of 19 draws each: those keep a few numbers
a pair, no image.

    OMP_NUM_THREADS=1 python examples/benchmarks/streaming.py
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from record import record

from posterior import uq
from posterior.uq.moments import ShapeMoments

SIZE, BATCH = 128, 20
COUNTS, COUNTS_OF_PAIRS = (100, 1000, 10_000), (300, 1000, 3000)
IMAGE = SIZE**2 * 8

Read = Callable[[Any], object]
LEVELS = [0.05, 0.5, 0.95]
OF_DRAWS: dict[str, tuple[Callable[[], Any], Read]] = {
    "Moments": (uq.Moments, lambda stream: stream.std),
    "ShapeMoments": (ShapeMoments, lambda stream: stream.kurtosis),
    "Exceedance": (lambda: uq.Exceedance(0.5), lambda stream: stream.bounds()),
    "CorrelationMap": (uq.CorrelationMap, lambda stream: stream.result()),
    "QuantileSketch": (uq.QuantileSketch, lambda stream: stream.quantiles(LEVELS)),
    "all draws, np.quantile": (list, lambda stream: np.quantile(np.concatenate(stream), LEVELS, axis=0)),
}
OF_PAIRS: dict[str, tuple[Callable[[], Any], Read]] = {
    "Coverage": (uq.Coverage, lambda stream: (stream.curve().pooled, stream.map())),
    "StdRmseFit": (uq.StdRmseFit, lambda stream: stream.result()),
    "CalibrationErrorFit": (uq.CalibrationErrorFit, lambda stream: stream.result()),
    "PitMap": (uq.PitMap, lambda stream: (stream.bias, stream.width)),
    "SbcRanks": (uq.SbcRanks, lambda stream: stream.ranks()),
}


def feed(name: str, stream: Any, batch: Any) -> None:
    """One batch of draws, or one pair."""
    if name in OF_PAIRS:
        stream.update(batch[:-1], batch[-1])
    elif name == "CorrelationMap":
        stream.update(batch, batch[:, 0, 0])
    elif isinstance(stream, list):
        stream.append(batch.copy())
    else:
        stream.update(batch)


def peak(name: str, count: int) -> float:
    """Images of memory at most, over all updates and the reading, beyond the batch."""
    make, read = (OF_DRAWS | OF_PAIRS)[name]
    rng = np.random.default_rng(0)
    batch = np.empty((BATCH, SIZE, SIZE), dtype=np.float32)
    rng.standard_normal(out=batch, dtype=np.float32)
    feed(name, make(), batch)  # imports and tables are there before the measurement
    stream = make()
    tracemalloc.start()
    for _ in range(count // BATCH):
        rng.standard_normal(out=batch, dtype=np.float32)
        feed(name, stream, batch)
    read(stream)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / IMAGE


def main() -> None:
    """The table, by summary and number of draws (or pairs)."""
    table: dict[str, dict[str, float]] = {}
    for name in OF_DRAWS | OF_PAIRS:
        counts = list(COUNTS_OF_PAIRS if name in OF_PAIRS else COUNTS)
        if name.startswith("all draws"):
            counts = [count for count in counts if count <= 1000]
        table[name] = {
            f"{count // (BATCH if name in OF_PAIRS else 1)}": peak(name, count) for count in counts
        }
        print(name, table[name], flush=True)
    sketch = uq.QuantileSketch()
    held = 0
    for _ in range(500):
        sketch.update(np.zeros((BATCH, 1)))
        held = max(held, sketch.held)
    figures = {
        "cells": SIZE**2,
        "image_of_float64_bytes": IMAGE,
        "draws_a_batch_or_pair": BATCH,
        "peak_in_images_by_draws": {name: table[name] for name in OF_DRAWS},
        "peak_in_images_by_pairs": {name: table[name] for name in OF_PAIRS},
        "largest_over_smallest": {name: max(row.values()) / min(row.values()) for name, row in table.items()},
        "sketch": {
            "draws": sketch.count,
            "most_held": held,
            "bound": 3 * sketch.capacity + 8,
            "rank_error": sketch.rank_error,
        },
    }
    record("streaming", figures)


if __name__ == "__main__":
    main()
