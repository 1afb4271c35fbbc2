"""A dataset of training pairs, made on one executor or another; what is there is kept."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from physics.config import PairConfig, Place, ProcessesConfig
from physics.dataset import DatasetWriter
from physics.executors import Executor, make_executor, run_shards
from physics.pairs import PairSimulator
from physics.progress import Progress
from physics.shard_work import ShardWork

_LOGGER = logging.getLogger(__name__)


def simulate(
    config: PairConfig,
    folder: str | Path,
    *,
    count: int,
    shard_size: int = 16,
    workers: int = 1,
    executor: Place | Executor | None = None,
    progress: bool = True,
) -> Path:
    """Make a dataset of training pairs, or complete one that was begun.

    What is there is kept. Ctrl-C, SIGTERM, SIGKILL and a full disk all leave a dataset that the same call
    completes to the same bytes. A worker that dies is replaced; a draw that ends every worker that makes it
    is left out and named. One worker means this process; more are spawned processes, so a script that asks
    for them needs the usual ``if __name__ == "__main__":``.

    Args:
        config: What the pairs are made from.
        folder: The dataset's folder; schema in ``data/README.md``.
        count: Pairs in all, draws that fail included.
        shard_size: Pairs a shard, which is what a kill can lose of each worker.
        workers: Workers of one thread each; 0 takes what there is. The bytes do not depend on it.
        executor: Where: settings of processes, Dask, SLURM or ssh, or an `Executor`, which has its own number
            of workers. Processes of this machine when None.
        progress: Show a bar on a terminal, sparse lines in a log.

    Returns:
        The folder.

    Raises:
        ValueError: If the folder holds another run, or the configuration cannot be simulated.
        PhysicsError: If all draws of a shard fail.
        OSError: If another process writes to the folder, workers die whatever they are given, or the disk is
            full.

    Example:
        >>> simulate(config, "runs/demo/train", count=1600, workers=2)  # doctest: +SKIP
    """
    if workers < 0:
        raise ValueError(f"workers: expected at least 1, or 0 for what there is, got {workers}")
    if not isinstance(executor, Executor):
        executor = make_executor(executor or ProcessesConfig(), workers=workers)
    with _stop_on_terminate(), DatasetWriter(folder, config, count=count, shard_size=shard_size) as writer:
        tasks = writer.missing()
        if tasks:
            PairSimulator(config)  # what cannot be simulated is refused here, before workers start
        with (
            Progress(
                total=count, done=count - sum(map(len, tasks)), label=config.stream, enabled=progress
            ) as bar,
            closing(run_shards(executor, ShardWork(config), tasks)) as shards,
        ):
            for draws, (data, failed) in shards:
                writer.write(draws, data, failed=failed)
                bar.advance(len(draws))
        _say_what_is_left_out(writer, count)
        return writer.folder


def _say_what_is_left_out(writer: DatasetWriter, count: int) -> None:
    left_out = [failure for entry in writer.entries for failure in entry.failed]
    if left_out:
        _LOGGER.warning("%d of %d draws were left out, the first: %s", len(left_out), count, left_out[0])


@contextmanager
def _stop_on_terminate() -> Iterator[None]:
    """Turn SIGTERM into ``SystemExit(143)`` so that it is cleaned up after as Ctrl-C is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
