"""Maximum-likelihood training of a conditional flow: one function, resumable to the last bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, final

from torch import nn

from posterior.config import TrainConfig
from posterior.dataset import Pairs
from posterior.standardise import Standardiser
from posterior.training.objective import Likelihood
from posterior.training.optimise import (
    CHECKPOINTS,
    LOG,
    TrainingDivergedError,
    TrainingInterrupted,
    optimise,
)
from posterior.training.tracking import Tracker

__all__ = [
    "CHECKPOINTS",
    "LOG",
    "TrainResult",
    "TrainingDivergedError",
    "TrainingInterrupted",
    "train",
]


@final
@dataclass(frozen=True)
class TrainResult:
    """What training leaves behind besides its log.

    Args:
        flow: the network passed in, with the averaged weights of the best validation, in evaluation mode.
        standardiser: between the network's units and physical ones.
        iterations: iterations done.
        best_iteration: the one after which validation was best; 0 if no validation was finite.
        best_loss: validation loss there, nats per dimension of standardised x.
        skipped: iterations without an update.
        stopped: "finished", or "early" when patience ran out.
    """

    flow: nn.Module
    standardiser: Standardiser
    iterations: int
    best_iteration: int
    best_loss: float
    skipped: int
    stopped: Literal["finished", "early"]


def train(
    flow: nn.Module,
    train_set: Pairs,
    val_set: Pairs,
    config: TrainConfig,
    folder: str | Path,
    *,
    tracker: Tracker | None = None,
    progress: bool = True,
    resume: bool = True,
) -> TrainResult:
    r"""Fit a conditional flow to pairs by maximum likelihood.

    .. math:: \min_\theta \; -\tfrac1D\, \mathbb E_{(x, y)} \log p_\theta(u(x) + \sigma_t \epsilon \mid u(y))

    with standardisation u and noise sigma_t that is annealed. Killed at any moment, the same call goes on
    from the last checkpoint and ends with the same weights and the same log as an undisturbed run (at the
    same number of threads and processes). Under ``torchrun`` every process calls this alike; rank 0 writes.

    Args:
        flow: network with ``encode(x, y) -> (z, logdet)``; trained in place.
        train_set: pairs to learn from, physical units.
        val_set: pairs that choose the best weights.
        config: everything else.
        folder: gets ``log.jsonl`` and ``checkpoints/``.
        tracker: also receives every line of the log.
        progress: show a progress bar.
        resume: go on from the folder's checkpoint; False refuses a folder that has one.

    Returns:
        The trained flow with its standardiser, and how it went.

    Raises:
        ValueError: the folder holds another run, or one although ``resume`` is False, or only damaged
            checkpoints; a pair is not finite.
        TrainingDivergedError: in ``config.max_skipped`` iterations in a row loss or gradient was not finite.
        TrainingInterrupted: SIGINT, SIGTERM or SIGUSR1 came; a checkpoint was written.
    """
    standardiser = Standardiser.fit(train_set)
    outcome = optimise(
        flow,
        (train_set, val_set),
        config,
        folder,
        objective=Likelihood(config, standardiser, train_set.y_channels),
        tracker=tracker,
        progress=progress,
        resume=resume,
    )
    return TrainResult(flow.eval(), standardiser, **asdict(outcome))
