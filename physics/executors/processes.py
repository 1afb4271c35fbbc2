"""Processes of this machine as an executor: spawned, one thread each, replaced when they die."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Any, final

from physics.executors.base import Crew, Executor, Outcome, Task, Work

_LOGGER = logging.getLogger(__name__)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SPAWN = multiprocessing.get_context("spawn")


@final
@dataclass(frozen=True)
class Processes(Executor):
    """Spawned processes of one thread each.

    They are killed when the run ends or is interrupted, which costs no more than the shards under way: they
    write nothing. A script that uses them needs the usual ``if __name__ == "__main__":``.

    Args:
        workers: Processes.
        retries: How often a task is handed out again after its worker died.
    """

    workers: int
    retries: int = 2

    @contextmanager
    def crew(self, work: Work, *, tasks: int) -> Iterator[Crew]:
        """Start the processes, and kill them at the end."""
        crew = _Pool(work, min(self.workers, tasks))
        try:
            yield crew
        finally:
            crew.kill()


@final
@dataclass
class _Worker:
    """A process, the pipe to it, and what it is at."""

    process: Any
    pipe: Connection
    started: float = field(default_factory=time.monotonic)
    ready: bool = False
    task: Task | None = None


@final
class _Pool(Crew):
    def __init__(self, work: Work, size: int) -> None:
        self._work, self._size = work, size
        self._workers: list[_Worker] = []
        self._was_ready = False

    @property
    def capacity(self) -> int:
        return self._size

    def submit(self, task: Task) -> None:
        worker = next((w for w in self._workers if w.task is None), None)
        if worker is None:
            worker = self._start()
        worker.task = task
        with suppress(OSError):  # it has died, which `wait` sees
            worker.pipe.send(task)

    def wait(self) -> Sequence[Outcome]:
        while True:
            ready = wait_for([handle for w in self._workers for handle in (w.pipe, w.process.sentinel)])
            heard = [w for w in self._workers if w.pipe in ready or w.process.sentinel in ready]
            outcomes = [outcome for w in heard if (outcome := self._hear(w)) is not None]
            if outcomes:
                return outcomes

    def kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def _start(self) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_serve, args=(theirs, self._work), daemon=True)
        with one_thread():
            process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def _hear(self, worker: _Worker) -> Outcome | None:
        """Take one message of a worker; None if it has only started, or died idle."""
        try:
            # A worker's last message may still be in the pipe when it has died.
            message = worker.pipe.recv() if worker.pipe.poll() else None
        except (EOFError, OSError):
            message = None
        if message is None:
            return self._bury(worker)
        kind, value = message
        if kind == "ready":
            worker.ready = self._was_ready = True
            _LOGGER.debug("worker started in %.1f s", time.monotonic() - worker.started)
            return None
        if kind == "error":
            raise value
        task, worker.task = worker.task, None
        assert task is not None  # a worker speaks of its task only
        return Outcome(task, value)

    def _bury(self, worker: _Worker) -> Outcome | None:
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        death = _cause_of_death(worker.process.exitcode)
        if not worker.ready and not self._was_ready:
            raise ChildProcessError(
                f"a worker process ended as it started ({death}): its own message is above; "
                'a script that asks for workers needs `if __name__ == "__main__":`'
            )
        return None if worker.task is None else Outcome(worker.task, death=death)


def _cause_of_death(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    memory = ", perhaps for lack of memory" if code == -signal.SIGKILL else ""
    return f"signal {-code}: {signal.strsignal(-code)}{memory}"


def _serve(pipe: Connection, work: Work) -> None:
    """Be a worker: do task after task until the pipe ends."""
    # Ctrl-C reaches the whole process group; only the parent acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe.send(("ready", None))
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            answer: tuple[str, Any] = ("done", work(task))
        except Exception as error:  # the parent raises it
            error.add_note(f"in a worker process:\n{traceback.format_exc()}")
            answer = ("error", error)
        pipe.send(answer)


def _end_with_parent() -> None:
    """Without this, a worker whose parent was killed computes on."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # workers have one
    wait_for([parent.sentinel])
    os._exit(1)


@contextmanager
def one_thread() -> Iterator[None]:
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
