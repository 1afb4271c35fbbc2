"""This process as an executor: one task at a time, made when its outcome is waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import final

from physics.executors.base import Crew, Executor, Outcome, Task, Work


@final
class Here(Executor):
    """This process. What ends a worker elsewhere ends the run here."""

    retries = 0

    @contextmanager
    def crew(self, work: Work, *, tasks: int) -> Iterator[Crew]:
        """Work here; ``tasks`` does not matter."""
        yield _Alone(work)


@final
class _Alone(Crew):
    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: list[Task] = []

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def wait(self) -> Sequence[Outcome]:
        task = self._tasks.pop()
        return [Outcome(task, self._work(task))]
