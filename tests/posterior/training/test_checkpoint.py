"""Files that are whole or absent: checkpoints and model folders under damage."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from posterior import files
from posterior.model_folder import CONFIG, SUMS, WEIGHTS, load_model, load_weights, save_model
from posterior.training.checkpoint import Checkpoints, check_same_run, load_checkpoint

PLACES = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]


def flip(path: Path, share: float) -> None:
    data = bytearray(path.read_bytes())
    data[round(share * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def state(number: int) -> dict[str, object]:
    return {"weights": {"w": torch.full((50,), float(number))}, "step": number, "names": ["a", "b"]}


@pytest.fixture
def checkpoints(tmp_path) -> Checkpoints:
    found = Checkpoints(tmp_path / "checkpoints", keep=3)
    for number in (10, 20, 30):
        found.save(number, state(number))
    return found


def test_newest_is_what_was_saved(checkpoints):
    path, found = checkpoints.newest()
    assert path.name == "checkpoint-000000030.pt"
    assert found["step"] == 30
    assert torch.equal(found["weights"]["w"], torch.full((50,), 30.0))


def test_no_checkpoint_yet(tmp_path):
    assert Checkpoints(tmp_path, keep=1).newest() is None


def test_keeps_the_last_ones(checkpoints):
    checkpoints.save(40, state(40))
    assert [path.name[-5:-3] for path in checkpoints.paths()] == ["20", "30", "40"]
    assert len(list(checkpoints.folder.glob("*.sha256"))) == 3


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("suffix", ["", ".sha256"], ids=["checkpoint", "sum"])
def test_flipped_bit_is_found_and_walked_back(checkpoints, place, suffix):
    newest = checkpoints.paths()[-1]
    flip(newest.with_name(newest.name + suffix), place)
    with pytest.warns(UserWarning, match=r"checkpoint-000000030.pt: expected sha256 .*going back"):
        path, found = checkpoints.newest()
    assert path.name == "checkpoint-000000020.pt"
    assert found["step"] == 20


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_checkpoint_is_walked_back(checkpoints, share):
    newest = checkpoints.paths()[-1]
    os.truncate(newest, int(share * newest.stat().st_size))
    with pytest.warns(UserWarning, match="going back"):
        assert checkpoints.newest()[1]["step"] == 20


def test_all_damaged_is_an_error_not_a_fresh_start(checkpoints):
    for path in checkpoints.paths():
        flip(path, 0.5)
    with pytest.warns(UserWarning, match="going back"), pytest.raises(ValueError, match="all 3 are damaged"):
        checkpoints.newest()


def test_checkpoint_without_its_sum_does_not_count(checkpoints):
    newest = checkpoints.paths()[-1]
    newest.with_name(f"{newest.name}.sha256").unlink()
    with pytest.raises(ValueError, match=r"expected its sum in checkpoint-000000030.pt.sha256"):
        load_checkpoint(newest)


class Payload:
    def __reduce__(self):
        return (os.mkdir, ("was-run",))


def test_loading_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Checkpoints(tmp_path / "c", keep=1).save(1, {"payload": Payload()})
    with pytest.raises(Exception, match="Weights only load failed"):
        load_checkpoint(path)
    assert not Path("was-run").exists()


def test_full_disk_leaves_the_earlier_ones(checkpoints, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(40, state(40))
    assert checkpoints.newest()[1]["step"] == 30
    assert not list(checkpoints.folder.glob(".*.part"))


def test_tidy_removes_what_a_kill_left(checkpoints):
    (checkpoints.folder / ".checkpoint-000000040.pt.123.part").write_bytes(b"half")
    (checkpoints.folder / "checkpoint-000000040.pt.sha256").write_text("sum")
    checkpoints.tidy()
    assert len(list(checkpoints.folder.iterdir())) == 6


def test_another_run_is_refused_with_the_differences():
    with pytest.raises(ValueError, match=r"holds another run \(data: 'a' there, 'b' here; lr: 1 there, None"):
        check_same_run(Path("out"), {"data": "a", "lr": 1, "same": 0}, {"data": "b", "same": 0})


def test_folder_has_one_writer(tmp_path):
    def take() -> str:
        with files.locked(tmp_path):
            return "taken"

    with files.locked(tmp_path), pytest.raises(ValueError, match="another process writes into it"):
        take()
    assert take() == "taken"


# Model folders


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


@pytest.fixture
def model(tmp_path) -> Path:
    save_model(tmp_path / "model", {"hidden": 4}, network().state_dict())
    return tmp_path / "model"


def test_model_comes_back_bit_for_bit(model):
    config, tensors = load_model(model)
    assert config == {"schema": "seispost-model/1", "hidden": 4}
    for name, value in network().state_dict().items():
        assert torch.equal(tensors[name], value)


def test_equal_models_have_equal_sums(model, tmp_path):
    first = save_model(tmp_path / "a", {"hidden": 4}, network().state_dict())
    assert (
        first == files.sha256_file(model / SUMS) == save_model(model, {"hidden": 4}, network().state_dict())
    )
    assert first != save_model(tmp_path / "b", {"hidden": 5}, network().state_dict())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "model"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, SUMS])
def test_flipped_bit_in_a_model_is_found(model, name, place):
    flip(model / name, place)
    with pytest.raises(ValueError, match="expected sha256"):
        load_model(model)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, SUMS])
def test_missing_file_is_named(model, name):
    (model / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_model(model)


def _resum(model: Path) -> None:
    sums = "".join(f"{files.sha256_file(model / name)}  {name}\n" for name in (CONFIG, WEIGHTS))
    (model / SUMS).write_text(sums)


def test_another_schema_or_format_is_refused(model):
    (model / CONFIG).write_text(json.dumps({"schema": "seispost-model/7"}))
    _resum(model)
    with pytest.raises(ValueError, match="expected schema 'seispost-model/1', got 'seispost-model/7'"):
        load_model(model)
    (model / CONFIG).write_text("[")
    _resum(model)
    with pytest.raises(ValueError, match="expected the JSON of a model"):
        load_model(model)
    (model / CONFIG).write_text(json.dumps({"schema": "seispost-model/1"}))
    (model / WEIGHTS).write_bytes(b"\x80\x04 a pickle, perhaps")
    _resum(model)
    with pytest.raises(ValueError, match="expected safetensors"):
        load_model(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.bias"), r"missing \['0.bias'\] \(1 in all\)"),
        (lambda s: s.update(extra=torch.zeros(1)), r"not expected \['extra'\] \(1\)"),
        (lambda s: s.update({"1.bias": torch.zeros(9)}), r"1.bias \(2,\), got \(9,\)"),
    ],
    ids=["missing", "extra", "shape"],
)
def test_weights_of_another_architecture_are_refused(change, message):
    module = network()
    tensors = dict(module.state_dict())
    change(tensors)
    with pytest.raises(ValueError, match=message):
        load_weights(module, tensors, "model")


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"expected .* to be new, empty or a model folder"):
        save_model(tmp_path, {}, network().state_dict())
    assert (tmp_path / "thesis.tex").exists()
