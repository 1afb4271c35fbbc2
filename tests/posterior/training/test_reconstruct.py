"""Training a reconstruction: what is learned, exact resume, encodings, and physics that fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from posterior.config import ReconstructConfig, TrainConfig
from posterior.dataset import TensorPairs
from posterior.linear_map import LinearMap
from posterior.linear_misfit import LinearMisfit
from posterior.misfit import AdjointError
from posterior.networks.loop import Known, LoopUnrolled
from posterior.training.optimise import Outcome, TrainingDivergedError, TrainingInterrupted
from posterior.training.reconstruct import Problem, Surveys, fit_reconstruction
from posterior.training.tracking import read_log

SHAPE = (1, 12, 12)
DRAWS = torch.Generator().manual_seed(0)
CELLS = (torch.arange(12.0) + 0.5) * torch.pi / 12.0
BASIS = torch.stack(
    [(torch.cos(i * CELLS)[:, None] * torch.cos(j * CELLS)).flatten() for i, j in ((1, 0), (0, 1), (1, 2))]
)
MATRICES = torch.randn(8, 24, 144, generator=DRAWS).div(12.0)


class Sensing:
    """Pair k is seen through matrix k mod 8; with a generator, through random sums of its rows."""

    def __init__(
        self, *, encodes: bool = False, adjoint_scale: float = 1.0, broken: Sequence[int] = ()
    ) -> None:
        self.encodes, self.adjoint_scale, self.broken = encodes, adjoint_scale, set(broken)
        self.seen: list[tuple[Sequence[int], bool]] = []

    def __call__(self, positions: Sequence[int], data: Tensor, rng: np.random.Generator | None) -> Problem:
        self.seen.append((tuple(positions), rng is not None))
        chosen = MATRICES[[one % 8 for one in positions]]
        d = data[:, 0]
        if self.encodes and rng is not None:
            sums = torch.from_numpy(rng.choice([-1.0, 1.0], (16, 24)) / 4.0).float()
            chosen, d = sums @ chosen, d @ sums.T
        if rng is not None and self.broken & set(positions):
            chosen = chosen * torch.nan
        scale = self.adjoint_scale
        operator = LinearMap(
            lambda x: torch.einsum("bdm,bm->bd", chosen, x.flatten(1)),
            lambda r: scale * torch.einsum("bdm,bd->bm", chosen, r).view(-1, *SHAPE),
        )
        return Problem(LinearMisfit(operator, SHAPE), d, self.known(positions))

    def known(self, positions: Sequence[int]) -> Known:
        return Known()


def make_pairs(count: int, seed: int) -> TensorPairs:
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, generator=draws) @ BASIS
    d = torch.einsum("bdm,bm->bd", MATRICES[[one % 8 for one in range(count)]], x)
    return TensorPairs(x.view(-1, *SHAPE), d[:, None])


def make_network() -> LoopUnrolled:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return LoopUnrolled(memory_channels=3, iterations=2, step="irim", hidden=8)


def make_config(**changes: Any) -> ReconstructConfig:
    base: dict[str, Any] = {"iterations": 12, "warmup": 2, "validate_every": 4, "checkpoint_every": 3}
    return ReconstructConfig(**base | {"log_every": 1, "learning_rate": 1e-2} | changes)


def run(folder: Path, physics: Sensing | None = None, **options: Any) -> Outcome:
    physics = physics or Sensing(encodes=True)
    config, network = options.pop("config", make_config()), options.pop("network", None) or make_network()
    train_set, val_set = Surveys(make_pairs(24, 2), physics), Surveys(make_pairs(6, 3), Sensing())
    return fit_reconstruction(network, train_set, val_set, config, folder, progress=False, **options)


def log_without_times(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in read_log(folder / "log.jsonl")]


class Interrupt:
    """A tracker that sends a signal at an iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def log(self, record: Any) -> None:
        if record["iteration"] == self.iteration:
            os.kill(os.getpid(), signal.SIGTERM)

    def rewind(self, iteration: int) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("loss", ["snr", "mse", "ssim"])
