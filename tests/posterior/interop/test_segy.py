"""SEG-Y there and back, bit by bit, as segyio and a reader of bytes see it; broken files are refused."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

segyio = pytest.importorskip("segyio", reason="needs the optional extra segy")

from posterior.interop.segy import SegyGrid, SegyUnits, read_segy, write_segy  # noqa: E402

DATA = Path(os.environ.get("SEISPOST_DATA", Path(__file__).parents[4] / "shared" / "data"))
TIME = SegyUnits(domain="time")


@pytest.fixture(scope="module")
def f3() -> Path:
    path = DATA / "f3_crop.sgy"
    if not path.is_file():
        pytest.skip("needs the F3 crop, see data/README.md")
    return path


def volume(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Numbers as small as squared slowness, some zero, with both signs."""
    values = 1e-8 * np.random.default_rng(seed).normal(size=shape)
    values[..., 0] = 0.0
    return values.astype(np.float32)


def patched(path: Path, at: int, kind: str, value: int) -> Path:
    """The file with one header field, counted from byte 1, replaced."""
    data = bytearray(path.read_bytes())
    struct.pack_into(kind, data, at - 1, value)
    path.write_bytes(data)
    return path


def small(folder: Path, **how) -> tuple[Path, np.ndarray]:
    values = volume((3, 4, 7))
    path = folder / "small.sgy"
    write_segy(path, values, SegyGrid.regular(values.shape, (25.0, 50.0, 12.5), (1000.5, 2000.0, 5.0)), **how)
    return path, values


@pytest.mark.parametrize("shape", [(5, 9), (3, 4, 7), (1, 4, 7), (2, 1)])
def test_a_depth_image_comes_back_bit_by_bit(tmp_path, shape):
    values, axes = volume(shape), len(shape)
    grid = SegyGrid.regular(shape, (12.5, 20.0, 7.5)[-axes:], (1e5, -2.5, 150.0)[-axes:])
    write_segy(tmp_path / "a.sgy", values, grid, title="mean [s^2/m^2]")
    back = read_segy(tmp_path / "a.sgy")
    # One inline alone is a line: nothing in the format tells the two apart.
    same = values.shape[1:] if shape[0] == 1 and axes == 3 else values.shape
    assert back.values.tobytes() == values.tobytes()
    assert back.values.shape == same
    for name in ("inline", "crossline", "x", "y"):
        np.testing.assert_array_equal(getattr(back.grid, name), getattr(grid, name).reshape(same[:-1]))
    assert (back.grid.interval, back.grid.first, back.grid.domain) == (grid.interval, grid.first, "depth")
    assert "SAMPLES IN DEPTH" in back.text
    assert "mean [s^2/m^2]" in back.text


def test_bytes_are_those_of_the_standard(tmp_path):
    path, values = small(tmp_path)
    data = path.read_bytes()
    assert struct.unpack_from(">h", data, 3216) == (12500,)  # millimetres where a time has microseconds
    assert struct.unpack_from(">hh", data, 3220)[0] == 7
    assert struct.unpack_from(">h", data, 3224) == (5,)
    assert struct.unpack_from(">h", data, 3254) == (1,)  # metres
    assert data[3500:3502] == b"\x01\x00"  # revision 1.0
    last = data[-(240 + 28) :]
    assert struct.unpack_from(">h", last, 70) == (-1000,)
    assert struct.unpack_from(">h", last, 88) == (1,)
    assert struct.unpack_from(">h", last, 108) == (5,)
    assert struct.unpack_from(">hh", last, 114) == (7, 12500)
    # x = 1000.5 + 2 * 25, y = 2000 + 3 * 50, third inline, fourth crossline
    assert struct.unpack_from(">iiii", last, 180) == (1050500, 2150000, 3, 4)
    assert np.frombuffer(last[240:], ">f4").tolist() == values[2, 3].tolist()


def test_segyio_sees_a_volume_in_metres(tmp_path):
    path, values = small(tmp_path)
    with segyio.open(path) as file:
        assert file.ilines.tolist() == [1, 2, 3]
        assert file.xlines.tolist() == [1, 2, 3, 4]
        assert file.samples.tolist() == [5.0 + 12.5 * k for k in range(7)]
        assert segyio.tools.cube(file).tobytes() == values.tobytes()


