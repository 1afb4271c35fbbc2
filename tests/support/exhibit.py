"""A scene and a pair with draws for tests of the report's viewer."""

from __future__ import annotations

import numpy as np

from posterior import plots, uq
from posterior.report.evaluate import PairDraws
from posterior.report.figures import Scene

SHAPE, DRAWS = (24, 16), 40


def example_scene(factor: uq.IntervalRecalibration | None = None, shape: tuple[int, int] = SHAPE) -> Scene:
    """Cells of 100 m by 150 m from x = 5 km, z = 0.3 km on; everything counts."""
    return Scene(
        axes=plots.ImageAxes((100.0, 150.0), (5000.0, 300.0)),
        quantity=plots.Quantity.from_si("Perturbation", "s^2/m^2"),
        scored=np.ones(shape, dtype=bool),
        depth_weight=np.ones(shape[1]),
        recalibration=factor,
    )


def example_pair(shape: tuple[int, int] = SHAPE, *, draws: int = DRAWS, seed: int = 1) -> PairDraws:
    """Pair 4 of unit noise in 1e-8 s^2/m^2, with draws about a noisy truth."""
    rng = np.random.default_rng(seed)
    truth = 1e-8 * rng.standard_normal(shape)
    sampled = truth + 0.4e-8 * rng.standard_normal((draws, *shape))
    return PairDraws(4, truth, 3e8 * truth, sampled.astype(np.float32))
