"""`seispost reconstruct` on very small surveys: what is written, scored, encoded, and gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from posterior.cli.config import RunConfig, load, parse
from posterior.cli.reconstruct import METHODS, load_loop, reconstruct, reconstruct_all, run
from posterior.cli.simulated_surveys import SimulatedSurveys
from posterior.model_folder import save_model
from posterior.training.tracking import read_log

TOML = """
seed = 3

[prior]
kind = "layered"
velocity = [1800.0, 3000.0]

[survey]
shape = [16, 16]
spacing = [12.5, 12.5]
record_length = 0.2
nbl = 6

[acquisition]
kind = "spread"
num_sources = 3
num_receivers = 8

[imaging]
smoothing = 50.0

[splits.train]
count = 4

[splits.validation]
count = 2

[splits.test]
count = 2

[loop]
unrolled = 2
memory_channels = 3
hidden = 4
strides = [1, 2]
encodings = 1

[reconstruct]
iterations = 4
batch_size = 2
warmup = 1
validate_every = 2
log_every = 1
"""


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reconstruct") / "run.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def config(run_file: Path) -> RunConfig:
    return load(run_file, [])


def test_writes_images_and_scores_and_goes_on(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(run_file, tmp_path / "run", [], quiet=True)
    folder = tmp_path / "run" / "reconstruct"
    said = capsys.readouterr().err
    assert "test: 2 pairs, 2 J and J^T for each image" in said
    scores = json.loads((folder / "scores.json").read_text())["test"]
    with np.load(folder / "test.npz") as images:
        assert {name: images[name].shape for name in images} == dict.fromkeys(
            ("truth", *METHODS), (2, 16, 16)
        )
        # Scaled to fit best, a migrated image cannot be worse than nothing.
        assert scores["snr_db_migration"] >= 0.0
    assert [entry["iteration"] for entry in read_log(folder / "log.jsonl") if "val_loss" in entry] == [2, 4]
    before = load_loop(folder / "model").state_dict()
    run(run_file, tmp_path / "run", [], quiet=True)
    after = load_loop(folder / "model").state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_network_that_starts_by_itself_comes_back_from_its_folder(run_file: Path, tmp_path: Path) -> None:
    more = [
        "loop.start='network'",
        "loop.unrolled=1",
        "reconstruct.first_guess=4",
        "reconstruct.iterations=2",
        "reconstruct.first_guess_pairs=2",
    ]
    config = load(run_file, more)
    scores = reconstruct(config, tmp_path, quiet=True)["test"]
    assert scores["applications"] == 2
    assert len(read_log(tmp_path / "reconstruct" / "first_guess" / "log.jsonl")) > 0
    surveys = SimulatedSurveys(config.pairs("test"), 2, quiet=True)
    images, spent = reconstruct_all(load_loop(tmp_path / "reconstruct" / "model"), surveys)
    assert spent == 2
    with np.load(tmp_path / "reconstruct" / "test.npz") as written:
        for name in ("truth", *METHODS):
            np.testing.assert_array_equal(images[name], written[name])


def test_a_damaged_or_foreign_model_folder_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "flow", {"kind": "flow"}, {"a": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"expected a loop-unrolled network in .*flow, got 'flow'"):
        load_loop(tmp_path / "flow")
    with pytest.raises(FileNotFoundError, match="expected a model folder"):
        load_loop(tmp_path / "nothing")


def test_encodings_are_those_of_the_shots_and_cost_fewer(config: RunConfig) -> None:
    surveys = SimulatedSurveys(config.pairs("train"), 2, encodings=1, quiet=True)
    x, data = (torch.stack(values) for values in zip(*(surveys.pairs[i] for i in (0, 1)), strict=True))
    problems = [surveys([0, 1], data, rng) for rng in (None, *map(np.random.default_rng, (0, 1)))]
    (whole, few, other), (d, encoded, _) = zip(*((one.misfit, one.d) for one in problems), strict=True)
    assert d is data
    assert encoded.shape == (2, 1, *data.shape[2:])
    gradients = [misfit.gradient(torch.zeros_like(x), one) for misfit, one in ((whole, d), (few, encoded))]
    assert torch.nn.functional.cosine_similarity(*(one.flatten(1) for one in gradients)).min() > 0.3
    assert not torch.equal(other.gradient(x, encoded), few.gradient(x, encoded))
    for misfit, records in ((whole, d), (few, encoded)):
        assert misfit.check(x, records) < 1e-4


def test_settings_of_the_sections_are_checked(config: RunConfig) -> None:
    tree = {"splits": {"train": {"count": 1}, "validation": {"count": 1}}}
    with pytest.raises(ValueError, match=r"loop\.hiddens: no such setting; did you mean 'hidden'"):
        parse(tree | {"loop": {"hiddens": 3}}, source="run.toml")
    with pytest.raises(ValueError, match=r"reconstruct\.batch_size: expected at least 1, got 0"):
        parse(tree | {"reconstruct": {"batch_size": 0}}, source="run.toml")
    with pytest.raises(ValueError, match=r"loop\.unit: expected a positive value, got -1.0"):
        parse(tree | {"loop": {"unit": -1.0}}, source="run.toml")
    assert parse(tree, source="run.toml").loop is None


def test_another_network_needs_another_folder(config: RunConfig, tmp_path: Path) -> None:
    reconstruct(config, tmp_path, quiet=True)
    assert config.loop is not None
    wider = replace(config, loop=replace(config.loop, hidden=5))
    with pytest.raises(ValueError, match="holds another run"):
        reconstruct(wider, tmp_path, quiet=True)


def test_pairs_go_on_where_others_end_and_some_are_left_for_the_loop(
    config: RunConfig, run_file: Path, tmp_path: Path
) -> None:
    whole, rest = (
        SimulatedSurveys(config.pairs("train"), 3 - first, first=first, quiet=True) for first in (0, 1)
    )
    for position in (0, 1):
        for expected, got in zip(whole.pairs[position + 1], rest.pairs[position], strict=True):
            assert torch.equal(expected, got)
    greedy = load(run_file, ["reconstruct.first_guess=1", "reconstruct.first_guess_pairs=4"])
    with pytest.raises(
        ValueError, match=r"first_guess_pairs: expected fewer than the 4 of splits\.train, got 4"
    ):
        reconstruct(greedy, tmp_path, quiet=True)
