"""Training: exact resume after any end, guards against values that are not finite, and what is learned."""

from __future__ import annotations

import math
import os
import re
import signal
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from posterior.config import NetworkConfig, TrainConfig
from posterior.dataset import TensorPairs
from posterior.flow import ConditionalFlow
from posterior.training.batches import batch_positions
from posterior.training.state import warn_changed
from posterior.training.tracking import JsonlTracker, TensorBoardTracker, read_log
from posterior.training.train import TrainingDivergedError, TrainingInterrupted, train

NETWORK = NetworkConfig(hidden=4, scales=1, steps=1, summary_width=4, cond_channels=2, dropout=0.2)


class LinearFlow(nn.Module):
    """z = (x - a y_0 - b) e^-s: the exact posterior of a linear Gaussian problem with independent cells."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.shift, self.log_std = (nn.Parameter(torch.zeros(1)) for _ in range(3))

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        z = (x - self.gain * y[:, :1] - self.shift) * torch.exp(-self.log_std)
        return z, (-self.log_std * x[0].numel()).expand(len(x))


class Fragile(LinearFlow):
    """Finite input, but a loss of nan whenever a cell of standardised y is beyond 2."""

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        z, logdet = super().encode(x, y)
        return z, logdet + 0.0 * torch.log(torch.relu(2.0 - y.abs().amax()) + 0.0 * self.gain)


class Rotting(TensorPairs):
    """Pairs of which some turn to nan after a number of reads, as on a failing disk."""

    reads = 0

    def rot(self, after: int, bad: set[int]) -> Rotting:
        self.after, self.bad = after, bad
        return self

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        self.reads += 1
        x, y = super().__getitem__(position)
        return (x * torch.nan, y) if self.reads > self.after and position in self.bad else (x, y)


class Hook:
    """A tracker that does something at an iteration."""

    def __init__(self, iteration: int, action) -> None:
        self.iteration, self.action = iteration, action

    def log(self, record) -> None:
        if record["iteration"] == self.iteration:
            self.action()

    def rewind(self, iteration: int) -> None:
        pass

    def close(self) -> None:
        pass


def make_pairs(count: int = 20, seed: int = 0, kind: type = TensorPairs) -> TensorPairs:
    """x ~ N(0, 1), y = x + N(0, 0.5^2): p(x | y) = N(0.8 y, 0.2)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, 8, 8, generator=generator)
    return kind(x, x + 0.5 * torch.randn(x.shape, generator=generator))


def make_config(**changes: object) -> TrainConfig:
    base = {"iterations": 24, "batch_size": 4, "warmup": 4, "validate_every": 8, "checkpoint_every": 6}
    return TrainConfig(**base | {"log_every": 1} | changes)


def make_flow() -> ConditionalFlow:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ConditionalFlow.from_config(NETWORK, in_channels=1, y_channels=1)


def run(folder: Path, **options: object):
    """Train the small network; options replace what is passed to `train`."""
    config = options.pop("config", None) or make_config()
    flow = options.pop("flow", None) or make_flow()
    train_set = options.pop("train_set", None) or make_pairs()
    return train(flow, train_set, make_pairs(6, seed=1), config, folder, progress=False, **options)


def log_without_times(folder: Path) -> list[dict]:
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in read_log(folder / "log.jsonl")]


def assert_same_run(first: Path, second: Path) -> None:
    """Every tensor of the last checkpoint and every line of the log, bit for bit."""
    states = [
        torch.load(sorted((folder / "checkpoints").glob("*.pt"))[-1], weights_only=True)
        for folder in (first, second)
    ]
    for name in ("flow", "average", "best"):
        assert states[0][name].keys() == states[1][name].keys()
        for key, value in states[0][name].items():
            assert torch.equal(value, states[1][name][key]), f"{name}.{key}"
    assert states[0]["optimizer"]["state"].keys() == states[1]["optimizer"]["state"].keys()
    for key, moments in states[0]["optimizer"]["state"].items():
        for part, value in moments.items():
            assert torch.equal(value, states[1]["optimizer"]["state"][key][part])
    assert log_without_times(first) == log_without_times(second)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    return folder


