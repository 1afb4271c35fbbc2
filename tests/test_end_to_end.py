"""All stages of the command on a tiny run, as a user would type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posterior.cli import main

RUN = """
seed = 3
prior = { kind = "layered" }
simulate = { workers = 1, shard_size = 4 }
network = { hidden = 8, scales = 2, steps = 2, summary_width = 8, cond_channels = 4 }
train = { iterations = 30, batch_size = 4, warmup = 5, validate_every = 10, checkpoint_every = 10 }
sample = { num_samples = 24 }
report = { title = "Tiny", figures = 1 }

[survey]
shape = [24, 24]
record_length = 0.4

[acquisition]
kind = "spread"
num_sources = 2
num_receivers = 24

[splits]
train = { count = 12 }
validation = { count = 4 }
calibration = { count = 4 }
test = { count = 4 }
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RUN)
    return path


def stage(name: str, run: Path, *overrides: str) -> int:
    return main([name, str(run), *overrides, "--out", str(run.parent / "out"), "--quiet"])


def test_the_four_stages_make_a_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run.parent / "out"
    for name in ("simulate", "train", "sample", "report"):
        assert stage(name, run) == 0, capsys.readouterr().err
    metrics = json.loads((out / "metrics.json").read_text())
    assert 0.0 < metrics["coverage_90_raw"] <= 1.0
    assert metrics["splits"]["test"]["num_pairs"] == 4
    assert metrics["seconds_total"] > 0.0
    page = (out / "report.html").read_text()
    assert "Tiny" in page
    assert "http" not in page.replace("http://www.w3.org", "")

    # Every stage again: nothing is left to do, and nothing changes.
    kept = [*(out / "data").rglob("*.h5"), *(out / "model").iterdir(), *(out / "samples").rglob("*.h5")]
    before = {path: path.read_bytes() for path in kept}
    for name in ("simulate", "train", "sample"):
        assert stage(name, run) == 0, capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before

    # Another run does not get into this folder, and says why.
    assert stage("train", run, "train.learning_rate=0.01") == 2
    assert "holds another run (train.learning_rate is 0.002 there and 0.01 here)" in capsys.readouterr().err


def test_stages_out_of_order_say_what_is_missing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train", "sample", "report"):
        assert stage(name, run) == 2
        error = capsys.readouterr().err
        assert error.splitlines()[-1].startswith("seispost: error:")
        assert str(run.parent / "out") in error
