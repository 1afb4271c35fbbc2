"""Worker processes that end with their parent, however it ends, and that stop early on request."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from multiprocessing.synchronize import Event
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_stop: Event | None = None


class Stopped(Exception):  # noqa: N818 - it is no error: the run was asked to end
    """The run was asked to stop."""


def check_stop() -> None:
    """Give a worker the chance to end early; does nothing outside a worker.

    Raises:
        Stopped: If the parent asked its workers to stop.
    """
    if _stop is not None and _stop.is_set():
        raise Stopped


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
) -> Generator[tuple[Task, Result]]:
    """Run tasks in spawned processes of one thread each and yield their results as they come.

    No more tasks are handed out than there are workers, so that little is lost when the run is stopped. When
    the caller stops iterating, by an exception such as Ctrl-C too, each worker ends at its next `check_stop`.

    Args:
        work: Function of one task; importable, as are its results.
        tasks: The tasks, handed out in this order.
        workers: Processes.

    Yields:
        Each task with its result, in the order in which they finish.

    Raises:
        ChildProcessError: If a worker dies.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with _environment_of_one_thread():
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(stop,))
        try:
            yield from _as_completed(pool, work, tasks, window=workers)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a worker process died, perhaps for lack of memory; finished shards are kept, "
                "run again with fewer workers to go on"
            ) from error
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def stop_on_terminate() -> Iterator[None]:
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


def _as_completed(
    pool: ProcessPoolExecutor, work: Callable[[Task], Result], tasks: Sequence[Task], *, window: int
) -> Iterator[tuple[Task, Result]]:
    waiting = iter(tasks)
    running: dict[Future[Result], Task] = {}

    def fill() -> None:
        while len(running) < window and (task := next(waiting, None)) is not None:
            running[pool.submit(work, task)] = task

    fill()
    while running:
        finished = [(running.pop(f), f) for f in wait(running, return_when=FIRST_COMPLETED).done]
        fill()
        for task, future in finished:
            yield task, future.result()


def _start_worker(stop: Event) -> None:
    global _stop
    _stop = stop
    # Ctrl-C reaches the whole process group; only the parent acts on it, through the event.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without this, a worker whose parent was killed computes on and then waits for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


@contextmanager
def _environment_of_one_thread() -> Iterator[None]:
    """Set the environment that spawned processes inherit; libraries read it when they are loaded."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