# Resuming


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_stops_cleanly_and_resume_is_exact(tmp_path, undisturbed, number):
    previous = signal.getsignal(number)
    hook = Hook(9, lambda: os.kill(os.getpid(), number))
    with pytest.raises(
        TrainingInterrupted, match=f"stopped by {number.name} after iteration 9; the same call"
    ):
        run(tmp_path, tracker=hook)
    assert signal.getsignal(number) == previous
    result = run(tmp_path)
    assert (result.stopped, result.iterations) == ("finished", 24)
    assert_same_run(undisturbed, tmp_path)


@pytest.mark.parametrize("iteration", [3, 9, 12, 23])
def test_death_between_checkpoints_loses_nothing(tmp_path, undisturbed, iteration):
    def die():
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path, tracker=Hook(iteration, die))
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"iteration": 24, "lo')  # torn by the kill
    run(tmp_path)
    assert_same_run(undisturbed, tmp_path)


def test_finished_run_comes_back_without_training(tmp_path):
    first = run(tmp_path)
    before = log_without_times(tmp_path)
    second = run(tmp_path)
    assert log_without_times(tmp_path) == before
    assert second.best_loss == first.best_loss
    for name, value in first.flow.state_dict().items():
        assert torch.equal(value, second.flow.state_dict()[name])


def test_reading_ahead_in_other_processes_changes_nothing(tmp_path, undisturbed):
    run(tmp_path, config=make_config(workers=1))
    assert_same_run(undisturbed, tmp_path)


