"""Earth models in files of the user's: every format read the same, every contradiction named."""

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from physics.config import ModelFileConfig, PatchPriorConfig
from physics.model_files import read_model
from physics.priors import make_prior

NX, NZ, DX, DZ = 60, 40, 12.5, 10.0
Array = NDArray[np.float32]


def model(ndim: int = 2) -> Array:
    """Velocity that grows with depth over dipping beds [m/s]."""
    counts = (NX, NZ) if ndim == 2 else (20, 15, 18)
    *across, z = np.meshgrid(*(np.arange(n) for n in counts), indexing="ij")
    return (1600.0 + 40.0 * z + 200.0 * np.sin((z + 0.3 * sum(across)) / 3.0)).astype(np.float32)


def write_segy(
    path: Path, values: Array, *, interval: int = 10_000, dx: float = 12.5, scalar: int = -100
) -> None:
    segyio = pytest.importorskip("segyio")
    spec = segyio.spec()
    spec.format, spec.sorting, spec.tracecount = 5, 2, len(values)
    spec.samples = np.arange(values.shape[1]) * 10.0
    with segyio.create(path, spec) as file:
        file.bin[segyio.BinField.Interval] = interval
        for i, trace in enumerate(values):
            factor = abs(scalar) if scalar < 0 else 1.0 / max(scalar, 1)
            file.header[i] = {
                segyio.TraceField.CDP_X: round((1000.0 + 0.6 * i * dx) * factor),
                segyio.TraceField.CDP_Y: round((2000.0 + 0.8 * i * dx) * factor),
                segyio.TraceField.SourceGroupScalar: scalar,
                segyio.TraceField.TRACE_SAMPLE_INTERVAL: interval,
            }
            file.trace[i] = np.ascontiguousarray(trace)


def write_hdf5(path: Path, values: Array) -> None:
    with h5py.File(path, "w") as file:
        file["models/vp"] = values
        file["other"] = np.zeros(3)


def stated(path: Path, **settings: Any) -> ModelFileConfig:
    return ModelFileConfig(**{"path": str(path), "spacing": (DX, DZ), **settings})


# --- Reading --------------------------------------------------------------------------------------

FORMATS: dict[str, tuple[Callable[[Path, Array], object], dict[str, Any]]] = {
    "m.bin": (lambda p, v: v.tofile(p), {"shape": (NX, NZ)}),
    "m.raw": (lambda p, v: v.astype(">f8").tofile(p), {"shape": (NX, NZ), "dtype": ">f8"}),
    "fortran.bin": (lambda p, v: v.T.tofile(p), {"shape": (NX, NZ), "order": "F"}),
    "transposed.bin": (lambda p, v: v.T.tofile(p), {"shape": (NZ, NX), "axes": "zx"}),
    "m.npy": (np.save, {}),
    "transposed.npy": (lambda p, v: np.save(p, v.T), {"axes": "zx"}),
    "km.npy": (lambda p, v: np.save(p, v / 1e3), {"unit": "km/s"}),
    "integers.npy": (lambda p, v: np.save(p, v.round().astype(np.int16)), {}),
    "m.h5": (write_hdf5, {"dataset": "models/vp"}),
    "m.dump": (write_hdf5, {"dataset": "models/vp", "format": "hdf5"}),
    "m.sgy": (write_segy, {}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_model(tmp_path: Path, name: str) -> None:
    write, settings = FORMATS[name]
    write(tmp_path / name, model())
    vp, spacing = read_model(stated(tmp_path / name, **settings))
    assert vp.dtype == np.float32
    assert vp.flags.c_contiguous
    assert spacing == (DX, DZ)
    # Half a metre a second of integers, else a rounding of float32.
    np.testing.assert_allclose(vp, model(), atol=0.5 if name.startswith("integers") else 0.0, rtol=3e-7)


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        ("m/s", lambda v: v),
        ("km/s", lambda v: v / 1e3),
        ("s/m", lambda v: 1.0 / v),
        ("s/km", lambda v: 1e3 / v),
        ("s2/m2", lambda v: v**-2),
        ("s2/km2", lambda v: 1e6 * v**-2),
    ],
)
def test_every_unit_becomes_metres_a_second(
    tmp_path: Path, unit: Any, values: Callable[[Array], Array]
) -> None:
    np.save(tmp_path / "m.npy", values(model().astype(np.float64)))
    vp, _ = read_model(stated(tmp_path / "m.npy", unit=unit))
    np.testing.assert_allclose(vp, model(), rtol=3e-7)


