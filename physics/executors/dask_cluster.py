"""Dask as an executor: a cluster that runs already, one of this machine, one of SLURM jobs, one over ssh.

Workers hold one thread, and the bytes of a shard travel to this process, the one writer: a shared disk is not
needed, and the rules of the folder (`physics.dataset`) hold whatever happens to a worker. Dask's own retries
are off where the cluster is ours: `physics.executors.retries` is the one place that knows of them.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any, Self, final

from physics.executors.base import Crew, Executor, Outcome, Task, Work

_LOGGER = logging.getLogger(__name__)

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of a worker, beside the one that `physics` sets for Devito before it imports it."""

SETTINGS = {
    # One task at a time: a worker that dies takes no other task's good name with it.
    "distributed.scheduler.worker-saturation": 1.0,
    # Workers write nothing.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.nanny.pre-spawn-environ": ONE_THREAD,
    # It holds on to the frames that it samples, and so to the objects of a shard's file.
    "distributed.worker.profile.enabled": False,
    # A lost job is asked for again by `_DaskCrew._tend` after this time.
    "distributed.deploy.lost-worker-timeout": "5s",
}
NO_RETRIES = {"allowed_failures": 0}
"""Settings of our own schedulers."""

_TEND_SECONDS = 5.0
"""Time between two looks at the workers while tasks run."""
_SAY_SECONDS = 60.0
"""Time between two lines about workers that are waited for."""


def need(module: str, executor: str) -> Any:
    """Import a package of the extra ``dask``.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"executor {executor!r}: expected the package {error.name!r}, which is not installed: "
            "pip install 'seispost[dask]'"
        ) from error


@final
@dataclass
class DaskExecutor(Executor):
    """Workers of a Dask cluster.

    Args:
        cluster: Gives the cluster for a number of workers: an address, or an object of `distributed.deploy`,
            which is closed at the end.
        workers: Workers wanted; 0 takes all that the cluster has.
        retries: How often a task is handed out again after its worker died.
    """

    cluster: Callable[[int], Any]
    workers: int
    retries: int = 2
    _kept: ExitStack | None = field(default=None, init=False)
    _running: Any = field(default=None, init=False)

    def __enter__(self) -> Self:
        self._kept = ExitStack()
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the cluster, if it is ours."""
        kept, self._kept = self._kept, None
        assert kept is not None  # __enter__ came first
        kept.close()

    @contextmanager
    def crew(self, work: Work, *, tasks: int) -> Iterator[Crew]:
        """Connect, and start the cluster if it is ours; close what was opened at the end."""
        with ExitStack() as stack:
            wanted = self.workers if self._kept else min(self.workers, tasks)
            cluster = self._start(self._kept or stack, wanted)
            client = stack.enter_context(_connect(cluster))
            crew = _DaskCrew(work, client, cluster, wanted=wanted)
            stack.callback(crew.cancel)
            crew.wait_for_workers()
            yield crew

    def _start(self, stack: ExitStack, wanted: int) -> Any:
        if self._running is None:
            stack.enter_context(need("dask", "dask").config.set(SETTINGS))
            self._running = self.cluster(wanted)
            stack.callback(self._close)
        return self._running

    def _close(self) -> None:
        cluster, self._running = self._running, None
        if not isinstance(cluster, str):
            # All shards are written; a cluster that does not end in time is no reason to fail.
            with suppress(TimeoutError, OSError):
                cluster.close()


def _distributed() -> Any:
    return need("distributed", "dask")


def _connect(cluster: Any) -> Any:
    try:
        return _distributed().Client(cluster, set_as_default=False, direct_to_workers=False)
    except OSError as error:
        raise OSError(f"expected a Dask scheduler at {cluster}, got none: {error}") from error


@final
@dataclass
class _DaskCrew(Crew):
    work: Work
    client: Any
    cluster: Any
    wanted: int
    running: dict[Any, Task] = field(default_factory=dict)
    done: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    tended: float = 0.0
    said: float = field(default_factory=time.monotonic)

    @property
    def capacity(self) -> int:
        here = len(self._workers())
        return max(1, min(here, self.wanted) if self.wanted else here)

    def submit(self, task: Task) -> None:
        key = f"shard-{os.getpid()}-{id(self)}-{next(self.numbers)}"
        future = self.client.submit(self.work, task, key=key, pure=False)
        self.running[future] = task
        future.add_done_callback(self.done.put)

    def wait(self) -> Sequence[Outcome]:
        while True:
            if time.monotonic() - self.tended > _TEND_SECONDS:
                self._tend()
            with suppress(Empty):
                return [self._outcome(self.done.get(timeout=_TEND_SECONDS))]

    def wait_for_workers(self) -> None:
        """Wait until there is a worker, however long the queue; see that workers are of one thread."""
        while not self._workers():
            self._tend()
            time.sleep(0.2)
        threads = {address: worker["nthreads"] for address, worker in self._workers().items()}
        many = {address: number for address, number in threads.items() if number != 1}
        if many:
            address, number = next(iter(many.items()))
            raise ValueError(
                f"expected Dask workers of one thread, got {len(many)} of {len(threads)} with more, the "
                f"first {address} with {number}: start them with `dask worker --nthreads 1 --nworkers N`"
            )

    def cancel(self) -> None:
        """Forget the tasks under way."""
        if self.running:
            with suppress(TimeoutError, OSError):
                self.client.cancel(list(self.running), force=True)
        self.running.clear()

    def _workers(self) -> dict[str, Any]:
        workers: dict[str, Any] = self.client.scheduler_info()["workers"]
        return workers

    def _tend(self) -> None:
        """Ask for workers that were lost, and say that they are waited for; see that the scheduler lives."""
        if self.client.status != "running":
            raise OSError("the Dask scheduler went away; finished shards are kept, run again to go on")
        self.tended = time.monotonic()
        here = len(self._workers())
        if here < self.wanted and not isinstance(self.cluster, str):
            # The same number as before: starts those that ended, and does nothing for the others.
            self.cluster.scale(len(self.cluster.worker_spec))
        if here < max(self.wanted, 1) and time.monotonic() - self.said > _SAY_SECONDS:
            self.said = time.monotonic()
            _LOGGER.warning("waiting for workers: %d of %d are there", here, max(self.wanted, 1))

    def _outcome(self, future: Any) -> Outcome:
        task = self.running.pop(future)
        try:
            return Outcome(task, future.result())
        except _distributed().scheduler.KilledWorker as error:
            return Outcome(task, death=f"Dask lost {error.last_worker.address}")
        except CancelledError as error:
            raise OSError(
                f"Dask gave up on a task ({error}); finished shards are kept, run again to go on"
            ) from error
        finally:
            future.release()
