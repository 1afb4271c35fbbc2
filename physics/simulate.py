"""A dataset of training pairs, made by one process or many; what is there is kept."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path

from physics.config import PairConfig
from physics.dataset import DatasetWriter
from physics.pairs import PairSimulator, Shard
from physics.progress import Progress
from physics.workers import run_tasks, stop_on_terminate

_LOGGER = logging.getLogger(__name__)


def simulate(
    config: PairConfig,
    folder: str | Path,
    *,
    count: int,
    shard_size: int = 16,
    workers: int = 1,
    progress: bool = True,
) -> Path:
    """Make a dataset of training pairs, or complete one that was begun.

    What is there is kept. Ctrl-C, SIGTERM, SIGKILL and a full disk all leave a dataset that the same call
    completes to the same bytes. One worker means this process; more are spawned processes, so a script that
    asks for them needs the usual ``if __name__ == "__main__":``.

    Args:
        config: What the pairs are made from.
        folder: The dataset's folder; schema in ``data/README.md``.
        count: Pairs in all, draws that fail included.
        shard_size: Pairs a shard, which is what a kill can lose of each worker.
        workers: Processes that simulate; the bytes do not depend on it.
        progress: Show a bar on a terminal, sparse lines in a log.

    Returns:
        The folder.

    Raises:
        ValueError: If the folder holds another run, or the configuration cannot be simulated.
        PhysicsError: If all draws of a shard fail.
        OSError: If another process writes to the folder, a worker dies, or the disk is full.

    Example:
        >>> simulate(config, "runs/demo/train", count=1600, workers=2)  # doctest: +SKIP
    """
    if workers < 1:
        raise ValueError(f"workers: expected at least 1, got {workers}")
    with stop_on_terminate(), DatasetWriter(folder, config, count=count, shard_size=shard_size) as writer:
        tasks = writer.missing()
        done = count - sum(map(len, tasks))
        with (
            Progress(total=count, done=done, label=config.stream, enabled=progress) as bar,
            closing(_shards(config, tasks, min(workers, len(tasks)))) as shards,
        ):
            for draws, (data, failed) in shards:
                writer.write(draws, data, failed=failed)
                bar.advance(len(draws))
        left_out = [failure for entry in writer.entries for failure in entry.failed]
        if left_out:
            _LOGGER.warning("%d of %d draws were left out, the first: %s", len(left_out), count, left_out[0])
        return writer.folder


def _shards(config: PairConfig, tasks: list[range], workers: int) -> Generator[tuple[range, Shard]]:
    if not tasks:
        return
    simulator = PairSimulator(config)  # what cannot be simulated is refused here, before processes start
    if workers > 1:
        yield from run_tasks(partial(_work, config), tasks, workers=workers)
        return
    for draws in tasks:
        yield draws, simulator.shard(draws)


_simulator: PairSimulator | None = None


def _work(config: PairConfig, draws: range) -> Shard:
    """Make a shard in a worker, which keeps its simulator from one shard to the next."""
    global _simulator
    if _simulator is None:
        _simulator = PairSimulator(config)
    return _simulator.shard(draws)
