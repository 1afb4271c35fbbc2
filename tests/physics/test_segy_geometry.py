"""Surveys and shot records in SEG-Y: round trips, files as others write them, and what is refused."""

import struct
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from physics.config import SegySurveyConfig
from physics.errors import GeometryError, PhysicsError
from physics.geometry import Acquisition
from physics.segy import SegyOptions, read_shots, read_survey, write_shots
from physics.surveys import build

pytest.importorskip("segyio", reason="needs the optional extra segy")

DT, NT = 0.002, 25
F3 = Path(str(files("physics"))).parent.parent / "shared" / "data" / "f3_crop.sgy"


def fixed(**options):
    given = {
        "sources": [[100.0, 5.0], [250.5, 5.25]],
        "receivers": np.column_stack([np.arange(4) * 12.5, np.full(4, 7.001)]),
        "dt": DT,
        "nt": NT,
    }
    return Acquisition(**(given | options))


def streamer():
    sources = np.array([[500.0, 20.0, 5.0], [600.0, 25.0, 5.0], [700.0, 30.0, 5.0]])
    behind = np.array([[-50.0 - 25.0 * i, 2.0 * i, 3.0] for i in range(6)])
    live = np.ones((3, 6), bool)
    live[0, 4:] = False
    live[2, 1] = False
    return Acquisition(sources, sources[:, None, :] + behind, DT, NT, live)


def utm():
    # Seven digits and a decimal: at the millimetre these overflow four bytes.
    sources = [[612345.2, 6078901.3, 5.0], [612400.1, 6078950.9, 5.0]]
    return Acquisition(sources, [[612000.0, 6078000.5, 0.0], [612001.0, 6078000.5, 0.0]], DT, NT)


SURVEYS = {"fixed": fixed(), "one trace": fixed().select(0), "streamer 3-D": streamer(), "utm": utm()}


def records(survey):
    d = np.random.default_rng(0).standard_normal(survey.record_shape).astype(np.float32)
    return d if survey.live is None else d * survey.live[:, None, :]


@pytest.mark.parametrize("floats", ["ieee", "ibm"])
@pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS.keys())
def test_round_trip(tmp_path, survey, floats):
    path, d = tmp_path / "shots.segy", records(survey)
    write_shots(path, survey, d, floats=floats)
    found, again = read_shots(path)
    assert found == survey
    assert read_survey(str(path)) == survey
    # IBM floats have 21 to 24 bits of mantissa, IEEE floats come back as they are.
    assert np.allclose(again, d, rtol=0.0 if floats == "ieee" else 1e-6, atol=0.0)
    assert again.dtype == np.float32
    assert [p.name for p in tmp_path.iterdir()] == ["shots.segy"]


def test_headers_are_where_the_standard_says(tmp_path):
    survey = streamer()
    write_shots(tmp_path / "a.segy", survey, records(survey))
    content = (tmp_path / "a.segy").read_bytes()
    assert len(content) == 3600 + 18 * (240 + 4 * NT)
    assert content[:3200].decode("cp037").startswith("C 1 SHOT RECORDS WRITTEN BY SEISPOST")
    binary = {
        first: struct.unpack_from(">h", content, first - 1)[0] for first in (3213, 3217, 3221, 3225, 3255)
    }
    assert binary == {3213: 6, 3217: 2000, 3221: NT, 3225: 5, 3255: 1}
    start = 3600 + 7 * (240 + 4 * NT)  # shot 1, receiver 1
    long = {first: struct.unpack_from(">i", content, start + first - 1)[0] for first in (9, 13, 37, 41, 49)}
    assert long == {9: 2, 13: 2, 37: 75, 41: -8000, 49: 5000}
    place = struct.unpack_from(">hhiiii", content, start + 68)  # bytes 69 to 88
    assert place == (-1000, -1000, 600_000, 25_000, 525_000, 27_000)
    assert struct.unpack_from(">hhh", content, start + 108) == (0, 0, 0)
    assert struct.unpack_from(">hh", content, start + 114) == (NT, 2000)
    codes = [struct.unpack_from(">h", content, 3628 + i * (240 + 4 * NT))[0] for i in range(18)]
    assert codes == np.where(survey.live, 1, 2).ravel().tolist()


