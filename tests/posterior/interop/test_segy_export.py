"""A pair's posterior as SEG-Y files: names, values, titles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posterior import uq
from posterior.interop.summaries import quantile_name, summaries
from posterior.sample_files import PairSamples

pytest.importorskip("segyio", reason="needs the optional extra segy")

from posterior.interop.segy import SegyGrid, read_segy, write_segy
from posterior.interop.segy_export import SegyExport, export_segy


def draws(shape: tuple[int, ...] = (5, 6), channels: int = 1) -> PairSamples:
    values = np.random.default_rng(1).normal(size=(30, channels, *shape)).astype(np.float32)
    names, units = ("dm", "rho / kappa")[:channels], ("s^2/m^2", "1")[:channels]
    steps, first = (25.0, 12.5, 10.0)[-len(shape) :], (0.0, 100.0, 20.0)[-len(shape) :]
    return PairSamples(values, 3, "0123456789" * 6, "cd" * 32, 5, names, units, steps, first)


@pytest.mark.parametrize("shape", [(5, 6), (2, 3, 4)])
def test_statistics_and_draws_come_back(tmp_path, shape):
    pair = draws(shape)
    paths = export_segy(pair, tmp_path / "out", SegyExport(draws=2))
    expected = {
        "mean": uq.mean(pair.samples)[0],
        "std": uq.std(pair.samples)[0],
        "p05": uq.quantiles(pair.samples, 0.05)[0],
        "p50": uq.quantiles(pair.samples, 0.5)[0],
        "p95": uq.quantiles(pair.samples, 0.95)[0],
        "draw-0000": pair.samples[0, 0],
        "draw-0001": pair.samples[1, 0],
    }
    assert [path.name for path in paths] == [f"pair-000003_{name}.sgy" for name in expected]
    for path, (name, values) in zip(paths, expected.items(), strict=True):
        found = read_segy(path)
        np.testing.assert_array_equal(found.values, values.astype(np.float32))
        assert f"{name} [s^2/m^2], model 01234567, seed 5, dm" in found.text
        assert (found.grid.interval, found.grid.first) == (10.0, 20.0)


def test_channels_have_files_of_their_own(tmp_path):
    pair = draws(channels=2)
    paths = export_segy(pair, tmp_path, SegyExport(quantiles=()))
    assert [path.name[12:] for path in paths] == [
        "dm_mean.sgy",
        "rho-kappa_mean.sgy",
        "dm_std.sgy",
        "rho-kappa_std.sgy",
    ]
    std = read_segy(paths[3])
    np.testing.assert_array_equal(std.values, uq.std(pair.samples)[1].astype(np.float32))
    assert "std [1]" in std.text


def test_headers_are_those_of_the_survey(tmp_path):
    survey = tmp_path / "survey.sgy"
    grid = SegyGrid.regular((2, 3, 9), (12.5, 12.5, 4.0), (6e5, 6e6, 0.0))
    write_segy(survey, np.ones((2, 3, 9)), grid)
    paths = export_segy(draws((2, 3, 4)), tmp_path / "out", SegyExport(like=survey, floats="ibm"))
    found = read_segy(paths[1])
    np.testing.assert_array_equal(found.grid.x, grid.x)
    np.testing.assert_array_equal(found.grid.y, grid.y)
    assert found.grid.interval == 10.0


def test_bad_input_leaves_nothing(tmp_path):
    pair, out = draws(), tmp_path / "out"
    bad = pair.samples.copy()
    bad[0, 0, 0, 0] = np.nan
    for given, config, message in (
        (replace(pair, units=("",)), SegyExport(), "a unit for each"),
        (pair, SegyExport(quantiles=(0.01,)), "at least 99 draws"),
        (pair, SegyExport(draws=31), "0 to 30 draws"),
        (replace(pair, samples=bad), SegyExport(), "finite samples, got 1"),
        (replace(pair, spacing=(1.0,)), SegyExport(), "a spacing and an origin each"),
    ):
        with pytest.raises(ValueError, match=message):
            export_segy(given, out, config)
    assert not out.exists()


def test_names_of_quantiles():
    assert [quantile_name(p) for p in (0.005, 0.05, 0.5, 0.975, 0.07)] == [
        "p00.5",
        "p05",
        "p50",
        "p97.5",
        "p07",
    ]
    assert list(summaries(draws(), ())) == ["mean", "std"]
