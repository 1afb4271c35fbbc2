"""One iteration of training: the step, and the validation of the averaged weights."""

from __future__ import annotations

import math
import os
import shutil
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posterior.config import LoopConfig
from posterior.linearise import Conditioner
from posterior.seeding import derive_seed
from posterior.training.batches import DROPOUT, batch_positions
from posterior.training.ema import update_average
from posterior.training.state import TrainingRun, TrainingState
from posterior.training.tracking import Record


def learning_rate(config: LoopConfig, iteration: int) -> float:
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
    here = run.world
    positions = batch_positions(config.seed, iteration, config.batch_size, len(run.train_set))
    inputs = run.objective.training_inputs(
        batch, positions[here.rank :: here.size], iteration=iteration, world=here
    )
    terms = torch.stack([term.mean() for term in loss(*inputs)])
    terms.sum().backward()
    norm = nn.utils.clip_grad_norm_(state.flow.parameters(), config.clip_norm)
    # One transfer for all numbers: each would stall an accelerator.
    numbers = torch.stack([*(here.sum(terms.detach()) / here.size), norm]).tolist()
    *values, grad_norm = numbers
    rate = learning_rate(config, iteration)
    if all(map(math.isfinite, numbers)):
        _update(state, config, rate)
        record = {"loss": sum(values)} | dict(zip(run.objective.terms, values, strict=True))
        return record | {"grad_norm": grad_norm, "lr": rate}
    state.optimizer.zero_grad()
    return None


def _update(state: TrainingState, config: LoopConfig, rate: float) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.optimizer.zero_grad()
    update_average(state.average, state.flow, decay=config.ema_decay, step=state.iteration - state.skipped)


@torch.no_grad()
def validate(run: TrainingRun) -> list[float]:
    """Terms of the averaged weights' loss over all validation pairs."""
    pairs, here, size = run.val_set, run.world, run.config.batch_size
    loss = run.objective.module(run.state.average.eval())
    first, last = (len(pairs) * rank // here.size for rank in (here.rank, here.rank + 1))
    sums = torch.zeros(len(run.objective.terms), dtype=torch.float64, device=here.device)
    for start in range(first, last, size):
        positions = range(start, min(start + size, last))
        batch = [torch.stack(values) for values in zip(*(pairs[one] for one in positions), strict=True)]
        terms = loss(*run.objective.validation_inputs(batch, positions, world=here))
        sums += torch.stack([term.double().sum() for term in terms])
    return (here.sum(sums) / len(pairs)).tolist()


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