def test_some_shots(tmp_path):
    path, survey = tmp_path / "shots.segy", streamer()
    write_shots(path, survey, records(survey))
    for shots in ([2, 0], 1, slice(1, None), np.array([True, False, True])):
        found, d = read_shots(path, shots=shots)
        assert found == survey.select(shots)
        assert np.array_equal(d, records(survey)[np.atleast_1d(np.arange(3)[shots])])


def test_positions_are_rounded_to_the_millimetre(tmp_path):
    survey = fixed(sources=[[100.00049, 5.0], [1e3 / 7.0, 5.0]])
    write_shots(tmp_path / "a.segy", survey, records(survey))
    assert read_survey(tmp_path / "a.segy").sources[:, 0].tolist() == [100.0, 142.857]


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a SEG-Y file at .*none\.segy, got none"):
        read_survey(tmp_path / "none.segy")
    (tmp_path / "text.segy").write_text("x" * 5000)
    with pytest.raises(PhysicsError, match=r"a SEG-Y file in big-endian order at .*text\.segy, got"):
        read_survey(tmp_path / "text.segy")


def test_missing_segyio_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "segyio", None)
    for call in (
        lambda: read_survey(tmp_path / "a.segy"),
        lambda: write_shots(tmp_path / "a.segy", fixed(), records(fixed())),
    ):
        with pytest.raises(ImportError, match=r"needs segyio: pip install 'seispost\[segy\]'"):
            call()


def test_surveys_that_the_format_cannot_hold_are_refused(tmp_path):
    def write(survey, **options):
        write_shots(tmp_path / "a.segy", survey, np.zeros(survey.record_shape), **options)

    with pytest.raises(PhysicsError, match=r"whole microseconds, .* got 1333\.33333: resample"):
        write(fixed(dt=0.004 / 3.0))
    with pytest.raises(PhysicsError, match="at most 32767 samples a trace for SEG-Y, got 40000"):
        write(fixed(nt=40_000))
    with pytest.raises(GeometryError, match="positions of at most 2147483647 m"):
        write(fixed(sources=[[3e9, 0.0], [0.0, 0.0]]))
    with pytest.raises(PhysicsError, match="floats as 'ieee' or 'ibm', got 'double'"):
        write(fixed(), floats="double")
    with pytest.raises(PhysicsError, match=r"records of shape \(2, 25, 4\), got \(2, 4, 25\)"):
        write_shots(tmp_path / "a.segy", fixed(), np.zeros((2, 4, 25)))
    assert not list(tmp_path.iterdir())


def test_survey_configuration_takes_positions_and_its_own_sampling(tmp_path):
    path, there = tmp_path / "a.segy", fixed(sources=[[1100.0, 5.0], [1250.0, 5.0]])
    write_shots(path, there, records(there))
    config = SegySurveyConfig(path=str(path))
    rng = np.random.default_rng(0)
    survey = build(config, (2000.0, 400.0), dt=0.004, nt=99, rng=rng)
    assert np.array_equal(survey.sources, there.sources)
    assert (survey.dt, survey.nt) == (0.004, 99)
    with pytest.raises(GeometryError, match=r"sources inside the model, .* 2 of 2 outside"):
        build(config, (900.0, 400.0), dt=0.004, nt=99, rng=rng)


def test_survey_configuration_straightens_a_crooked_line(tmp_path):
    x = np.linspace(0.0, 400.0, 9)
    receivers = np.column_stack([5e5 + x, 6e6 + 4.0 * np.sin(x), np.full(9, 2.0)])
    line = Acquisition(receivers[2:5] + [0.0, 0.0, 3.0], receivers, DT, NT)
    write_shots(tmp_path / "a.segy", line, np.zeros(line.record_shape))
    config = SegySurveyConfig(path=str(tmp_path / "a.segy"), straighten=True, origin=(-50.0, 0.0))
    survey = build(config, (500.0, 100.0), dt=DT, nt=NT, rng=np.random.default_rng(0))
    assert np.allclose(survey.receivers[:, 0], 50.0 + x, atol=0.2)
    assert set(survey.sources[:, 1]) == {5.0}


@pytest.mark.skipif(not F3.exists(), reason="needs the crop of the F3 survey")
def test_stacked_section_is_recognised():
    with pytest.raises(PhysicsError, match="a delay of 4 ms in trace 0 and 413 more"):
        read_survey(F3)
    with pytest.raises(GeometryError, match="zero in all 414 traces: looks like a stacked section"):
        read_survey(F3, SegyOptions(ignore_delay=True))
