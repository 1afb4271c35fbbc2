"""Everything that changes during training, as one plain state for a checkpoint, and what must not change."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn

from posterior.config import LoopConfig
from posterior.dataset import Pairs
from posterior.training.checkpoint import Checkpoints
from posterior.training.distributed import World
from posterior.training.ema import averaged_copy
from posterior.training.objective import Objective

_FREE = ("checkpoint_every", "keep_checkpoints", "workers")
"""Settings that change nothing about the result; all others belong to the run."""

_COUNTERS = ("iteration", "best_loss", "best_iteration", "stale", "skipped", "in_a_row", "seconds")


@final
@dataclass
class TrainingState:
    """Weights, their average, the optimiser, and where training stands.

    The random streams need no state: they are functions of (seed, iteration).
    """

    flow: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    iteration: int = 0
    """Iterations done, skipped ones included."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Averaged weights with the lowest validation loss so far."""
    best_loss: float = float("inf")
    best_iteration: int = 0
    stale: int = 0
    """Validations since the best one."""
    skipped: int = 0
    """Iterations without an update because loss or gradient was not finite."""
    in_a_row: int = 0
    """How many of the latest iterations were skipped."""
    seconds: float = 0.0
    """Wall time spent so far, in every attempt."""

    @classmethod
    def begin(cls, flow: nn.Module, config: LoopConfig) -> TrainingState:
        """The state before the first iteration."""
        return cls(flow, averaged_copy(flow), _optimizer(flow, config))

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and plain containers."""
        modules = {name: getattr(self, name).state_dict() for name in ("flow", "average", "optimizer")}
        return modules | {"best": self.best} | {name: getattr(self, name) for name in _COUNTERS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where :meth:`state_dict` was taken."""
        for name in ("flow", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.best = dict(state["best"])
        for name in _COUNTERS:
            setattr(self, name, state[name])

    def keep_best(self, loss: float) -> bool:
        """Take in a validation loss; keep the averaged weights if it is the lowest. A nan never is."""
        if not loss < self.best_loss:
            self.stale += 1
            return False
        self.best_loss, self.best_iteration, self.stale = loss, self.iteration, 0
        self.best = {name: value.clone() for name, value in self.average.state_dict().items()}
        return True


def _optimizer(flow: nn.Module, config: LoopConfig) -> torch.optim.Optimizer:
    """AdamW; scales and biases (one axis) are not decayed."""
    trained = [parameter for parameter in flow.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=config.learning_rate, fused=True
    )


def run_identity(flow: nn.Module, train_set: Pairs, val_set: Pairs, config: LoopConfig) -> dict[str, Any]:
    """What makes a run this run, by dotted name: settings, data, and every tensor's shape."""
    settings = {f"train.{name}": value for name, value in asdict(config).items() if name not in _FREE}
    data = {"data.train": train_set.fingerprint, "data.validation": val_set.fingerprint}
    network = {f"network.{name}": list(value.shape) for name, value in flow.state_dict().items()}
    return settings | data | network


def environment(world: World) -> dict[str, Any]:
    """What bitwise equality also hangs on: it may change between two attempts, but not unnoticed."""
    return {
        "threads": torch.get_num_threads(),
        "processes": world.size,
        "device": world.device.type,
        "torch": str(torch.__version__),
    }


def warn_changed(there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Warn when a run goes on elsewhere than it began: the result is as good but not bit for bit the same."""
    changed = [
        f"{name} was {there.get(name)!r}, is {here[name]!r}" for name in here if there.get(name) != here[name]
    ]
    if changed:
        warnings.warn(
            f"training goes on with {'; '.join(changed)}: not bit for bit the undisturbed run", stacklevel=3
        )


@final
@dataclass(frozen=True)
class TrainingRun:
    """What the loop's functions share."""

    state: TrainingState
    train_set: Pairs
    val_set: Pairs
    config: LoopConfig
    objective: Objective
    world: World
    checkpoints: Checkpoints
    identity: dict[str, Any]

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        if self.world.writes:
            about = {"run": self.identity, "environment": environment(self.world)}
            self.checkpoints.save(self.state.iteration, self.state.state_dict() | about)
