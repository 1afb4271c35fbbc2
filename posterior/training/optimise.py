"""The loop of every training: resumable to the last bit, guarded against values that are not finite."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import nn

from posterior.allocator import keep_freed_memory
from posterior.config import LoopConfig
from posterior.dataset import Pairs
from posterior.files import locked
from posterior.progress import Progress
from posterior.training.batches import batch_positions, training_loader
from posterior.training.checkpoint import Checkpoints, check_same_run
from posterior.training.distributed import World, world
from posterior.training.objective import Objective
from posterior.training.signals import StopSignals
from posterior.training.state import TrainingRun, TrainingState, environment, run_identity, warn_changed
from posterior.training.step import compile_conditioners, step, validate
from posterior.training.tracking import JsonlTracker, Record, Tracker

CHECKPOINTS, LOG = "checkpoints", "log.jsonl"
"""Names inside a training's folder."""


@final
class TrainingDivergedError(ValueError):
    """Loss or gradient was not finite too many times in a row; weights and the last checkpoint still are."""


@final
class TrainingInterrupted(KeyboardInterrupt):
    """A signal stopped training after a checkpoint; the same call goes on from there."""

    def __init__(self, received: signal.Signals, iteration: int) -> None:
        super().__init__(
            f"stopped by {received.name} after iteration {iteration}; the same call goes on from there"
        )
        self.signal, self.iteration = received, iteration


@final
@dataclass(frozen=True)
class Outcome:
    """How a training went.

    Args:
        iterations: iterations done.
        best_iteration: the one after which validation was best; 0 if no validation was finite.
        best_loss: validation loss there.
        skipped: iterations without an update.
        stopped: "finished", or "early" when patience ran out.
    """

    iterations: int
    best_iteration: int
    best_loss: float
    skipped: int
    stopped: Literal["finished", "early"]


def optimise(
    network: nn.Module,
    sets: tuple[Pairs, Pairs],
    config: LoopConfig,
    folder: str | Path,
    *,
    objective: Objective,
    tracker: Tracker | None = None,
    progress: bool = True,
    resume: bool = True,
) -> Outcome:
    """Lower an objective over pairs; leaves the network with the averaged weights of the best validation.

    Killed at any moment, the same call goes on from the last checkpoint and ends with the same weights and
    the same log as an undisturbed run (at the same number of threads and processes). Under ``torchrun`` every
    process calls this alike; rank 0 writes.

    Args:
        network: trained in place.
        sets: pairs to learn from, and pairs that choose the best weights.
        config: everything else.
        folder: gets ``log.jsonl`` and ``checkpoints/``.
        objective: what is lowered.
        tracker: also receives every line of the log.
        progress: show a progress bar.
        resume: go on from the folder's checkpoint; False refuses a folder that has one.

    Raises:
        ValueError: the folder holds another run, or one although ``resume`` is False, or only damaged
            checkpoints; a pair is not finite.
        TrainingDivergedError: in ``config.max_skipped`` iterations in a row loss or gradient was not finite.
        TrainingInterrupted: SIGINT, SIGTERM or SIGUSR1 came; a checkpoint was written.
    """
    folder = Path(folder)
    keep_freed_memory()
    with ExitStack() as stack:
        here = stack.enter_context(world())
        checkpoints = Checkpoints(folder / CHECKPOINTS, keep=config.keep_checkpoints)
        if here.writes:
            stack.enter_context(locked(checkpoints.folder))
            checkpoints.tidy()
        devices = [here.device] if here.device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices))
        state = TrainingState.begin(network.to(here.device), config)
        identity = run_identity(network, *sets, config) | objective.identity()
        _resume(state, checkpoints, identity, here, resume=resume)
        here.barrier()
        run = TrainingRun(state, *sets, config, objective, here, checkpoints, identity)
        trackers = stack.enter_context(_trackers(folder, tracker, state.iteration, here))
        bar = Progress("train", config.iterations, done=state.iteration, shown=progress and here.writes)
        stack.callback(bar.close)
        stopped = _loop(run, trackers, bar, stack.enter_context(StopSignals()))
    network.load_state_dict(state.best or state.average.state_dict())
    return Outcome(state.iteration, state.best_iteration, state.best_loss, state.skipped, stopped)


