"""One iteration of training: the step, and the validation of the averaged weights."""

from __future__ import annotations

import math
import os
import shutil
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posterior.config import TrainConfig
from posterior.dataset import Pairs
from posterior.linearise import Conditioner
from posterior.seeding import derive_seed, latents
from posterior.standardise import Standardiser
from posterior.training.batches import DROPOUT, VALIDATION, prepare
from posterior.training.distributed import World
from posterior.training.ema import update_average
from posterior.training.losses import NegativeLogLikelihood
from posterior.training.state import TrainingRun, TrainingState
from posterior.training.tracking import Record


def learning_rate(config: TrainConfig, iteration: int) -> float:
    """Linear warm-up over ``warmup`` iterations, then a cosine to zero at the last."""
    if iteration < config.warmup:
        return config.learning_rate * (iteration + 1) / config.warmup
    share = (iteration - config.warmup) / max(config.iterations - config.warmup, 1)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def step(run: TrainingRun, loss: nn.Module, batch: Sequence[Tensor]) -> Record | None:
    """One update of the weights; None, and nothing changed, when loss or gradient is not finite."""
    state, config, iteration = run.state, run.config, run.state.iteration
    torch.manual_seed(derive_seed(config.seed, DROPOUT, iteration, run.world.rank))
    state.flow.train()
    x, y = prepare(
        batch, run.train_set.y_channels, run.standardiser, config=config, iteration=iteration, world=run.world
    )
    terms = torch.stack([term.mean() for term in loss(x, y)])
    terms.sum().backward()
    norm = nn.utils.clip_grad_norm_(state.flow.parameters(), config.clip_norm)
    # One transfer for all three numbers: each would stall an accelerator.
    numbers = torch.stack([*(run.world.sum(terms.detach()) / run.world.size), norm]).tolist()
    latent, logdet, grad_norm = numbers
    rate = learning_rate(config, iteration)
    if all(map(math.isfinite, numbers)):
        _update(state, config, rate)
        record = {"loss": latent + logdet, "latent": latent, "logdet": logdet}
        return record | {"grad_norm": grad_norm, "lr": rate}
    state.optimizer.zero_grad()
    return None


def _update(state: TrainingState, config: TrainConfig, rate: float) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.optimizer.zero_grad()
    update_average(state.average, state.flow, decay=config.ema_decay, step=state.iteration - state.skipped)


@torch.no_grad()
def validate(
    flow: nn.Module, pairs: Pairs, config: TrainConfig, standardiser: Standardiser, here: World
) -> tuple[float, float]:
    """Latent and logdet term of the loss over all pairs: no augmentation, the same final noise always."""
    loss, seed = NegativeLogLikelihood(flow.eval()), derive_seed(config.seed, VALIDATION)
    first, last = (len(pairs) * rank // here.size for rank in (here.rank, here.rank + 1))
    sums = torch.zeros(2, dtype=torch.float64, device=here.device)
    for start in range(first, last, config.batch_size):
        stop = min(start + config.batch_size, last)
        items = [pairs[position] for position in range(start, stop)]
        x, y = (torch.stack(values).to(here.device) for values in zip(*items, strict=True))
        noise = latents(seed, start, stop, tuple(x.shape[1:])).to(x)
        x = standardiser.standardise_x(x).add(noise, alpha=config.noise_end)
        sums += torch.stack([term.double().sum() for term in loss(x, standardiser.standardise_y(y))])
    latent, logdet = (here.sum(sums) / len(pairs)).tolist()
    return latent, logdet


def compile_conditioners(flow: nn.Module) -> None:
    """Compile the networks inside the couplings in place; their names in the state stay what they are."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        warnings.warn(
            "train.compile needs a C++ compiler and found none; training goes on without", stacklevel=2
        )
        return
    for module in flow.modules():
        if isinstance(module, Conditioner):
            module.compile()