def test_ibm_floats_are_off_by_less_than_their_mantissa(tmp_path):
    path, values = small(tmp_path, floats="ibm")
    before = values.copy()
    back = read_segy(path).values
    assert np.array_equal(values, before)  # segyio converts in place what it is handed
    assert struct.unpack_from(">h", path.read_bytes(), 3224) == (1,)
    error = np.abs(back - values)
    assert error.max() > 0.0
    # 24 bits of mantissa in base 16: the leading digit may have three zero bits, and segyio truncates.
    assert (error <= 2.0**-20 * np.abs(values)).all()


def test_survey_comes_back_with_every_trace_and_header_bit_identical(tmp_path, f3):
    survey = read_segy(f3, TIME)
    assert survey.values.shape == (23, 18, 75)
    assert (survey.grid.interval, survey.grid.first) == (0.004, 0.004)
    copy = tmp_path / "copy.sgy"
    write_segy(copy, survey.values, survey.grid, like=f3, title="a copy")
    old, new = (path.read_bytes() for path in (f3, copy))
    differing = [at for at in range(3201, 3601) if old[at - 1] != new[at - 1]]
    assert differing == [3226]  # the sample format: IEEE floats for two-byte integers
    there = np.frombuffer(old, ">u1", offset=3600).reshape(414, 240 + 2 * 75)
    here = np.frombuffer(new, ">u1", offset=3600).reshape(414, 240 + 4 * 75)
    changed = 1 + np.flatnonzero((there[:, :240] != here[:, :240]).any(axis=0))
    # The survey's trace headers claim the 462 samples that it had before it was cropped to 75.
    assert changed.tolist() == [115, 116]
    integers = np.ascontiguousarray(there[:, 240:]).view(">i2")
    floats = np.ascontiguousarray(here[:, 240:]).view(">f4")
    np.testing.assert_array_equal(integers, floats)
    lines = [new[start : start + 80] != old[start : start + 80] for start in range(0, 3200, 80)]
    assert sum(lines) == 2


@pytest.mark.parametrize("floats", ["ieee", "ibm"])
def test_std_on_a_survey_opens_with_its_geometry(tmp_path, f3, floats):
    std = np.abs(volume((23, 18, 40)))
    grid = SegyGrid.regular(std.shape, (25.0, 25.0, 10.0), (0.0, 0.0, 0.0))
    write_segy(tmp_path / "std.sgy", std, grid, like=f3, floats=floats, title="std [s^2/m^2]")
    with segyio.open(tmp_path / "std.sgy") as file, segyio.open(f3) as survey:
        assert file.ilines.tolist() == survey.ilines.tolist()
        assert file.xlines.tolist() == survey.xlines.tolist()
        assert file.samples.tolist() == [10.0 * k for k in range(40)]
        for key in (181, 185, 71, 89, 1, 5, 9, 21):
            assert np.array_equal(file.attributes(key)[:], survey.attributes(key)[:])
        np.testing.assert_allclose(segyio.tools.cube(file), std, rtol=2.0**-20)
    back = read_segy(tmp_path / "std.sgy")
    assert (back.grid.domain, back.grid.interval) == ("depth", 10.0)
    # Written once more like itself, the lines on the samples and the values are replaced, not added.
    write_segy(tmp_path / "std.sgy", std, back.grid, like=tmp_path / "std.sgy", title="again")
    assert read_segy(tmp_path / "std.sgy").text.count("SEISPOST") == 2


def test_traces_of_a_survey_in_another_order_find_their_places(tmp_path):
    path, values = small(tmp_path)
    data = path.read_bytes()
    traces = [data[at : at + 268] for at in range(3600, len(data), 268)]
    order = np.random.default_rng(3).permutation(12)
    path.write_bytes(data[:3600] + b"".join(traces[i] for i in order))
    assert read_segy(path).values.tobytes() == values.tobytes()
    new = volume((3, 4, 7), seed=8)
    write_segy(tmp_path / "new.sgy", new, read_segy(path).grid, like=path)
    assert read_segy(tmp_path / "new.sgy").values.tobytes() == new.tobytes()
    with segyio.open(tmp_path / "new.sgy", ignore_geometry=True) as file:
        np.testing.assert_array_equal(file.trace.raw[:], new.reshape(12, 7)[order])


def test_coarse_depths_are_in_metres_and_the_text_says_so(tmp_path):
    values = volume((2, 5))
    write_segy(tmp_path / "a.sgy", values, SegyGrid.regular((2, 5), (1.0, 50.0), (3e6, -12.5)))
    back = read_segy(tmp_path / "a.sgy")
    assert "INTERVAL IN METRES" in back.text
    assert (back.grid.interval, back.grid.first) == (50.0, -12.5)
    assert back.grid.x.tolist() == [3e6, 3e6 + 1.0]  # beyond 2147 km only centimetres fit


