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
from record import record

from physics.config import PRIOR_KINDS, PairConfig
from physics.errors import PhysicsError
from physics.pairs import Draw, PairSimulator
from posterior.cli.commands import DEMO
from posterior.cli.config import load
from posterior.dataset import PairDataset
from posterior.diagnosis import Watch, before_first, fit_watch, noise_level
from posterior.sample import AmortizedPosterior

LEVEL = "noise level"
SEED = 202
"""Another seed than the demo's, and than those that the checks were chosen with."""
PRIORS = ("layered", "gaussian", "salt", "channels")


def departures(usual: PairConfig) -> dict[str, PairConfig]:
    """Name of a kind of survey to its configuration; the first is that of the training."""

    def noisier(factor: float) -> PairConfig:
        noise = dataclasses.replace(usual.noise, snr_db=usual.noise.snr_db - 20.0 * np.log10(factor))
        return dataclasses.replace(usual, noise=noise)

    kinds = {"training distribution": usual} | {f"noise x {factor}": noisier(factor) for factor in (2, 4, 8)}
    kinds |= {f"prior: {kind}": dataclasses.replace(usual, prior=PRIOR_KINDS[kind]()) for kind in PRIORS}
    return {
        name: dataclasses.replace(config, seed=SEED, stream=f"alarms {name}")
        for name, config in kinds.items()
    }


def surveys(config: PairConfig, count: int) -> Iterator[tuple[PairSimulator, Draw]]:
    """The first ``count`` draws of a kind that a survey can be made of."""
    simulator, index = PairSimulator(config), 0
    while count:
        try:
            draw = simulator.draw(index)
        except PhysicsError as error:
            print(f"left out: {error}")
        else:
            count -= 1
            yield simulator, draw
        index += 1


def level(simulator: PairSimulator, draw: Draw, snr_db: float) -> float:
    """Noise before the first arrivals, against that of the training."""
    survey = draw.survey
    reach = np.stack([survey.receivers_of(shot) - at for shot, at in enumerate(survey.sources)])
    quiet = before_first(
        np.linalg.norm(reach, axis=-1),
        survey.dt * np.arange(survey.nt),
        velocity=float(draw.background.m.min() ** -0.5),
        onset=0.5 / simulator.config.survey.f0,  # where a Ricker wavelet has 1e-5 of its peak
    )
    energy = np.mean(draw.records**2, axis=(1, 2), keepdims=True)
    return noise_level(draw.records, quiet, np.sqrt(energy / (1.0 + 10.0 ** (0.1 * snr_db))))


def main(run: Path, count: int) -> None:
    """Fit two watches, judge surveys of every kind, record how often they alarm."""
    started = time.perf_counter()
    config = load(DEMO, [])
    posterior = AmortizedPosterior.load(run / "model")
    held, known = PairDataset(run / "data" / "validation"), PairDataset(run / "data" / "train")
    snr_db = config.noise.snr_db
    usual = [
        level(simulator, draw, snr_db) for simulator, draw in surveys(config.pairs("validation"), len(held))
    ]
    print(f"{len(usual)} validation surveys, {time.perf_counter() - started:.0f} s", flush=True)
    alone = fit_watch(run)
    with_data = Watch.fit(posterior, held, known=known, extra={LEVEL: usual})
    checks = {
        "from y alone": [reference.name for reference in alone.references],
        "with the records": [reference.name for reference in with_data.references],
    }
    numbers = {key: alone.about[key] for key in ("rate", "num_held_out", "num_aside", "num_known")}
    found: dict[str, Any] = {}
    for name, kind in departures(config.pairs("train")).items():
        found[name] = rates((alone, with_data), surveys(kind, count), snr_db)
        # After every kind: the whole takes long.
        seconds = round(time.perf_counter() - started, 1)
        record("alarms", {**numbers, "seed": SEED, "checks": checks, "seconds": seconds, "alarm_rate": found})
        print(name, found[name], f"{seconds:.0f} s", flush=True)


def rates(
    watches: tuple[Watch, Watch], judged: Iterator[tuple[PairSimulator, Draw]], snr_db: float
) -> dict[str, Any]:
    """Share of surveys that raise an alarm: from y alone, with the records, and by each check."""
    alone, with_data = watches
    rows = []
    for simulator, draw in judged:
        y = simulator.observe(draw)
        first, both = alone.verdict(y), with_data.verdict(y, {LEVEL: level(simulator, draw, snr_db)})
        rows.append(
            {"from y alone": not first, "with the records": not both}
            | {f"from y alone, by {reading.name}": reading.alarm for reading in first.readings}
            | {f"with the records, by {reading.name}": reading.alarm for reading in both.readings}
        )
    return {"surveys": len(rows)} | {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run of the packaged demo")
    parser.add_argument("--surveys", type=int, default=100, help="of each kind")
    arguments = parser.parse_args()
    main(arguments.run, arguments.surveys)