def _resume(
    state: TrainingState, checkpoints: Checkpoints, identity: dict[str, Any], here: World, *, resume: bool
) -> None:
    """Stand at the newest good checkpoint, if there is one and it is this run's."""
    found = checkpoints.newest()
    if found is None:
        return
    path, saved = found
    if not resume:
        raise ValueError(
            f"{path.parent} holds a run already: pass resume=True to go on, or choose another folder"
        )
    check_same_run(path.parent, saved["run"], identity)
    warn_changed(saved["environment"], environment(here))
    state.load_state_dict(saved)


@contextmanager
def _trackers(folder: Path, tracker: Tracker | None, iteration: int, here: World) -> Iterator[list[Tracker]]:
    """The log and the user's tracker, both set back to where training goes on."""
    found: list[Tracker] = (
        [JsonlTracker(folder / LOG), *([tracker] if tracker else [])] if here.writes else []
    )
    try:
        for each in found:
            each.rewind(iteration)
        yield found
    finally:
        for each in found:
            each.close()


def _loop(
    run: TrainingRun, trackers: Sequence[Tracker], bar: Progress, signals: StopSignals
) -> Literal["finished", "early"]:
    """Iterate from where the state stands to the end."""
    state, config = run.state, run.config
    loss = run.world.wrap(run.objective.module(state.flow))
    if config.compile:
        compile_conditioners(state.flow)
    begin = time.monotonic() - state.seconds
    for batch in training_loader(run.train_set, config, state.iteration, run.world):
        if 0 < config.patience <= state.stale:
            return "early"
        finite = all(bool(values.isfinite().all()) for values in batch)
        number, poisoned = run.world.any([signals.received or 0, not finite])
        if number:
            run.save()
            raise TrainingInterrupted(signal.Signals(number), state.iteration)
        record = None if poisoned else step(run, loss, batch)
        state.iteration += 1
        state.seconds = time.monotonic() - begin
        records = [_outcome(run, record), *_validation(run)]
        for entry in filter(None, records):
            for tracker in trackers:
                tracker.log(entry)
        if state.iteration % config.checkpoint_every == 0 or state.iteration == config.iterations:
            run.save()
        bar.advance(loss=record["loss"] if record else math.nan, val=state.best_loss)
    return "early" if 0 < config.patience <= state.stale else "finished"


def _outcome(run: TrainingRun, record: Record | None) -> Record | None:
    """The log's line for a step, if it is due; counts skipped steps and gives up after too many."""
    state, config = run.state, run.config
    here = {"iteration": state.iteration}
    if record is not None:
        state.in_a_row = 0
        if state.iteration % config.log_every and state.iteration != config.iterations:
            return None
        more = run.objective.progress(state.iteration - 1)
        return here | dict(record) | more | {"skipped": state.skipped, "seconds": state.seconds}
    state.skipped += 1
    state.in_a_row += 1
    pairs = batch_positions(config.seed, state.iteration - 1, config.batch_size, len(run.train_set))
    if state.in_a_row >= max(config.max_skipped, 1):
        raise TrainingDivergedError(
            f"loss or gradient not finite at iteration {state.iteration}, the last of {state.in_a_row} in a "
            f"row, with training pairs {pairs}; the last good checkpoint is in {run.checkpoints.folder}: "
            "look at these pairs, or train with a lower learning_rate or clip_norm in another folder"
        )
    return here | {"event": "skipped", "pairs": pairs}


def _validation(run: TrainingRun) -> list[Record]:
    """Loss of the averaged weights on the validation pairs, when it is due."""
    state, config = run.state, run.config
    if state.iteration % config.validate_every and state.iteration != config.iterations:
        return []
    terms = validate(run)
    best = state.keep_best(sum(terms))
    if not math.isfinite(sum(terms)):
        return [{"iteration": state.iteration, "event": "validation not finite"}]
    named = zip(run.objective.terms, terms, strict=True)
    values = {"val_loss": sum(terms)} | {f"val_{name}": value for name, value in named}
    return [{"iteration": state.iteration} | values | {"best": best}]
