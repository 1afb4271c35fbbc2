"""What every refinement method shares: solves and their budget, rejected steps, checkpoints, signals."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

from posterior.files import locked
from posterior.progress import Progress
from posterior.refine.config import RefineConfig
from posterior.refine.target import Target
from posterior.training.checkpoint import Checkpoints, check_same_run
from posterior.training.signals import StopSignals

Stopped = Literal["finished", "budget"]


@final
class OutOfBudgetError(RuntimeError):
    """The next evaluation would cost more solves than are left."""


@final
class RefinementDivergedError(ValueError):
    """The likelihood, or what led to it, was not finite too many times in a row."""


@final
class RefinementInterrupted(KeyboardInterrupt):
    """A signal stopped the refinement after a checkpoint; the same call goes on from there."""

    def __init__(self, received: signal.Signals, iteration: int) -> None:
        super().__init__(
            f"stopped by {received.name} after step {iteration}; the same call goes on from there"
        )
        self.signal, self.iteration = received, iteration


class Solves(NamedTuple):
    """Wave-equation solves, as the likelihood counts them: one a model and experiment."""

    forward: int
    adjoint: int

    @property
    def total(self) -> int:
        """Both."""
        return self.forward + self.adjoint


@final
@dataclass
class Counters:
    """Where a run stands."""

    iteration: int = 0
    rejected: int = 0
    """Evaluations that were not finite."""
    in_a_row: int = 0
    forward: int = 0
    adjoint: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    """What was found on the way and must survive a kill."""


@final
class Run:
    """One refinement on its way.

    Args:
        target: The density to approximate, with the likelihood.
        config: Settings.
        identity: What the run is, by dotted name; a folder takes no other.
        folder: Gets the checkpoints; None writes none.
        progress: Whether to show progress.
    """

    def __init__(
        self,
        target: Target,
        config: RefineConfig,
        *,
        identity: dict[str, Any],
        folder: Path | None = None,
        progress: bool = False,
    ) -> None:
        self.target, self.config, self.identity = target, config, identity
        self.counters = Counters()
        self.stopped: Stopped = "finished"
        self.reserved = 0
        """Solves kept back for the checks at the end."""
        self._shown = progress
        self._checkpoints = None if folder is None else Checkpoints(folder, keep=2)
        self._signals = StopSignals()
        self._bar: Progress | None = None
        self._loaded: dict[str, Any] | None = None
        likelihood = target.likelihood
        self._begin = Solves(likelihood.num_forward, likelihood.num_adjoint)

    @contextmanager
    def entered(self) -> Iterator[Run]:
        """Hold the folder, stand at its newest checkpoint, and turn signals into an orderly end."""
        with ExitStack() as stack:
            if self._checkpoints is not None:
                stack.enter_context(locked(self._checkpoints.folder))
                self._checkpoints.tidy()
                self._load(self._checkpoints)
            stack.enter_context(self._signals)
            yield self

    def _load(self, checkpoints: Checkpoints) -> None:
        if (found := checkpoints.newest()) is None:
            return
        path, state = found
        check_same_run(path.parent, state["run"], self.identity)
        self.counters, self._loaded = Counters(**state["counters"]), state["method"]
        likelihood, counters = self.target.likelihood, self.counters
        self._begin = Solves(
            likelihood.num_forward - counters.forward, likelihood.num_adjoint - counters.adjoint
        )

    @property
    def resumed(self) -> dict[str, Any] | None:
        """The method's own state in the checkpoint from which the run goes on; None at its beginning."""
        return self._loaded

    @property
    def solves(self) -> Solves:
        """Solves so far, in every attempt."""
        likelihood = self.target.likelihood
        return Solves(
            likelihood.num_forward - self._begin.forward, likelihood.num_adjoint - self._begin.adjoint
        )

    def afford(self, experiments: int, *, gradient: bool) -> None:
        """Raise an OutOfBudgetError if these evaluations would go beyond the budget."""
        cost = experiments * (2 if gradient else 1)
        budget = self.config.budget
        if budget is not None and self.solves.total + cost + self.reserved > budget:
            raise OutOfBudgetError

    def reject(self, what: str) -> None:
        """Count an evaluation that was not finite, and say so.

        Raises:
            RefinementDivergedError: ``config.max_rejected`` in a row.
        """
        self.counters.rejected += 1
        self.counters.in_a_row += 1
        here = f"{what} not finite at step {self.counters.iteration + 1}"
        if self.counters.in_a_row >= self.config.max_rejected:
            raise RefinementDivergedError(
                f"{here}, the last of {self.counters.in_a_row} in a row: expected a likelihood finite "
                "for draws of the amortized posterior; look at these models, or take a lower learning_rate"
            )
        warnings.warn(f"{here}: rejected, the run goes on", stacklevel=2)

    @contextmanager
    def progress(self, name: str, total: int) -> Iterator[Progress]:
        """A bar that begins where the run stands."""
        bar = Progress(name, total, done=self.counters.iteration, shown=self._shown)
        try:
            yield bar
        finally:
            bar.close()

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint of this moment, where there is a folder."""
        self.counters.forward, self.counters.adjoint = self.solves
        if self._checkpoints is not None:
            about = {"run": self.identity, "counters": vars(self.counters), "method": dict(state)}
            self._checkpoints.save(self.counters.iteration, about)

    def after_step(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Count a step; write a checkpoint where one is due or a signal came.

        Raises:
            RefinementInterrupted: A signal came.
        """
        self.counters.iteration += 1
        received = self._signals.received
        if received is not None or self.counters.iteration % self.config.checkpoint_every == 0:
            self.save(state())
        if received is not None:
            raise RefinementInterrupted(received, self.counters.iteration)
