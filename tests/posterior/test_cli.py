"""The command: one TOML file, checked; help at once; errors in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from physics import registry
from physics.config import SlurmConfig
from posterior.cli import commands, main
from posterior.cli.commands import DEMO
from posterior.cli.config import RunConfig, claim, load, parse, to_tree

BAD = {
    "unknown section": ("foo=1", "foo: no such setting"),
    "unknown key": ("train.lrr=1", "train.lrr: no such setting"),
    "near miss": ("train.learning_rat=1", "did you mean 'learning_rate'"),
    "wrong type": ('train.iterations="many"', "train.iterations: .*valid integer.*'many'"),
    "fraction for a count": ("seed=1.5", "seed: .*integer"),
    "out of range": ("train.iterations=0", "train.iterations: expected at least 1, got 0"),
    "negative frequency": ("survey.f0=-15.0", "survey.f0: expected a positive value, got -15.0"),
    "region the wrong way round": ("prior.region=[0.8, 0.2]", "prior.region: expected 0 <= start < end <= 1"),
    "unknown prior": ("prior.kind=blobs", "prior.*'blobs'"),
    "unknown key in a nested section": ("prior.augment.warpp=3.0", "augment.warpp: no such setting"),
    "unknown key in a split": (
        "splits.test.cont=3",
        "splits.test.cont: no such setting; did you mean 'count'",
    ),
    "no value": ("train.iterations", "expected an override like"),
}


@pytest.mark.parametrize(("override", "message"), BAD.values(), ids=BAD.keys())
def test_bad_settings_are_refused(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(DEMO, [override])


def test_overrides_reach_the_configuration() -> None:
    config = load(DEMO, ["train.iterations=7", "survey.shape=[32, 48]", "prior.augment.flip=0.25"])
    assert config.train.iterations == 7
    assert config.survey.shape == (32, 48)
    assert config.prior.augment.flip == 0.25


def test_splits_override_the_prior() -> None:
    config = load(DEMO, [])
    assert config.pairs("train").prior.region[1] <= config.pairs("calibration").prior.region[0]
    assert config.pairs("calibration").prior.region[1] <= config.pairs("test").prior.region[0]
    assert config.pairs("test").prior.augment.probability == 0.0
    assert config.pairs("test_augmented").prior.augment.probability == 1.0


def test_config_round_trip_through_toml(tmp_path: Path) -> None:
    config = load(DEMO, ["train.patience=3"])
    claim(tmp_path / "run", config)
    assert load(tmp_path / "run" / "config.toml", []) == config
    assert parse(to_tree(config), source="tree") == config


def test_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    claim(tmp_path, load(DEMO, []))
    claim(tmp_path, load(DEMO, ["sample.num_samples=9"]))  # sampling more is the same run
    with pytest.raises(ValueError, match=r"another run \(train.iterations is \d+ there and 3 here\)"):
        claim(tmp_path, load(DEMO, ["train.iterations=3"]))


def test_folder_with_foreign_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("do not touch")
    with pytest.raises(ValueError, match="holds no run"):
        claim(tmp_path, load(DEMO, []))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_user_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path / "none.toml")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("seispost: error: no such run file")
    assert error.count("\n") == 1


def test_settings_of_where_to_simulate_are_checked() -> None:
    config = load(DEMO, ["simulate.executor=slurm", "simulate.workers=8", "simulate.slurm.queue=long"])
    assert config.simulate.place == SlurmConfig(queue="long")
    assert config.simulate.describe() == "8 SLURM jobs"
    for overrides, message in (
        (
            ["simulate.executor=slurm"],
            "simulate.workers: expected a number of jobs .*, got 0",
        ),
        (["simulate.executor=mpi"], "simulate.executor: .*'mpi'"),
        (["simulate.slurm.quue=long"], "simulate.slurm.quue: no such setting; did you mean 'queue'"),
        (["simulate.dask.address=here"], "simulate.dask.address: expected an address such as .*, got 'here'"),
    ):
        with pytest.raises(ValueError, match=message):
            load(DEMO, overrides)


def test_a_dry_run_says_what_it_would_make_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run.toml"
    run.write_text(
        "prior = { kind = 'layered' }\nsimulate = { shard_size = 4, workers = 2 }\n"
        "survey = { shape = [16, 16], record_length = 0.2 }\n"
        "acquisition = { kind = 'spread', num_sources = 2, num_receivers = 8 }\n"
        "splits = { train = { count = 10 }, validation = { count = 4 } }\n"
    )
    assert main(["simulate", str(run), "--dry-run", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "train\npairs   10 in 3 shards of 4\ngrid    16 x 16 cells, " in said
    assert "validation\npairs   4 in 1 shards of 4\n" in said
    assert f"MB on the disk of {tmp_path}, which has " in said
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


def test_help_loads_no_heavy_package() -> None:
    code = (
        "import sys, json, posterior.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'devito', 'matplotlib', 'numpy', 'h5py'}\n"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(out.splitlines()[-1]) == []


def test_posterior_imports_without_devito() -> None:
    code = (
        "import sys; sys.modules['devito'] = None; import posterior\n"
        "for name in posterior.__all__: getattr(posterior, name)\n"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "True"


def test_demo_goes_on_without_the_earth_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(name: str) -> None:
        raise registry.ModelUnavailable(f"no copy of {name}, and no download")

    seen = {}

    def stage(config: RunConfig, out: Path, *, quiet: bool) -> None:
        seen[out] = config

    monkeypatch.setattr(registry, "load_model", unavailable)
    monkeypatch.setattr(commands, "STAGES", {"simulate": stage})
    assert main(["demo", "--out", str(tmp_path / "run")]) == 0
    assert "going on with layered synthetic models instead of Marmousi" in capsys.readouterr().err
    config = seen[tmp_path / "run"]
    assert config.prior.kind == "layered"
    # No split asks for a region of a model that is not there.
    assert {config.pairs(split).prior for split in config.splits} == {config.prior}
    assert load(tmp_path / "run" / "config.toml", []) == config
