"""`seispost diagnose`: verdicts, exit codes, errors in one line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import h5py
import pytest
from known_run import write_untrained

from posterior.cli import main

RUN = """
[splits.train]
count = 40
[splits.validation]
count = 20
[splits.test]
count = 20
"""


@pytest.fixture
def run(tmp_path, write_pairs) -> tuple[str, str]:
    """A run file and the folder of a run whose network knows nothing."""
    folder = tmp_path / "run"
    for seed, (split, count) in enumerate({"train": 40, "validation": 20, "test": 20}.items()):
        write_pairs(folder / "data" / split, count=count, shard=20, seed=seed)
    write_untrained(folder, count=20)
    path = tmp_path / "run.toml"
    path.write_text(RUN)
    return str(path), str(folder)


def louder(folder: Path) -> Path:
    """The same surveys with images 30 times as strong, checksums mended."""
    shard, manifest = folder / "shard-000000.h5", folder / "manifest.jsonl"
    with h5py.File(shard, "r+") as file:
        file["y"][:, 0] *= 30.0
    line = json.loads(manifest.read_text())
    data = shard.read_bytes()
    line |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest.write_text(json.dumps(line) + "\n")
    return folder


def test_a_run_whose_network_learned_nothing_fails(run, capsys):
    path, folder = run
    assert main(["diagnose", path, "--out", folder, "--densities", "4", "--strict"]) == 3
    said = capsys.readouterr().err
    assert "Coverage at all levels, p" in said
    assert "test, raw: failed: " in said
    assert (Path(folder) / "diagnosis.html").is_file()
    assert "Rank of log q(x | y)" in said
    assert "Surveys that raise the alarm" in said


def test_surveys_get_one_verdict_each(run, capsys, tmp_path, write_pairs):
    path, folder = run
    usual = write_pairs(tmp_path / "usual", count=10, shard=10, seed=9)
    words = ["diagnose", path, "--out", folder, "--quiet", "--survey"]
    assert main([*words, str(usual)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [str(index) for index in range(10)]
    assert sum("No alarm" in line for line in lines) >= 6  # a rate of 5 %, give or take 20 references
    assert "of 10 surveys raise the alarm; 5 % of surveys like those of the training would" in err

    strange = louder(write_pairs(tmp_path / "strange", count=4, shard=4, seed=9))
    assert main([*words, str(strange)]) == 0  # a bad verdict is an exit code only if asked for
    assert main([*words, str(strange), "--strict"]) == 3
    assert all("Do not trust this posterior" in line for line in capsys.readouterr().out.splitlines())


def test_errors_are_one_line(run, capsys, tmp_path):
    path, folder = run
    for words, match in (
        (["diagnose", path, "--out", folder, "--split", "tset"], "expected a split among"),
        (["diagnose", path, "--out", folder, "--survey", str(tmp_path / "none")], "not there"),
        (["diagnose", str(tmp_path / "none.toml")], "no such run file"),
    ):
        capsys.readouterr()
        assert main([*words, *([] if "none.toml" in words[1] else ["--quiet"])]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("seispost: error: ")
        assert match in line
