"""NetCDF in ArviZ's schema: bit by bit there and back, and as ArviZ and h5py see it."""

from __future__ import annotations

import json
from dataclasses import astuple, replace

import h5py
import numpy as np
import pytest

from posterior import uq
from posterior.sample_files import PairSamples

xarray = pytest.importorskip("xarray", reason="needs the optional extra netcdf")
pytest.importorskip("h5netcdf", reason="needs the optional extra netcdf")

from posterior.interop.netcdf import Image, from_datatree, read_netcdf, to_datatree, write_netcdf  # noqa: E402


def draws(count: int = 40, shape: tuple[int, ...] = (3, 4), channels: int = 1, seed: int = 0) -> PairSamples:
    values = 1e-8 * np.random.default_rng(seed).normal(size=(count, channels, *shape))
    names, units = ("squared_slowness_perturbation", "x")[:channels], ("s^2/m^2", "1")[:channels]
    spacing, origin = (12.5, 20.0, 7.3)[-len(shape) :], (0.1, -3.0, 150.0)[-len(shape) :]
    return PairSamples(values.astype(np.float32), 12, "ab" * 32, "cd" * 32, 5, names, units, spacing, origin)


@pytest.mark.parametrize(("shape", "channels"), [((3, 4), 1), ((3, 4), 2), ((2, 3, 4), 1), ((5,), 1)])
def test_round_trip_is_exact(tmp_path, shape, channels):
    pair = draws(shape=shape, channels=channels)
    write_netcdf(tmp_path / "a.nc", to_datatree(pair))
    back = from_datatree(read_netcdf(tmp_path / "a.nc"))
    assert back.samples.dtype == np.float32
    assert back.samples.tobytes() == pair.samples.tobytes()
    assert back.samples.shape == pair.samples.shape
    assert astuple(back)[1:] == astuple(pair)[1:]
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_groups_dims_units_and_coordinates_are_those_of_the_schema(tmp_path):
    pair = draws()
    image = np.arange(12.0).reshape(3, 4)
    tree = to_datatree(
        pair, observed={"migrated_image": Image(image, "arbitrary")}, stats={"lp": np.arange(40.0)}
    )
    write_netcdf(tmp_path / "a.nc", tree)
    back = read_netcdf(tmp_path / "a.nc")
    assert set(back.children) == {"posterior", "summary", "observed_data", "sample_stats"}
    variable = back["posterior/squared_slowness_perturbation"]
    assert variable.dims == ("chain", "draw", "x", "z")
    assert variable.attrs["units"] == "s^2/m^2"
    np.testing.assert_array_equal(variable.x, 20.0 * np.arange(3) - 3.0)
    np.testing.assert_array_equal(variable.z, 150.0 + 7.3 * np.arange(4))
    assert variable.z.attrs == {"units": "m", "long_name": "depth", "axis": "Z", "positive": "down"}
    assert back["observed_data/migrated_image"].dims == ("x", "z")
    np.testing.assert_array_equal(back["observed_data/migrated_image"], image)
    assert back["sample_stats/lp"].dims == ("chain", "draw")
    np.testing.assert_array_equal(back["sample_stats/lp"][0], np.arange(40.0))
    assert back.attrs["seed"] == 5
    assert back.attrs["model_sha256"] == "ab" * 32
    assert "torch" in json.loads(back.attrs["versions"])
    assert back["posterior"].attrs["inference_library"] == "seispost"


def test_summary_holds_what_uq_says():
    pair = draws(channels=2)
    summary = to_datatree(pair, quantiles=(0.1, 0.5))["summary"]
    for channel, name in enumerate(("squared_slowness_perturbation", "x_")):
        np.testing.assert_array_equal(summary[f"{name}_mean"], uq.mean(pair.samples)[channel])
        np.testing.assert_array_equal(summary[f"{name}_std"], uq.std(pair.samples)[channel])
        exact = uq.quantiles(pair.samples, [0.1, 0.5])[:, channel]
        np.testing.assert_array_equal(summary[f"{name}_quantiles"], exact)
    assert summary["x__quantiles"].sel(quantile=0.1).dims == ("x", "z")
    assert "x_quantiles" not in to_datatree(pair, quantiles=())["summary"]


def test_arviz_reads_it_as_its_own(tmp_path):
    arviz = pytest.importorskip("arviz_base", reason="needs ArviZ")
    pair = draws()
    write_netcdf(tmp_path / "a.nc", to_datatree(pair, stats={"lp": np.arange(40.0)}))
    name = pair.channels[0]
    theirs = arviz.from_dict(
        {"posterior": {name: pair.samples[None, :, 0]}, "sample_stats": {"lp": np.arange(40.0)[None]}},
        dims={name: ["x", "z"]},
    )
    ours = arviz.convert_to_datatree(str(tmp_path / "a.nc"))
    for group in ("posterior", "sample_stats"):
        for variable in theirs[group].data_vars:
            assert ours[group][variable].dims == theirs[group][variable].dims
            np.testing.assert_array_equal(ours[group][variable], theirs[group][variable])
            np.testing.assert_array_equal(ours[group]["draw"], theirs[group]["draw"])
    stacked = arviz.extract(ours, var_names=name)
    assert stacked.sizes == {"x": 3, "z": 4, "sample": 40}
    np.testing.assert_array_equal(stacked.transpose("sample", "x", "z"), pair.samples[:, 0])


def test_draws_that_cannot_be_described_are_refused():
    pair = draws()
    with pytest.raises(ValueError, match="a unit for each of 1 channels"):
        to_datatree(replace(pair, units=("",)))
    with pytest.raises(ValueError, match="a unit for each of 1 channels"):
        to_datatree(replace(pair, units=()))
    with pytest.raises(ValueError, match="at least 99 draws"):
        to_datatree(pair, quantiles=(0.01,))
    samples = pair.samples.copy()
    samples[3, 0, 1, 1] = np.nan
    with pytest.raises(ValueError, match="finite samples, got 1"):
        to_datatree(replace(pair, samples=samples))
    with pytest.raises(ValueError, match=r"like a draw, with a unit, got \(4, 3\)"):
        to_datatree(pair, observed={"y": Image(np.zeros((4, 3)), "m")})
    with pytest.raises(ValueError, match="with a unit"):
        to_datatree(pair, observed={"y": Image(np.zeros((3, 4)), "")})
    with pytest.raises(ValueError, match="one lp a draw"):
        to_datatree(pair, stats={"lp": [1.0]})
    with pytest.raises(ValueError, match="1 to 3 spatial axes"):
        to_datatree(replace(pair, samples=pair.samples.reshape(40, 1, 1, 1, 3, 4)))


def test_files_that_lead_elsewhere_or_are_broken_are_refused(tmp_path):
    path = tmp_path / "a.nc"
    write_netcdf(path, to_datatree(draws()))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="expected a whole HDF5 file"):
        read_netcdf(path)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file["posterior"]["secret"] = h5py.ExternalLink("/etc/passwd", "x")
    with pytest.raises(ValueError, match="got a ExternalLink"):
        read_netcdf(path)
    with pytest.raises(FileNotFoundError, match="got none"):
        read_netcdf(tmp_path / "b.nc")


def test_trees_of_others_are_no_draws():
    with pytest.raises(ValueError, match="expected a tree of schema"):
        from_datatree(xarray.DataTree())
    tree = to_datatree(draws())
    tree.attrs["channels"] = '["other"]'
    with pytest.raises(ValueError, match="expected draws and their attributes"):
        from_datatree(tree)
