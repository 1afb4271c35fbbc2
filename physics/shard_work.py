"""What a worker does: the pairs of a shard, as bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import final

from physics.config import PairConfig
from physics.errors import GeometryError, NonFiniteError, PhysicsError, StabilityError
from physics.executors.base import Shard, Task
from physics.pairs import DrawError, PairSimulator
from physics.shards import Failure, Pair, encode_shard, software_versions

LEFT_OUT = (DrawError, GeometryError, NonFiniteError, StabilityError)
"""What is wrong with a draw, not with the run."""

_ONE_AT_A_TIME = Lock()
_kept: tuple[ShardWork, PairSimulator] | None = None


@final
@dataclass(frozen=True)
class ShardWork:
    """Makes the shards of one configuration; a small value that is sent to workers.

    Args:
        config: What a pair depends on besides its index.
        versions: Software that the bytes depend on; this process's own unless given.

    Example:
        >>> data, failed = ShardWork(config)(Task(range(16)))  # doctest: +SKIP
    """

    config: PairConfig
    versions: dict[str, str] = field(default_factory=software_versions)

    def __call__(self, task: Task) -> Shard | None:
        """Make the pairs of a task and encode them; a draw that fails is left out and named.

        Raises:
            PhysicsError: If every draw fails.
            ValueError: If this process has other software than the one that made this object.
        """
        with _ONE_AT_A_TIME:
            simulator = self._simulator()
            if task.probe is not None:
                for _ in _made(simulator, task.probe, {}):
                    pass
                return None
            return make_shard(simulator, task)

    def _simulator(self) -> PairSimulator:
        """The process's simulator, kept from one task to the next of the same configuration."""
        global _kept
        if _kept is None or _kept[0] != self:
            here = software_versions()
            if here != self.versions:
                raise ValueError(
                    f"expected a worker with the software of the writer, {self.versions}, got {here}: the "
                    "bytes of a dataset would depend on the worker"
                )
            _kept = (self, PairSimulator(self.config))
        return _kept[1]


def _made(simulator: PairSimulator, draws: range, left_out: dict[int, Failure]) -> Iterator[Pair | Failure]:
    for index in draws:
        if index in left_out:
            yield left_out[index]
            continue
        try:
            yield simulator(index)
        except LEFT_OUT as error:
            yield Failure(index, str(error))


def make_shard(simulator: PairSimulator, task: Task) -> Shard:
    """Make the pairs of a task and encode them.

    Args:
        simulator: What makes them.
        task: Draws of the shard, and those that it must leave out.

    Returns:
        The bytes of the shard, and the draws that it leaves out.

    Raises:
        PhysicsError: If no pair is made.
    """
    draws = task.draws
    made = list(_made(simulator, draws, {failure.index: failure for failure in task.left_out}))
    pairs = [item for item in made if isinstance(item, Pair)]
    failed = [item for item in made if isinstance(item, Failure)]
    if not pairs:
        raise PhysicsError(
            f"all draws from {draws[0]} to {draws[-1]} failed, the first with: {failed[0].error}"
        )
    data = encode_shard(pairs, failed, config=simulator.config, first=draws.start, weights=simulator.weights)
    return data, failed
