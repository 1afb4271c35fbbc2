"""From pairs to a saved posterior in one call."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from posterior.config import NetworkConfig, TrainConfig
from posterior.dataset import PairDataset
from posterior.files import writes_files
from posterior.flow import ConditionalFlow
from posterior.sample import AmortizedPosterior, ModelInfo
from posterior.seeding import derive_seed
from posterior.training.tracking import Tracker
from posterior.training.train import train

MODEL = "model"
_WEIGHTS = 100
"""Key of the stream that the first weights are drawn from."""


def fit_posterior(
    train_set: PairDataset,
    val_set: PairDataset,
    folder: str | Path,
    *,
    network: NetworkConfig,
    config: TrainConfig,
    tracker: Tracker | None = None,
    progress: bool = True,
) -> AmortizedPosterior:
    """Build a conditional flow, train it and write ``folder/model``; goes on where it was stopped.

    Args:
        train_set: pairs to learn from.
        val_set: pairs that choose the best weights.
        folder: the run's folder: gets ``log.jsonl``, ``checkpoints/`` and ``model/``.
        network: architecture.
        config: training.
        tracker: also receives every line of the log.
        progress: show a progress bar.

    Returns:
        The posterior, as :meth:`AmortizedPosterior.load` would read it.

    Raises:
        ValueError: the two sets, or the folder's earlier run, do not fit.
    """
    for name in ("x_shape", "y_shape", "x_channels", "y_channels", "x_units", "y_units"):
        if getattr(train_set, name) != getattr(val_set, name):
            raise ValueError(
                f"expected validation pairs like the training pairs, got {name} {getattr(val_set, name)} "
                f"instead of {getattr(train_set, name)}"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, _WEIGHTS))
        flow = ConditionalFlow.from_config(
            network,
            in_channels=train_set.x_shape[0],
            y_channels=train_set.y_shape[0],
            ndim=len(train_set.x_shape) - 1,
        )
    result = train(flow, train_set, val_set, config, folder, tracker=tracker, progress=progress)
    outcome = {
        name: getattr(result, name) for name in ("iterations", "best_iteration", "best_loss", "skipped")
    }
    info = ModelInfo.of(train_set, network, asdict(config) | outcome | {"stopped": result.stopped})
    posterior = AmortizedPosterior(flow, result.standardiser, info)
    if writes_files():
        posterior.save(Path(folder) / MODEL)
    return posterior
