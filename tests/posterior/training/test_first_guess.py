"""Training of a starting network by itself: what is learned, at what cost, and exact resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from posterior import uq
from posterior.config import ReconstructConfig
from posterior.dataset import TensorPairs
from posterior.layers.units import LinearUnits
from posterior.linear_map import LinearMap
from posterior.linear_misfit import LinearMisfit
from posterior.networks.loop import Known, LoopUnrolled
from posterior.training.first_guess import fit_first_guess
from posterior.training.optimise import Outcome
from posterior.training.reconstruct import Problem, Surveys, fit_reconstruction
from posterior.training.tracking import read_log

SHAPE, UNIT = (1, 8, 8), 3e-8
CELLS = (torch.arange(8.0) + 0.5) * torch.pi / 8.0
WAVES = torch.stack(
    [(torch.cos(i * CELLS)[:, None] * torch.cos(j * CELLS)).flatten() for i, j in ((1, 0), (0, 1), (1, 2))]
)
CONFIG = ReconstructConfig(
    iterations=2, first_guess=300, first_guess_rate=1e-2, warmup=2, validate_every=50, log_every=10
)


class Shaded:
    """A diagonal operator that differs from pair to pair; its diagonal is the context."""

    def __init__(self, count: int, seed: int) -> None:
        draws = torch.Generator().manual_seed(seed)
        smooth = torch.linspace(0.5, 2.0, 8) * torch.rand(count, 1, 1, 1, generator=draws)
        self.shade = smooth.expand(count, *SHAPE) + 0.5
        x = UNIT * (torch.randn(count, 3, generator=draws) @ WAVES).view(count, *SHAPE)
        self.surveys, self.misfits = Surveys(TensorPairs(x, self.shade * x), self), list[LinearMisfit]()

    def __call__(self, positions: Sequence[int], data: Tensor, rng: np.random.Generator | None) -> Problem:
        shade = self.shade[list(positions)]
        self.misfits.append(LinearMisfit(LinearMap(lambda x: shade * x, lambda d: shade * d), SHAPE))
        return Problem(self.misfits[-1], data, Known(shade, torch.ones(1)))


def loop(**options: Any) -> LoopUnrolled:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings: dict[str, Any] = {"iterations": 1, "memory_channels": 3, "hidden": 8, "strides": (1,)}
        settings |= {"start": "network", "context_channels": 1, "link": LinearUnits(UNIT)}
        return LoopUnrolled(**settings | options)


def fit(network: LoopUnrolled, folder: Path, config: ReconstructConfig = CONFIG) -> tuple[Outcome, Shaded]:
    train, val = Shaded(32, 1), Shaded(8, 2)
    return fit_first_guess(network, train.surveys, val.surveys, config, folder, progress=False), train


def migrated(shaded: Shaded) -> list[tuple[Any, Any]]:
    """Migrated and true images."""
    x = shaded.surveys.pairs.x  # type: ignore[attr-defined]
    return [(m.numpy(), one.numpy()) for m, one in zip(shaded.shade.square() * x, x, strict=True)]


def test_learns_from_one_migration_a_pair_and_the_loop_starts_there(tmp_path: Path) -> None:
    network = loop()
    outcome, train = fit(network, tmp_path)
    best = [uq.snr_db(uq.best_scale(m, x) * m, x) for m, x in migrated(Shaded(8, 2))]
    assert outcome.best_loss < -np.mean(best) - 3.0
    assert sum(one.num_adjoint for one in train.misfits) == len(train.surveys.pairs)
    val = Shaded(8, 2)
    x, data = val.surveys.pairs.x, val.surveys.pairs.y  # type: ignore[attr-defined]
    problem = val(range(8), data, None)
    image = network.reconstruct(problem.d, problem.misfit, known=problem.known).detach()
    error = (image - x).square().flatten(1).sum(1) / x.square().flatten(1).sum(1)
    # The iterations start as the identity.
    assert float(10.0 * error.log10().mean()) == pytest.approx(outcome.best_loss, abs=1e-3)
    whole = fit_reconstruction(
        network,
        train.surveys,
        val.surveys,
        replace(CONFIG, learning_rate=1e-9),
        tmp_path / "loop",
        progress=False,
    )
    assert whole.best_loss == pytest.approx(outcome.best_loss, abs=0.05)


def test_goes_on_where_it_stopped(tmp_path: Path) -> None:
    one, other = loop(), loop()
    fit(one, tmp_path)
    before = read_log(tmp_path / "log.jsonl")
    fit(other, tmp_path)
    assert read_log(tmp_path / "log.jsonl") == before
    for value, again in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(value, again)


def test_a_loop_that_starts_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='expected a loop with start "network", got one without'):
        fit(loop(start="zero", context_channels=0), tmp_path)
