"""How often the alarm sounds: surveys like the training's, noisier ones, and ones of other geology.

Run after `make demo`: python examples/benchmarks/alarms.py runs/demo --surveys 100
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import record

from physics.config import PRIOR_KINDS, PairConfig
from physics.errors import PhysicsError
from physics.pairs import Draw, PairSimulator
from posterior.cli.commands import DEMO
from posterior.cli.config import load
from posterior.dataset import PairDataset
from posterior.diagnosis import Watch, data_chi_square, fit_watch
from posterior.sample import AmortizedPosterior

MISFIT = "data chi-square"
DRAWS = 32
SEED = 99
"""Another seed than the demo's: none of these surveys was seen."""


def departures(usual: PairConfig) -> dict[str, PairConfig]:
    """Name of a kind of survey to its configuration; the first is that of the training."""

    def quieter(factor: float) -> PairConfig:
        noise = dataclasses.replace(usual.noise, snr_db=usual.noise.snr_db - 20.0 * np.log10(factor))
        return dataclasses.replace(usual, noise=noise)

    kinds = {"training distribution": usual, "noise x 4": quieter(4.0)}
    kinds |= {
        f"prior: {kind}": dataclasses.replace(usual, prior=PRIOR_KINDS[kind]()) for kind in ("layered",)
    }
    kinds |= {"noise x 2": quieter(2.0)}
    others = ("salt", "gaussian")
    kinds |= {f"prior: {kind}": dataclasses.replace(usual, prior=PRIOR_KINDS[kind]()) for kind in others}
    return {
        name: dataclasses.replace(config, seed=SEED, stream=f"alarms {name}")
        for name, config in kinds.items()
    }


def surveys(config: PairConfig, count: int) -> Iterator[tuple[PairSimulator, Draw]]:
    """The first draws of a kind that can be made."""
    simulator = PairSimulator(config)
    for index in range(count):
        try:
            yield simulator, simulator.draw(index)
        except PhysicsError as error:
            print(f"left out: {error}")


def misfit(
    posterior: AmortizedPosterior, y: NDArray[Any], simulator: PairSimulator, draw: Draw, snr_db: float
) -> float:
    """Misfit of the records at the noise that the network was trained with."""
    samples = posterior.sample(DRAWS, y, batch_size=DRAWS)[:, 0]
    born = simulator.born(draw)
    energy = np.mean(draw.records**2, axis=(1, 2), keepdims=True)
    noise = np.sqrt(energy / (1.0 + 10.0 ** (0.1 * snr_db)))

    def predict(images: NDArray[Any]) -> NDArray[Any]:
        return np.stack([born.forward(image.astype(np.float32)) for image in images])

    try:
        return data_chi_square(samples, predict, draw.records, np.broadcast_to(noise, draw.records.shape))
    except (PhysicsError, ValueError):  # draws that overflow the modelling
        return float("inf")


def main(run: Path, count: int) -> None:
    """Fit two watches on the validation split, judge surveys of every kind, record how often they alarm."""
    started = time.perf_counter()
    config = load(DEMO, [])
    posterior = AmortizedPosterior.load(run / "model")
    held, known = PairDataset(run / "data" / "validation"), PairDataset(run / "data" / "train")
    snr_db = config.noise.snr_db
    usual = [
        misfit(posterior, simulator.observe(draw), simulator, draw, snr_db)
        for simulator, draw in surveys(config.pairs("validation"), len(held))
    ]
    print(f"{len(usual)} validation surveys, {time.perf_counter() - started:.0f} s", flush=True)
    alone = fit_watch(run)
    with_data = Watch.fit(posterior, held, known=known, extra={MISFIT: usual})
    checks = {
        "from y alone": [reference.name for reference in alone.references],
        "with the data's misfit": [reference.name for reference in with_data.references],
    }
    about = {"rate": 0.05, "held_out": len(held), "known": alone.about["num_known"], "checks": checks}
    found: dict[str, Any] = {}
    for name, kind in departures(config.pairs("train")).items():
        found[name] = rates(posterior, (alone, with_data), surveys(kind, count), snr_db)
        # After every kind: the whole takes long.
        seconds = round(time.perf_counter() - started, 1)
        record("alarms", {**about, "seconds": seconds, "alarm_rate": found})


def rates(
    posterior: AmortizedPosterior,
    watches: tuple[Watch, Watch],
    judged: Iterator[tuple[PairSimulator, Draw]],
    snr_db: float,
) -> dict[str, Any]:
    """Share of surveys that raise an alarm: from y alone, with the misfit, and by each of its checks."""
    alone, with_data = watches
    rows = []
    for simulator, draw in judged:
        y = simulator.observe(draw)
        both = with_data.verdict(y, {MISFIT: misfit(posterior, y, simulator, draw, snr_db)})
        rows.append(
            {"from y alone": not alone.verdict(y), "with the data's misfit": not both}
            | {f"by {reading.name}": reading.alarm for reading in both.readings}
        )
    return {"surveys": len(rows)} | {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run of the packaged demo")
    parser.add_argument("--surveys", type=int, default=100, help="of each kind")
    arguments = parser.parse_args()
    main(arguments.run, arguments.surveys)