def test_every_loss_is_lowered_on_pairs_that_were_not_seen(tmp_path: Path, loss: Any) -> None:
    network, options = make_network(), {"loss": loss, "data_range": 4.0, "batch_size": 8}
    untrained = run(
        tmp_path / "start", Sensing(), config=make_config(**options, iterations=1, learning_rate=1e-9)
    )
    config = make_config(**options, iterations=100, validate_every=20, log_every=50)
    outcome = run(tmp_path / "run", Sensing(), config=config, network=network)
    values = [one["val_loss"] for one in read_log(tmp_path / "run" / "log.jsonl") if "val_loss" in one]
    assert not network.training
    assert outcome.best_loss == min(values)
    # Two small iterations learn what they can from 24 images; the untrained network returns a migration.
    least = {
        "snr": untrained.best_loss - 1.5,
        "mse": 0.8 * untrained.best_loss,
        "ssim": 0.95 * untrained.best_loss,
    }
    assert outcome.best_loss < least[loss]


def test_interrupted_and_resumed_is_the_undisturbed_run_to_the_last_bit(tmp_path: Path) -> None:
    one, other = make_network(), make_network()
    whole = run(tmp_path / "whole", network=one)
    with pytest.raises(TrainingInterrupted, match="after iteration 7"):
        run(tmp_path / "parts", network=make_network(), tracker=Interrupt(7))
    parts = run(tmp_path / "parts", network=other)
    assert parts == whole
    assert log_without_times(tmp_path / "parts") == log_without_times(tmp_path / "whole")
    for (name, value), (_, again) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(value, again), name


def test_encodings_change_with_every_iteration_and_never_in_validation(tmp_path: Path) -> None:
    physics = Sensing(encodes=True)
    run(tmp_path, physics)
    assert [encoded for _, encoded in physics.seen] == [False] + [True] * 12  # the dot test, then training
    again = Sensing(encodes=True)
    run(tmp_path / "again", again)
    assert physics.seen == again.seen
    first, plain = log_without_times(tmp_path), run(tmp_path / "plain", Sensing())
    assert log_without_times(tmp_path / "again") == first
    assert plain.best_loss != min(entry["val_loss"] for entry in first if "val_loss" in entry)


def test_a_wrong_adjoint_is_found_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(AdjointError, match=r"within 0\.0001, got .* a relative mismatch of 0\.00"):
        run(tmp_path / "run", Sensing(adjoint_scale=1.01))
    assert not (tmp_path / "run").exists()
    run(tmp_path / "run", Sensing(adjoint_scale=1.01), config=make_config(iterations=1, adjoint_rtol=0.02))


def test_a_gradient_that_is_not_finite_skips_the_step_and_says_so(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match=r"got nan or inf for samples \[.*\] of 4; the step is skipped"):
        outcome = run(tmp_path, Sensing(broken=[5]), config=make_config(iterations=12))
    events = [entry for entry in read_log(tmp_path / "log.jsonl") if entry.get("event") == "skipped"]
    assert len(events) == outcome.skipped == 2  # twelve batches of 4 are two epochs of 24 pairs
    assert all(5 in entry["pairs"] for entry in events)


def test_gradients_that_are_never_finite_stop_the_run(tmp_path: Path) -> None:
    with (
        pytest.warns(RuntimeWarning, match="the step is skipped"),
        pytest.raises(TrainingDivergedError, match="the last of 3 in a row"),
    ):
        run(tmp_path, Sensing(broken=range(24)), config=make_config(max_skipped=3))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    surveys = Surveys(make_pairs(4, 2), Sensing())
    flat = Surveys(TensorPairs(torch.zeros(4, 1, 12, 8), torch.zeros(4, 1, 24)), Sensing())
    with pytest.raises(
        ValueError, match=r"expected x of a pair of shape \(B, 1, 12, 12\), got \(4, 1, 12, 8\)"
    ):
        fit_reconstruction(make_network(), flat, surveys, make_config(), tmp_path, progress=False)
    short = Surveys(TensorPairs(torch.zeros(4, *SHAPE), torch.zeros(4, 1, 20)), Sensing())
    with pytest.raises(ValueError, match=r"expected data of shape \(4, 24\), that of A x, got \(4, 20\)"):
        fit_reconstruction(make_network(), surveys, short, make_config(), tmp_path, progress=False)
    run(tmp_path)
    with pytest.raises(ValueError, match=r"holds another run \(.*train\.loss: 'snr' there, 'mse' here"):
        run(tmp_path, config=make_config(loss="mse"))
    with pytest.raises(ValueError, match=r"reconstruct\.data_range: expected a positive value, got 0\.0"):
        make_config(data_range=0.0)
    with pytest.raises(ValueError, match=r"reconstruct\.iterations: expected at least 1, got 0"):
        make_config(iterations=0)
    with pytest.raises(ValueError, match=r"train\.iterations: expected at least 1, got 0"):
        TrainConfig(iterations=0)
