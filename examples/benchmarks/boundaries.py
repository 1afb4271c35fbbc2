"""False energy that absorbing layers leave in records, over draws of four priors.

The truth is the same model in a frame so wide that no wave crosses it and returns within the record. Errors
are relative L2 norms of a shot's record, and of its second half, where waves have left and what returns shows
best. Double precision, so that what is measured is the layer and not rounding.

Run: OMP_NUM_THREADS=1 python examples/benchmarks/boundaries.py, then boundaries_figure.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import record

from physics.config import (
    ChannelPriorConfig,
    LayeredPriorConfig,
    PatchPriorConfig,
    PriorConfig,
    SaltPriorConfig,
)
from physics.geometry import Acquisition
from physics.linear import ForwardOperator
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.priors import make_prior
from physics.wavelets import ricker

SHAPE, H, DT, NT = (128, 128), 10.0, 0.001, 1001
DRAWS = 3
BAR = 0.002
"""Largest relative error in the late half of a record that a default may leave within 20 cells."""
PRIORS: dict[str, PriorConfig] = {
    "layered": LayeredPriorConfig(),
    "salt": SaltPriorConfig(),
    "marmousi": PatchPriorConfig(),
    "channels": ChannelPriorConfig(),
}
LAYERS = {f"matched {nbl}": {"boundary": "matched", "nbl": nbl} for nbl in (8, 10, 12, 16, 20)} | {
    f"sponge {nbl}": {"boundary": "sponge", "nbl": nbl} for nbl in (20, 40, 60)
}
TUNING = [
    (velocity, frequency)
    for velocity in (2300.0, 3500.0, 4500.0, 5000.0, 6000.0, 8000.0)
    for frequency in (3.0, 5.0, 10.0)
]
"""Velocities [m/s] and frequencies [Hz] to tune a matched layer of 12 cells to, at order 8."""
PEAK = {4: 10.0, 6: 15.0, 8: 15.0}
"""Peak frequency for each space order [Hz]: on this grid, order 4 does not carry 15 Hz through Marmousi."""
FRAME = 240
"""Cells around the model for the truth: 2.4 km, which 4.7 km/s do not cross twice in one second."""
SHOTS = ("surface, near an edge", "surface, middle", "deep")


def models(name: str) -> list[NDArray[np.float64]]:
    """Draws of a prior."""
    prior = make_prior(PRIORS[name], SHAPE, (H, H))
    return [np.asarray(prior.draw(np.random.default_rng(seed)), np.float64) for seed in range(DRAWS)]


def records(vp: NDArray[np.float64], order: int, layer: dict[str, Any], *, frame: int = 0) -> NDArray[Any]:
    """Records (nsrc, nt, nrec) of a spread at the surface, of two shots there and one at depth."""
    wide = np.pad(vp, frame, mode="edge")
    model = EarthModel(wide, (H, H), origin=(-frame * H,) * 2, space_order=order, dtype="float64", **layer)
    survey = Acquisition(
        sources=np.array([(100.0, 20.0), (640.0, 20.0), (640.0, 1000.0)]),
        receivers=np.array([(H * x, 20.0) for x in range(SHAPE[0])]),
        dt=DT,
        nt=NT,
    )
    operator = ForwardOperator(model, survey, numerics=Numerics(steps_per_sample=1))
    return operator.forward(ricker(PEAK[order], DT, NT))


def errors(found: NDArray[Any], truth: NDArray[Any]) -> list[float]:
    """Relative L2 error of every shot."""
    return (np.linalg.norm(found - truth, axis=(1, 2)) / np.linalg.norm(truth, axis=(1, 2))).tolist()


def sweep(order: int, layers: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Errors of every layer, prior and shot, draw after draw; layers outermost, so that code is reused."""
    draws = {name: models(name) for name in PRIORS}
    truths = {
        name: [records(vp, order, LAYERS["matched 12"], frame=FRAME) for vp in draws[name]] for name in PRIORS
    }
    result: dict[str, dict[str, dict[str, list[float]]]] = {}
    late = slice(NT // 2, None)
    for layer, options in layers.items():
        result[layer] = {}
        for name in PRIORS:
            whole, second = [], []
            for vp, truth in zip(draws[name], truths[name], strict=True):
                found = records(vp, order, options)
                whole += errors(found, truth)
                second += errors(found[:, late], truth[:, late])
            result[layer][name] = {"whole": whole, "late": second}
            print(
                order,
                layer,
                name,
                f"late half: median {np.median(second):.2e}, max {max(second):.2e}",
                flush=True,
            )
    return result


def summary(by_layer: dict[str, dict[str, dict[str, list[float]]]]) -> dict[str, dict[str, Any]]:
    """Over all priors and shots of an order."""
    table = {}
    for layer, by_prior in by_layer.items():
        late = np.concatenate([values["late"] for values in by_prior.values()])
        whole = np.concatenate([values["whole"] for values in by_prior.values()])
        table[layer] = {
            "late_median": float(np.median(late)),
            "late_max": float(late.max()),
            "late_share_below_bar": float((late < BAR).mean()),
            "whole_median": float(np.median(whole)),
            "whole_max": float(whole.max()),
        }
    return table


def tuning() -> dict[str, dict[str, Any]]:
    """Errors of a matched layer of 12 cells, by what it is tuned to."""
    layers = {
        f"{velocity:g} m/s, {frequency:g} Hz": LAYERS["matched 12"]
        | {"absorbing_velocity": velocity, "absorbing_frequency": frequency}
        for velocity, frequency in TUNING
    }
    return summary(sweep(8, layers))


if __name__ == "__main__":
    default = EarthModel(np.full(SHAPE, 2000.0), (H, H))
    by_order = {str(order): sweep(order, LAYERS) for order in PEAK}
    record(
        "boundaries",
        {
            "bar_late_half": BAR,
            "shots": SHOTS,
            "peak_frequency": PEAK,
            "matched_layer_tuned_to": [default.absorbing_velocity, default.absorbing_frequency],
            "summary": {order: summary(values) for order, values in by_order.items()},
            "tuning": tuning(),
            "relative_error": by_order,
        },
    )
