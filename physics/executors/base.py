"""The executor: tasks in, outcomes out, in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self, final

from physics.shards import Failure

Shard = tuple[bytes, list[Failure]]
"""Bytes of a shard, and the draws that it leaves out."""


@final
@dataclass(frozen=True)
class Task:
    """What a worker is given.

    Attributes:
        draws: Indices of the draws of a shard.
        left_out: Those that the shard must leave out because they end the process that makes them.
        probe: Make these draws only, to see whether they do so; no shard comes of it.
    """

    draws: range
    left_out: tuple[Failure, ...] = ()
    probe: range | None = None


Work = Callable[[Task], Shard | None]
"""What a worker does with a task; importable by name wherever the worker runs."""


@final
@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        task: The task.
        shard: Its result; None for a probe.
        death: How its worker died, where it did.
    """

    task: Task
    shard: Shard | None = None
    death: str | None = None


class Crew(ABC):
    """Workers that are there for one piece of work. They run one task at a time, and write no files."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Tasks that can be under way at once: the number of workers."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Hand out a task; no more than `capacity` may be under way."""

    @abstractmethod
    def wait(self) -> Sequence[Outcome]:
        """Wait until at least one task has come back.

        Raises:
            Exception: What the work raised.
            OSError: If no more workers can be had.
        """


class Executor(ABC):
    """A place where shards are made.

    Within a ``with`` statement it keeps what is dear to start, a cluster, from one crew to the next.

    Attributes:
        retries: How often a task is handed out again after its worker died.
    """

    retries: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:  # noqa: B027 - most places keep nothing
        """Let go what was kept."""

    @abstractmethod
    def crew(self, work: Work, *, tasks: int) -> AbstractContextManager[Crew]:
        """Get workers for at most so many tasks at a time; at the end, however it comes, they are let go."""
