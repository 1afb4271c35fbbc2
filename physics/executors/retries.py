"""What is done about workers that die: shards are made again, a draw that kills is found and left out."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import final

from physics.executors.base import Crew, Executor, Outcome, Shard, Task, Work
from physics.shards import Failure

_LOGGER = logging.getLogger(__name__)

KILLER = "ends the process that makes it, each time"
"""What a shard says of such a draw: the same wherever it is made."""

_HOPELESS = 5
"""Deaths in a row, over the tries of a task and the workers, after which the draws are not to blame."""


def run_shards(executor: Executor, work: Work, shards: Sequence[range]) -> Generator[tuple[range, Shard]]:
    """Make shards on an executor and yield them as they come.

    A shard whose worker dies is handed out again, as often as the executor's ``retries`` say. If it kills a
    worker every time, it is halved until the draws that do so are known, and then made without them.

    Args:
        executor: Where.
        work: What makes a shard.
        shards: Draws of each shard, handed out in this order.

    Yields:
        The draws of a shard with its bytes and the draws that it leaves out.

    Raises:
        ChildProcessError: If workers die whatever they are given.
        Exception: What the work raised.
    """
    if not shards:
        return
    with executor.crew(work, tasks=len(shards)) as crew:
        ward = _Ward(executor.retries, deque(Task(draws) for draws in shards))
        under_way = 0
        while under_way or ward.waiting:
            capacity = crew.capacity
            while ward.waiting and under_way < capacity:
                crew.submit(ward.waiting.popleft())
                under_way += 1
            for outcome in crew.wait():
                under_way -= 1
                if outcome.shard is not None:
                    yield outcome.task.draws, outcome.shard
                ward.take(outcome, crew)


@final
@dataclass
class _Case:
    """A shard that ended its worker at every try."""

    known: tuple[Failure, ...]
    probes: int = 0
    found: list[int] = field(default_factory=list)


@final
@dataclass
class _Ward:
    """Keeps count of deaths and decides what is made next."""

    retries: int
    waiting: deque[Task]
    tries: Counter[Task] = field(default_factory=Counter)
    cases: dict[range, _Case] = field(default_factory=dict)
    in_a_row: int = 0

    def take(self, outcome: Outcome, crew: Crew) -> None:
        """Learn what became of a task."""
        if outcome.death is not None:
            self._count(outcome.death, crew)
            self._treat(outcome.task, outcome.death)
            return
        self.in_a_row = 0
        if outcome.task.probe is not None:
            self._probed(outcome.task.draws)

    def _count(self, death: str, crew: Crew) -> None:
        self.in_a_row += 1
        if self.in_a_row >= _HOPELESS * (self.retries + 1) * crew.capacity:
            raise ChildProcessError(
                f"{self.in_a_row} workers died in a row, the last of {death}; finished shards are kept, run "
                "again to go on: with fewer workers or more memory, if memory was short"
            )

    def _treat(self, task: Task, death: str) -> None:
        """Decide about a task whose worker died: again, in halves, or never again."""
        self.tries[task] += 1
        tried = self.tries[task]
        part = task.draws if task.probe is None else task.probe
        _LOGGER.warning("draws %d to %d: the worker died (%s), try %d", part[0], part[-1], death, tried)
        is_coarse_probe = task.probe is not None and len(part) > 1
        if tried <= self.retries and not is_coarse_probe:
            self.waiting.append(task)
        elif task.probe is None:
            self._open(task)
        elif is_coarse_probe:
            self._halve(task.draws, part)
            self._probed(task.draws)
        else:
            _LOGGER.warning("draw %d %s: it is left out", part[0], KILLER)
            self.cases[task.draws].found.append(part[0])
            self._probed(task.draws)

    def _open(self, task: Task) -> None:
        """Look for the draws that end the worker of a shard."""
        self.cases[task.draws] = _Case(task.left_out)
        self._halve(task.draws, task.draws)

    def _halve(self, draws: range, part: range) -> None:
        middle = (len(part) + 1) // 2
        halves = [half for half in (part[:middle], part[middle:]) if half]
        self.cases[draws].probes += len(halves)
        self.waiting.extend(Task(draws, probe=half) for half in halves)

    def _probed(self, draws: range) -> None:
        """Note that a probe is done with; after the last, make the shard without what was found."""
        case = self.cases[draws]
        case.probes -= 1
        if case.probes:
            return
        if not case.found:
            raise ChildProcessError(
                f"draws {draws[0]} to {draws[-1]} end their worker together, though none does alone: is "
                "memory short? Finished shards are kept, run again with smaller shards or more memory"
            )
        found = [Failure(index, KILLER) for index in case.found]
        left_out = sorted([*case.known, *found], key=lambda failure: failure.index)
        self.waiting.append(Task(draws, left_out=tuple(left_out)))
