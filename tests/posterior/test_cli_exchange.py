"""`seispost export` and `seispost import`: other tools' files, errors in one line, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from small_run import RUN

from posterior.cli import main
from posterior.config import NetworkConfig, SampleConfig
from posterior.dataset import PairDataset
from posterior.flow import ConditionalFlow
from posterior.interop.openfwi import unfold
from posterior.sample import AmortizedPosterior, ModelInfo
from posterior.sample_files import read_samples, write_samples
from posterior.standardise import Standardiser

segyio = pytest.importorskip("segyio", reason="needs the optional extra segy")

from posterior.interop.segy import SegyGrid, read_segy, write_segy  # noqa: E402


@pytest.fixture
def run(tmp_path, write_pairs) -> Path:
    """A run with a small model and the draws of two pairs."""
    folder = tmp_path / "run"
    write_pairs(folder / "data" / "test", count=2, shard=2)
    pairs = PairDataset(folder / "data" / "test")
    network = NetworkConfig(hidden=8, scales=1, steps=1, summary_width=4, cond_channels=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = ConditionalFlow.from_config(network, in_channels=1, y_channels=2)
    info = ModelInfo(x_shape=pairs.x_shape, y_shape=pairs.y_shape, network=network)
    posterior = AmortizedPosterior(flow, Standardiser.fit(pairs), info)
    posterior.save(folder / "model")
    config = SampleConfig(num_samples=20)
    write_samples(posterior, pairs, folder / "samples" / "test", config, progress=False)
    return folder


def ok(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def failure(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that an error is told in."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("seispost: error: ")
    return line


def test_a_run_as_segy(run, tmp_path, capsys):
    ok("export", run, "--format", "segy", "--out", tmp_path / "segy", "--draws", "1")
    named = capsys.readouterr().out.split()
    found = sorted(str(path) for path in (tmp_path / "segy" / "test").iterdir())
    assert sorted(named) == found
    assert len(found) == 2 * (2 + 3 + 1)
    pair = read_samples(run / "samples" / "test" / "pair-000001.h5")
    std = read_segy(tmp_path / "segy" / "test" / "pair-000001_std.sgy")
    np.testing.assert_array_equal(std.values, pair.samples[:, 0].std(0, ddof=1, dtype=float).astype("f4"))
    assert (std.grid.interval, std.grid.x[1]) == (12.5, 12.5)


def test_one_file_on_a_survey(run, tmp_path):
    survey, out = tmp_path / "survey.sgy", tmp_path / "segy"
    write_segy(survey, np.ones((8, 3)), SegyGrid.regular((8, 3), (12.5, 4.0), (6e5, 0.0)))
    one = run / "samples" / "test" / "pair-000000.h5"
    how = ("--like", survey, "--floats", "ibm", "--quantiles")
    ok("export", one, "--format", "segy", "--out", out, *how)
    assert sorted(path.name for path in out.iterdir()) == ["pair-000000_mean.sgy", "pair-000000_std.sgy"]
    with segyio.open(out / "pair-000000_std.sgy", ignore_geometry=True) as file:
        assert file.header[7][segyio.TraceField.CDP_X] == 600087500
        assert int(file.format) == 1


def test_a_run_as_netcdf(run, tmp_path):
    pytest.importorskip("xarray", reason="needs the optional extra netcdf")
    from posterior.interop.netcdf import from_datatree, read_netcdf

    out = tmp_path / "nc"
    where = ("--split", "test", "--index", "1")
    ok("export", run, "--format", "netcdf", "--out", out, *where, "--log-density")
    assert [path.name for path in out.iterdir()] == ["pair-000001.nc"]
    tree = read_netcdf(out / "pair-000001.nc")
    pair = read_samples(run / "samples" / "test" / "pair-000001.h5")
    assert from_datatree(tree).samples.tobytes() == pair.samples.tobytes()
    y = PairDataset(run / "data" / "test")[1][1].numpy()
    np.testing.assert_array_equal(tree["observed_data/migrated image"], y[0])
    density = AmortizedPosterior.load(run / "model", device="cpu").log_prob(pair.samples, y)
    np.testing.assert_allclose(tree["sample_stats/lp"][0], density, rtol=1e-6)


def test_samples_of_another_model_have_no_density(run, tmp_path, capsys):
    pytest.importorskip("xarray", reason="needs the optional extra netcdf")
    path = run / "samples" / "test" / "pair-000000.h5"
    with h5py.File(path, "r+") as file:
        file.attrs["model_sha256"] = "0" * 64
    how = ("--format", "netcdf", "--out", tmp_path / "nc", "--log-density")
    assert "samples of the model in" in failure(capsys, "export", run, *how)
    with h5py.File(path, "r+") as file:
        file.attrs["data_fingerprint"] = "0" * 64
    assert "got those of other data" in failure(capsys, "export", run, *how)
    assert not (tmp_path / "nc").exists()


def test_what_cannot_be_exported(run, tmp_path, capsys):
    out = ("--out", tmp_path / "out")
    assert "at least 99 draws" in failure(
        capsys, "export", run, "--format", "segy", *out, "--quantiles", "0.01"
    )
    assert "pair-*.h5, got none" in failure(capsys, "export", tmp_path, "--format", "segy", *out)
    assert "got none" in failure(capsys, "export", run, "--format", "segy", *out, "--index", "7")
    broken = tmp_path / "survey.sgy"
    broken.write_bytes(b"no SEG-Y")
    assert "at least 3840 bytes" in failure(capsys, "export", run, "--format", "segy", *out, "--like", broken)
    assert not any((tmp_path / "out").rglob("*.sgy"))


def test_openfwi_comes_in(tmp_path, capsys):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(4, 2, 23, 6)).astype(np.float32)
    np.save(tmp_path / "data1.npy", data)
    np.save(tmp_path / "model1.npy", rng.uniform(1500.0, 4500.0, size=(4, 1, 5, 6)))
    ok(
        "import",
        tmp_path / "data1.npy",
        tmp_path / "model1.npy",
        "--format",
        "openfwi",
        "--out",
        tmp_path / "d",
    )
    assert "train.reverse=false" in capsys.readouterr().err
    pairs = PairDataset(tmp_path / "d")
    assert (len(pairs), pairs.x_units, pairs.spacing) == (4, ("m/s",), (10.0, 10.0))
    y = np.stack([pairs[position][1].numpy() for position in range(4)])
    np.testing.assert_array_equal(unfold(y, 2, 23), data)
    assert [entry["file"] for entry in pairs.config["imported"]["files"]] == ["data1.npy", "model1.npy"]


def test_hdf5_and_jld2_come_in(tmp_path, capsys):
    x, y = np.random.default_rng(1).normal(size=(2, 3, 1, 5, 4))
    with h5py.File(tmp_path / "a.jld2", "w") as file:
        file["X"], file["Y"] = x, y
    words = ["import", tmp_path / "a.jld2", "--format", "hdf5", "--out", tmp_path / "d"]
    words += ["--x", "X:nczx", "--y", "Y:nczx"]
    labels = ["--x-channel", "velocity:km/s", "--y-channel", "image:1", "--spacing", "25", "10"]
    assert "--spacing" in failure(capsys, *words, *labels[:4])
    assert "expected --x NAME:AXES" in failure(capsys, *words[:6], *labels)
    ok(*words, *labels)
    pairs = PairDataset(tmp_path / "d")
    assert (pairs.x_shape, pairs.spacing, pairs.x_units) == ((1, 4, 5), (25.0, 10.0), ("km/s",))
    np.testing.assert_array_equal(pairs[2][0][0], x[2, 0].T.astype(np.float32))
    assert "a new or an empty folder" in failure(capsys, *words, *labels)


def test_segy_comes_in(tmp_path, capsys):
    for number, name in enumerate(("vp", "image", "background")):
        values = np.random.default_rng(number).normal(size=(3, 6, 5))
        grid = SegyGrid.regular((3, 6, 5), (25.0, 25.0, 10.0), (6e5, 6e6, 0.0))
        write_segy(tmp_path / f"{name}.sgy", values, grid, floats="ibm")
    words = ["import", tmp_path / "image.sgy", tmp_path / "background.sgy", "--format", "segy"]
    words += ["--out", tmp_path / "d", "--x-channel", "velocity:m/s", "--y-channel", "image:1"]
    words += ["--y-channel", "background:m/s"]
    ok(*words, "--sections", "--truth", tmp_path / "vp.sgy")
    pairs = PairDataset(tmp_path / "d")
    assert (len(pairs), pairs.y_shape, pairs.spacing) == (3, (2, 6, 5), (25.0, 10.0))
    assert pairs.scored.all()
    np.testing.assert_array_equal(pairs[1][1][0], read_segy(tmp_path / "image.sgy").values[1])
    words[6] = tmp_path / "field"
    ok(*words)
    field = PairDataset(tmp_path / "field")
    assert (len(field), field.x_shape, field.scored.any()) == (1, (1, 3, 6, 5), False)


def test_shots_need_a_run_and_a_background(tmp_path, capsys):
    words = ("import", tmp_path / "shots.sgy", "--format", "shots", "--out", tmp_path / "d")
    assert "--run and --background" in failure(capsys, *words)


@pytest.mark.slow
def test_shots_become_the_y_that_the_run_would_make(tmp_path, capsys):
    from physics.pairs import PairSimulator
    from physics.segy import write_shots
    from posterior.cli.config import load

    toml = tmp_path / "run.toml"
    toml.write_text(RUN)
    simulator = PairSimulator(load(toml, []).pairs("train"))
    draw, expected = simulator.draw(0), simulator(0)
    write_shots(tmp_path / "shots.sgy", draw.survey, draw.records)
    vp = draw.background.m**-0.5
    grid = SegyGrid.regular(vp.shape, (12.5, 12.5), (0.0, 0.0))
    write_segy(tmp_path / "m0.sgy", vp, grid)
    words = ["import", tmp_path / "shots.sgy", "--format", "shots", "--out", tmp_path / "d", "--run", toml]
    ok(*words, "--background", tmp_path / "m0.sgy")
    pairs = PairDataset(tmp_path / "d")
    x, y = pairs[0]
    # Positions are rounded to the millimetre, the background to single precision.
    scale = np.abs(expected.y).max(axis=(1, 2))
    for channel in range(2):
        np.testing.assert_allclose(y[channel], expected.y[channel], rtol=0, atol=2e-3 * scale[channel])
    assert not x.any()
    assert not pairs.scored.any()
    assert pairs.y_channels == tuple(simulator.channels)
    np.testing.assert_array_equal(pairs.depth_weight, simulator.weights.depth)
    write_segy(tmp_path / "m0.sgy", vp[:, :-1], grid)
    words[5] = tmp_path / "e"
    assert "the run's grid (24, 20)" in failure(capsys, *words, "--background", tmp_path / "m0.sgy")
