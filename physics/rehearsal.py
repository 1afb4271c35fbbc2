"""What a dataset will take, told from its configuration and one measured pair; nothing is written."""

from __future__ import annotations

import math
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from physics.config import PairConfig
from physics.errors import PhysicsError
from physics.executors.processes import one_thread
from physics.manifest import MANIFEST, read_manifest
from physics.pairs import PairSimulator
from physics.progress import format_seconds
from physics.shard_work import LEFT_OUT
from physics.shards import config_json, encode_shard, sha256

_TRIES = 20
"""Draws that are tried for one that gives a pair."""


@final
@dataclass(frozen=True)
class Measured:
    """What one pair took in a process of its own.

    Attributes:
        start_seconds: From nothing to the first pair, which compiles or loads the operators.
        pair_seconds: The next pair.
        memory: Most memory that the process had [bytes].
        shard_bytes: Size of a full shard, or of all pairs where they fill none.
    """

    start_seconds: float
    pair_seconds: float
    memory: int
    shard_bytes: int


@final
@dataclass(frozen=True)
class Rehearsal:
    """What a dataset will take.

    Attributes:
        count: Pairs in all.
        done: Pairs that are there already.
        shard_size: Pairs a shard.
        workers: Workers.
        shape: Cells of the model.
        padded_shape: Cells of the grid with the absorbing layer.
        steps: Computing steps a shot.
        dt: Computing step [s].
        measured: What one pair took.
    """

    count: int
    done: int
    shard_size: int
    workers: int
    shape: tuple[int, ...]
    padded_shape: tuple[int, ...]
    steps: int
    dt: float
    measured: Measured

    @property
    def shards(self) -> int:
        """Shards in all."""
        return -(-self.count // self.shard_size)

    @property
    def bytes(self) -> int:
        """Space of the pairs that are still to be made."""
        full = min(self.shard_size, self.count)
        return math.ceil((self.count - self.done) / full * self.measured.shard_bytes)

    @property
    def seconds(self) -> float:
        """Time until the last worker is done: each makes whole shards."""
        left = self.count - self.done
        if not left:
            return 0.0
        rounds = math.ceil(math.ceil(left / self.shard_size) / self.workers)
        pairs = rounds * min(self.shard_size, left)
        return self.measured.start_seconds + pairs * self.measured.pair_seconds

    def report(self) -> str:
        """Say it in lines."""
        there = f", {self.done} pairs are there already" if self.done else ""
        shape, padded = (" x ".join(map(str, cells)) for cells in (self.shape, self.padded_shape))
        return "\n".join(
            [
                f"pairs   {self.count} in {self.shards} shards of {self.shard_size}{there}",
                f"grid    {shape} cells, {padded} with the absorbing layer",
                f"steps   {self.steps} a shot, of {1e3 * self.dt:.3g} ms",
                f"memory  {self.measured.memory / 1e6:.0f} MB a worker (measured)",
                f"disk    {self.bytes / 1e6:.4g} MB",
                f"time    {format_seconds(self.seconds)} with {self.workers} workers (measured here: "
                f"{self.measured.pair_seconds:.3g} s a pair, a worker starts in "
                f"{self.measured.start_seconds:.3g} s)",
            ]
        )


def rehearse(
    config: PairConfig, folder: str | Path, *, count: int, shard_size: int = 16, workers: int = 1
) -> Rehearsal:
    """Tell what a dataset will take, without writing anything.

    One pair is made, in a process of its own as a worker would be; a script needs the usual
    ``if __name__ == "__main__":``.

    Args:
        config: What the pairs are made from.
        folder: The dataset's folder, which need not exist; what it holds of this dataset is counted.
        count: Pairs in all.
        shard_size: Pairs a shard.
        workers: Workers of one thread each.

    Raises:
        ValueError: If the configuration cannot be simulated.
        ChildProcessError: If making a pair ends the process.
    """
    for name, value in (("count", count), ("shard_size", shard_size), ("workers", workers)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    simulator = PairSimulator(config)
    plan, survey = simulator.plan, config.survey
    cells = simulator.earth_model(np.full(survey.shape, plan.velocity[1])).padding
    return Rehearsal(
        count=count,
        done=min(count, _pairs_there(config, Path(folder))),
        shard_size=shard_size,
        workers=workers,
        shape=cells.shape,
        padded_shape=cells.padded_shape,
        steps=(simulator.nt - 1) * plan.steps_per_sample + 1,
        dt=plan.computing_dt,
        measured=_measure_apart(config, min(shard_size, count)),
    )


def _pairs_there(config: PairConfig, folder: Path) -> int:
    config_hash = sha256(config_json(config).encode())
    entries = read_manifest(folder / MANIFEST)
    return sum(entry.count + len(entry.failed) for entry in entries if entry.config_hash == config_hash)


def _measure_apart(config: PairConfig, shard_size: int) -> Measured:
    spawn = multiprocessing.get_context("spawn")
    began = time.monotonic()  # one clock for all processes of a machine
    with one_thread(), ProcessPoolExecutor(1, mp_context=spawn) as pool:
        try:
            return pool.submit(_measure, config, shard_size, began).result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "making one pair ended the process, perhaps for lack of memory: take a smaller survey"
            ) from error


def _measure(config: PairConfig, shard_size: int, began: float) -> Measured:
    simulator = PairSimulator(config)
    pairs, errors = [], []
    times = [began]
    for index in range(_TRIES):
        try:
            pairs.append(simulator(index))
        except LEFT_OUT as error:
            errors.append(error)
            continue
        times.append(time.monotonic())
        if len(pairs) == 2:
            break
    else:
        raise PhysicsError(
            f"expected two pairs of {_TRIES} draws, got {len(pairs)}; the last error: {errors[-1]}"
        )
    shard = encode_shard(
        [replace(pairs[0], index=index) for index in range(shard_size)],
        [],
        config=config,
        first=0,
        weights=simulator.weights,
    )
    return Measured(
        start_seconds=times[1] - times[0],
        pair_seconds=times[2] - times[1],
        memory=_peak_memory(),
        shard_bytes=len(shard),
    )


def _peak_memory() -> int:
    """Most memory that this process had [bytes]; `getrusage` would count the parent's of before."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