@pytest.mark.parametrize("axes", ["xyz", "zyx", "yxz", "zxy"])
def test_cubes_come_with_depth_last(tmp_path: Path, axes: str) -> None:
    np.save(tmp_path / "cube.npy", np.transpose(model(3), ["xyz".index(axis) for axis in axes]))
    vp, spacing = read_model(stated(tmp_path / "cube.npy", axes=axes, spacing=(30.0, 20.0, 10.0)))
    np.testing.assert_array_equal(vp, model(3))
    assert spacing == (30.0, 20.0, 10.0)


def test_patches_are_cut_from_files_in_2d_and_3d(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", model() / 1e3)
    np.save(tmp_path / "cube.npy", model(3).T)
    flat = PatchPriorConfig(file=stated(tmp_path / "m.npy", unit="km/s"))
    cube = PatchPriorConfig(file=stated(tmp_path / "cube.npy", axes="zyx", spacing=(20.0, 20.0, 10.0)))
    for config, shape, spacing in ((flat, (16, 12), (12.5, 10.0)), (cube, (8, 7, 6), (20.0, 20.0, 10.0))):
        vp = make_prior(config, shape, spacing).draw(np.random.default_rng(0))
        assert vp.shape == shape
        assert model().min() - 1.0 <= vp.min() <= vp.max() <= model().max() + 1.0


# --- Refusals -------------------------------------------------------------------------------------


def npy(values: Array) -> Callable[[Path], object]:
    return lambda path: np.save(path, values)


def binary(values: Array) -> Callable[[Path], object]:
    return lambda path: values.tofile(path)


def with_bad(value: float) -> Array:
    values = model()
    values[3, 4] = value
    return values


REFUSED: dict[str, tuple[str, Callable[[Path], object], dict[str, Any], str]] = {
    "transposed": (
        "m.npy",
        npy(model().T),
        {},
        r"expected depth along z, got velocities that increase along x .* as \(nx, nz\): depth looks like "
        r"the wrong axis; state prior.file.axes = 'zx' instead of 'xz' \(that transposes it\)",
    ),
    "said to be transposed": (
        "m.npy",
        npy(model()),
        {"axes": "zx"},
        r"depth looks like the wrong axis; state prior.file.axes = 'xz' instead of 'zx'",
    ),
    "cube with depth first": (
        "m.npy",
        npy(model(3).T),
        {"axes": "xyz", "spacing": (10.0, 10.0, 10.0)},
        "state prior.file.axes = 'zyx' instead of 'xyz'",
    ),
    "depth upwards": (
        "m.npy",
        npy(model()[:, ::-1]),
        {},
        "expected depth to point down .* reverse it in the file",
    ),
    "km/s": ("m.npy", npy(model() / 1e3), {}, r"in m/s, got a median of 2.\d+, .* looks like 'km/s', state"),
    "m/s": (
        "m.npy",
        npy(model()),
        {"unit": "km/s"},
        r"in km/s, got a median of 2\d+, 2.\d+e\+06 m/s: looks like 'm/s'",
    ),
    "squared slowness": ("m.npy", npy(1e6 * model() ** -2.0), {"unit": "m/s"}, r"looks like .*'s2/km2'"),
    "no velocity": ("m.npy", npy(model() * 1e9), {}, "is it a velocity"),
    "NaN": ("m.npy", npy(with_bad(np.nan)), {}, r"got 1 of 2400 that are not, the first at index \(3, 4\)"),
    "zero": ("m.npy", npy(with_bad(0.0)), {}, r"finite positive values in m/s, got 1 of 2400"),
    "text": ("m.npy", npy(np.array([["a", "b"]])), {}, "expected .* to hold real numbers, got dtype <U1"),  # type: ignore[arg-type]
    "vector": ("m.npy", npy(model()[0]), {}, r"to hold 2 axes, 'xz', got an array of shape \(40,\)"),
    "cube for a section": (
        "m.npy",
        npy(model(3)),
        {},
        r"to hold 2 axes, 'xz', got an array of shape \(20, 15, 18\)",
    ),
    "other shape": (
        "m.npy",
        npy(model()),
        {"shape": (NZ, NX)},
        r"of shape \(40, 60\) as stated, got \(60, 40\)",
    ),
    "no shape": ("m.bin", binary(model()), {}, "expected prior.file.shape for the binary file"),
    "short": (
        "m.bin",
        binary(model()[:-1]),
        {"shape": (NX, NZ)},
        r"\(60, 40\) values of 4 bytes .* 9600 bytes, got 9440",
    ),
    "no dtype": ("m.bin", binary(model()), {"shape": (NX, NZ), "dtype": "real"}, "such as '<f4', got 'real'"),
    "other endian": (
        "m.bin",
        binary(model().astype(">f4")),
        {"shape": (NX, NZ)},
        "only make sense with their bytes exchanged: state prior.file.dtype = '>f4'",
    ),
    "scrambled": (
        "m.bin",
        binary(model().T),
        {"shape": (NX, NZ)},
        r"neighbouring cells .* to be alike, got values \d+ times as rough as with prior.file.order = 'F'",
    ),
    "no dataset": (
        "m.h5",
        lambda p: write_hdf5(p, model()),
        {},
        "one of the datasets of .*: models/vp, other, got None",
    ),
    "other dataset": (
        "m.h5",
        lambda p: write_hdf5(p, model()),
        {"dataset": "vp"},
        "models/vp, other, got 'vp'",
    ),
    "no ending": ("model", npy(model()), {}, "expected an ending that tells the kind of file"),
    "segy axes": (
        "m.sgy",
        lambda p: write_segy(p, model()),
        {"axes": "zx"},
        "expected prior.file.axes = 'xz' for the SEG-Y",
    ),
    "segy interval": (
        "m.sgy",
        lambda p: write_segy(p, model(), interval=4000),
        {},
        r"expected a depth spacing of 10 m .*, got a sample interval of 4000 in its headers, .* as 4 m",
    ),
    "segy traces": (
        "m.sgy",
        lambda p: write_segy(p, model(), dx=25.0),
        {},
        "expected a trace spacing of 12.5 m .* as stated, got 25 m from the midpoints",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_the_statement_is_refused(tmp_path: Path, name: str) -> None:
    file, write, settings, message = REFUSED[name]
    write(tmp_path / "written.npy" if file == "model" else tmp_path / file)
    if file == "model":
        shutil.move(tmp_path / "written.npy", tmp_path / file)
    with pytest.raises(ValueError, match=message):
        read_model(stated(tmp_path / file, **settings))


@pytest.mark.parametrize(
    ("file", "write", "settings"),
    [
        ("m.npy", npy(model().T), {}),
        ("m.npy", npy(model()[:, ::-1]), {}),
        ("m.bin", binary(model().T), {"shape": (NX, NZ)}),
        ("m.sgy", lambda p: write_segy(p, model(), interval=4000, dx=25.0), {}),
    ],
)
def test_a_check_can_be_switched_off(
    tmp_path: Path, file: str, write: Callable[[Path], object], settings: dict[str, Any]
) -> None:
    write(tmp_path / file)
    vp, _ = read_model(stated(tmp_path / file, check=False, **settings))
    np.testing.assert_allclose(np.sort(vp.ravel()), np.sort(model().ravel()), rtol=3e-7)


def test_crooked_lines_are_refused(tmp_path: Path) -> None:
    segyio = pytest.importorskip("segyio")
    path = tmp_path / "m.sgy"
    write_segy(path, model())
    with segyio.open(path, "r+", ignore_geometry=True) as file:
        file.header[30] = {segyio.TraceField.CDP_X: 900_000}
    with pytest.raises(
        ValueError, match=r"evenly along one 2-D line, got steps between midpoints from 12.5 to"
    ):
        read_model(stated(path))


@pytest.mark.parametrize(("interval", "scalar"), [(0, 0), (10, 1), (10_000, -1000)])
def test_segy_headers_that_agree_or_say_nothing_pass(tmp_path: Path, interval: int, scalar: int) -> None:
    # A scalar of 0 means 1; metres are then rounded, here to multiples of the trace spacing of 15 m.
    write_segy(tmp_path / "m.sgy", model(), interval=interval, dx=15.0, scalar=scalar)
    vp, _ = read_model(stated(tmp_path / "m.sgy", spacing=(15.0, 10.0)))
    np.testing.assert_array_equal(vp, model())


def test_a_file_is_known_by_its_sum(tmp_path: Path) -> None:
    path = tmp_path / "m.npy"
    np.save(path, model())
    known = stated(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    np.testing.assert_array_equal(read_model(known)[0], model())
    np.save(path, model() + 1.0)
    with pytest.raises(
        ValueError, match=r"m.npy with prior.file.sha256 = '[0-9a-f]{64}', got '[0-9a-f]{64}'"
    ):
        read_model(known)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such earth model file: .*nowhere.npy"):
        read_model(stated(tmp_path / "nowhere.npy"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"axes": "xt"}, "prior.file.axes: expected the letters x and z, or x, y and z, each once, got 'xt'"),
        (
            {"spacing": (10.0,)},
            r"prior.file.spacing: expected \(dx, dz\) in metres for axes 'xz', got \(10.0,\)",
        ),
        ({"axes": "zyx"}, r"prior.file.spacing: expected \(dx, dy, dz\) in metres for axes 'zyx'"),
        (
            {"axes": "zx", "shape": (40,)},
            r"prior.file.shape: expected \(nz, nx\), each at least 2, got \(40,\)",
        ),
    ],
)
def test_statements_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stated(Path("m.npy"), **settings)


def test_a_file_stands_alone() -> None:
    file = stated(Path("m.npy"))
    with pytest.raises(
        ValueError, match=r"prior.model: expected no model or model_spacing beside prior.file"
    ):
        PatchPriorConfig(model="other.npy", file=file)
    assert dataclasses.replace(PatchPriorConfig(), file=file).file == file


# --- Real files, where they are -------------------------------------------------------------------


def beside(name: str) -> Path:
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / name
    if not path.is_file():
        pytest.skip(f"{name} is not beside the project")
    return path


def test_marmousi_reads_as_it_is_and_not_otherwise() -> None:
    path = beside("marmousi_vp_1601x401_f32.bin")
    true = ModelFileConfig(path=str(path), shape=(1601, 401), unit="km/s", spacing=(7.5, 7.5))
    vp, _ = read_model(true)
    assert (vp.shape, float(vp.min().round()), float(vp.max().round())) == ((1601, 401), 1028.0, 4700.0)
    for wrong, message in (
        ({"unit": "m/s"}, "looks like 'km/s'"),
        ({"order": "F"}, "prior.file.order = 'C'"),
        ({"shape": (401, 1601)}, "check the order of prior.file.shape"),
        ({"axes": "zx"}, "depth looks like the wrong axis"),
        ({"dtype": ">f4"}, "prior.file.dtype = '<f4'"),
    ):
        with pytest.raises(ValueError, match=message):
            read_model(dataclasses.replace(true, **wrong))


def test_parihaka_reads_from_hdf5() -> None:
    path = beside("parihaka_160x205.h5")
    true = ModelFileConfig(path=str(path), dataset="m0", unit="s2/km2", axes="zx", spacing=(25.0, 12.5))
    vp, _ = read_model(true)
    assert vp.shape == (205, 160)
    # Its first row is water, which nothing in the file says: read as (x, z) depth would point sideways.
    np.testing.assert_allclose(vp[:, 0], 1500.0, rtol=1e-4)
    with pytest.raises(ValueError, match=r"depth looks like the wrong axis; state prior.file.axes = 'zx'"):
        read_model(dataclasses.replace(true, axes="xz"))


def test_a_cube_in_segy_is_no_line() -> None:
    pytest.importorskip("segyio")
    path = beside("f3_crop.sgy")
    with pytest.raises(ValueError, match="sample interval of 4000"):
        read_model(ModelFileConfig(path=str(path), spacing=(25.0, 12.5)))
    with pytest.raises(ValueError, match="to lie evenly along one 2-D line"):
        read_model(ModelFileConfig(path=str(path), spacing=(25.0, 4.0)))