def test_foreign_files_must_be_told_what_they_count(tmp_path):
    path, _ = small(tmp_path)
    text = path.read_bytes()
    path.write_bytes(b"\x40" * 3200 + text[3200:])  # blanks in EBCDIC
    with pytest.raises(ValueError, match="depth or time"):
        read_segy(path)
    assert read_segy(path, SegyUnits(domain="depth")).grid.interval == 12.5
    assert read_segy(path, SegyUnits(domain="depth", metres=True)).grid.interval == 12500.0
    assert read_segy(path, TIME).grid.interval == 0.0125


def _truncated(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-10])
    return path


@pytest.mark.parametrize(
    ("breaking", "message"),
    [
        (_truncated, "truncated"),
        (lambda path: patched(path, 3225, ">h", 4), "sample format"),
        (lambda path: patched(path, 3225, "<h", 5), "bytes are in the other order"),
        (lambda path: patched(path, 3221, ">H", 65535), "whole traces of 262380 bytes"),
        (lambda path: patched(path, 3221, ">H", 0), "samples in a trace"),
        (lambda path: patched(path, 3505, ">h", -1), "extended text headers"),
        (lambda path: patched(path, 3505, ">h", 32767), "truncated"),
        (lambda path: patched(path, 3600 + 117, ">h", 4000), "one sample interval"),
        (lambda path: patched(path, 3600 + 109, ">h", 9), "first sample"),
        (lambda path: patched(path, 3600 + 193, ">i", 2), "leave 1 places empty"),
        (lambda path: patched(path, 3600 + 241, ">I", 0x7FC00000), "finite samples, got 1"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path, breaking, message):
    path, _ = small(tmp_path)
    with pytest.raises(ValueError, match=message) as raised:
        read_segy(breaking(path))
    assert str(path) in str(raised.value)


def test_what_is_no_file_or_too_short(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a SEG-Y file"):
        read_segy(tmp_path / "none.sgy")
    (tmp_path / "short.sgy").write_bytes(b"C 1")
    with pytest.raises(ValueError, match="at least 3840 bytes, got 3"):
        read_segy(tmp_path / "short.sgy")


@pytest.mark.parametrize(
    ("shape", "grid", "message"),
    [
        ((2, 5), SegyGrid.regular((3, 5), (1.0, 1.0), (0.0, 0.0)), "on \\(3,\\) places"),
        ((2, 5), SegyGrid.regular((2, 5), (1.0, 12.34567), (0.0, 0.0)), "whole mm or m"),
        ((2, 5), SegyGrid.regular((2, 5), (1.0, 10.0), (0.0, 0.00001)), "first sample"),
        ((2, 5), SegyGrid.regular((2, 5), (1.0, 10.0), (3e9, 0.0)), "coordinates below"),
        ((2, 40000), SegyGrid.regular((2, 5), (1.0, 10.0), (0.0, 0.0)), "32767 samples"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_left(tmp_path, shape, grid, message):
    with pytest.raises(ValueError, match=message):
        write_segy(tmp_path / "a.sgy", np.zeros(shape), grid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, 1e39, 1j])
def test_values_that_single_precision_cannot_hold(tmp_path, bad):
    with pytest.raises(ValueError, match="finite in single precision"):
        write_segy(tmp_path / "a.sgy", np.full((2, 3), bad), SegyGrid.regular((2, 3), (1.0, 1.0), (0.0, 0.0)))
    assert list(tmp_path.iterdir()) == []


def test_a_survey_of_another_shape_is_refused(tmp_path):
    path, _ = small(tmp_path)
    grid = SegyGrid.regular((4, 3, 7), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match=r"\(3, 4\), got \(4, 3\)"):
        write_segy(tmp_path / "b.sgy", np.zeros((4, 3, 7)), grid, like=path)
    with pytest.raises(ValueError, match="floats ieee or ibm"):
        write_segy(tmp_path / "b.sgy", np.zeros((4, 3, 7)), grid, floats="vax")
    assert sorted(tmp_path.iterdir()) == [path]


def test_grids_that_are_none():
    with pytest.raises(ValueError, match="2 or 3 axes"):
        SegyGrid.regular((3,), (1.0,), (0.0,))
    with pytest.raises(ValueError, match="positive interval"):
        SegyGrid.regular((3, 2), (1.0, 0.0), (0.0, 0.0))
    with pytest.raises(ValueError, match="one shape"):
        SegyGrid(np.zeros(3, int), np.zeros(2, int), np.zeros(3), np.zeros(3), 1.0)