def test_damaged_checkpoint_is_walked_back_and_the_result_is_the_same(tmp_path, undisturbed):
    with pytest.raises(TrainingInterrupted):
        run(tmp_path, tracker=Hook(14, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    newest = sorted((tmp_path / "checkpoints").glob("*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:-7])
    with pytest.warns(UserWarning, match="going back to the one before"):
        run(tmp_path)
    assert_same_run(undisturbed, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": make_config(batch_size=5)}, "train.batch_size: 4 there, 5 here"),
        ({"train_set": make_pairs(seed=5)}, "data.train: '"),
        ({"flow": LinearFlow()}, r"network.gain: None there, \[1\] here"),
        ({"resume": False}, "holds a run already"),
    ],
    ids=["settings", "data", "architecture", "no resume"],
)
def test_folder_of_another_run_is_refused(tmp_path, undisturbed, options, message):
    before = {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=message):
        run(undisturbed, **options)
    assert before == {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()}


def test_settings_that_change_no_result_may_change(tmp_path, undisturbed):
    with pytest.raises(TrainingInterrupted):
        run(tmp_path, tracker=Hook(14, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    run(tmp_path, config=make_config(checkpoint_every=5, keep_checkpoints=1))
    assert_same_run(undisturbed, tmp_path)


def test_another_number_of_threads_is_told():
    with pytest.warns(UserWarning, match="threads was 1, is 2: not bit for bit"):
        warn_changed({"threads": 1, "torch": "2"}, {"threads": 2, "torch": "2"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_changed({"threads": 1}, {"threads": 1})


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    def second():
        with pytest.raises(ValueError, match="another process writes into it"):
            run(tmp_path)

    assert run(tmp_path, tracker=Hook(3, second)).stopped == "finished"


def test_the_callers_random_stream_is_left_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    run(tmp_path, config=make_config(iterations=2))
    assert torch.equal(torch.rand(1), expected)


# Values that are not finite


@pytest.mark.parametrize("kind", ["pair", "loss"])
def test_a_bad_step_is_skipped_and_counted(tmp_path, kind):
    train_set, flow = make_pairs(kind=Rotting).rot(20, {7}), LinearFlow()
    if kind == "loss":
        train_set, flow = make_pairs(), Fragile()
        train_set.y[7] = 1e4  # 4 standard deviations; all others then lie near the mean
    result = run(tmp_path, train_set=train_set, flow=flow)
    skips = [entry for entry in read_log(tmp_path / "log.jsonl") if entry.get("event") == "skipped"]
    assert (
        result.skipped
        == len(skips)
        == sum(7 in batch_positions(0, iteration, 4, 20) for iteration in range(24))
    )
    assert all(7 in entry["pairs"] for entry in skips)
    assert all(value.isfinite().all() for value in result.flow.state_dict().values())


def test_too_many_bad_steps_stop_with_the_place_and_a_good_checkpoint(tmp_path):
    # 20 reads of the statistics, then 11 good batches of 4
    train_set, flow = make_pairs(kind=Rotting).rot(64, set(range(20))), make_flow()
    batch = batch_positions(0, 13, 4, 20)
    message = (
        rf"not finite at iteration 14, the last of 3 in a row, with training pairs \[{batch[0]}, {batch[1]}"
    )
    with pytest.raises(TrainingDivergedError, match=message):
        run(tmp_path, train_set=train_set, flow=flow, config=make_config(max_skipped=3))
    newest = sorted((tmp_path / "checkpoints").glob("*.pt"))[-1]
    saved = torch.load(newest, weights_only=True)
    for weights in (flow.state_dict(), saved["flow"], saved["average"]):
        assert all(value.isfinite().all() for value in weights.values())
    assert saved["iteration"] == 12


def test_bad_training_pair_is_refused_before_training(tmp_path):
    pairs = make_pairs()
    pairs.x[5, 0, 0, 0] = math.inf
    with pytest.raises(ValueError, match="nan or inf in x of pair 5"):
        run(tmp_path, train_set=pairs)


# What is learned


def test_linear_gaussian_posterior_is_found(tmp_path):
    config = make_config(
        iterations=300, learning_rate=0.05, weight_decay=0.0, noise_start=0.0, noise_end=0.0,
        amplitude=(1.0, 1.0), batch_size=16, validate_every=50,
    )  # fmt: skip
    result = run(tmp_path, flow=LinearFlow(), train_set=make_pairs(400), config=config)
    standard, flow = result.standardiser, result.flow
    gain = flow.gain.item() * standard.x_std[0] / standard.y_std[0]
    std = math.exp(flow.log_std.item()) * standard.x_std[0]
    # 25600 cells: the sampling error of both is about 0.005; Adam's last steps add as much
    assert gain == pytest.approx(0.8, abs=0.02)
    assert std == pytest.approx(math.sqrt(0.2), abs=0.02)


def test_result_has_the_weights_of_the_best_validation(tmp_path):
    result = run(tmp_path, config=make_config(learning_rate=0.3, clip_norm=100.0, iterations=48))
    losses = {e["iteration"]: e["val_loss"] for e in read_log(tmp_path / "log.jsonl") if "val_loss" in e}
    assert result.best_iteration == min(losses, key=losses.get)
    assert result.best_loss == min(losses.values())
    assert not result.flow.training
    best = torch.load(sorted((tmp_path / "checkpoints").glob("*.pt"))[-1], weights_only=True)["best"]
    assert all(torch.equal(value, best[name]) for name, value in result.flow.state_dict().items())


def test_early_stopping_and_what_comes_after_it(tmp_path):
    config = make_config(learning_rate=1e-12, iterations=200, validate_every=2, patience=3)
    flow = LinearFlow()
    flow.log_std.data += 50.0  # so far off that float32 sees no improvement
    result = run(tmp_path, flow=flow, config=config)
    assert result.stopped == "early"
    assert result.iterations < 200
    again = run(tmp_path, flow=LinearFlow(), config=config)
    assert (again.stopped, again.iterations) == ("early", result.iterations)


def test_log_holds_the_terms_and_every_tracker_gets_them(tmp_path):
    second = JsonlTracker(tmp_path / "second.jsonl")
    run(tmp_path / "run", tracker=second)
    entries = read_log(tmp_path / "run" / "log.jsonl")
    assert entries == read_log(tmp_path / "second.jsonl")
    steps = [entry for entry in entries if "loss" in entry]
    assert [entry["iteration"] for entry in steps] == list(range(1, 25))
    for entry in steps:
        assert entry["loss"] == pytest.approx(entry["latent"] + entry["logdet"], rel=1e-12)
        assert entry.keys() >= {"grad_norm", "lr", "noise", "skipped", "seconds"}
    assert [entry["iteration"] for entry in entries if "val_loss" in entry] == [8, 16, 24]


def test_tensorboard_is_an_extra(tmp_path):
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # tensorboard's own imports
        run(
            tmp_path / "run",
            tracker=TensorBoardTracker(tmp_path / "events"),
            config=make_config(iterations=3),
        )
    assert any(path.stat().st_size > 100 for path in (tmp_path / "events").iterdir())


def test_progress_is_a_line_when_standard_error_is_no_terminal(tmp_path, capsys):
    train(LinearFlow(), make_pairs(), make_pairs(6, seed=1), make_config(), tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"train 24/24, loss [-\d.e]+, val [-\d.e]+, [\d.]+/s, 0 s left", line)
