"""Surveys from files of positions, and crooked lines on a straight axis."""

import numpy as np
import pytest

from physics.config import PositionsConfig
from physics.errors import GeometryError
from physics.geometry import Acquisition
from physics.surveys import build
from physics.surveys.straighten import straighten

DT, NT = 0.004, 60
FLAT = (800.0, 400.0)


def make(config):
    return build(config, FLAT, dt=DT, nt=NT, rng=np.random.default_rng(0))


def test_positions_from_files(tmp_path):
    named = tmp_path / "sources.csv"
    named.write_text("station,z,x\n7,2.0,1100.0\n8,3.0,1250.0\n\n")
    plain = tmp_path / "receivers.csv"
    plain.write_text("1000,5\n1010.5,6\n1e3,7\n")
    config = PositionsConfig(sources=str(named), receivers=str(plain), origin=(1000.0, 0.0))
    survey = make(config)
    assert survey.sources.tolist() == [[100.0, 2.0], [250.0, 3.0]]
    assert survey.receivers.tolist() == [[0.0, 5.0], [10.5, 6.0], [0.0, 7.0]]
    moving = np.arange(12.0).reshape(2, 3, 2)
    np.save(tmp_path / "moving.npy", moving + [1000.0, 0.0])
    survey = make(
        PositionsConfig(sources=str(named), receivers=str(tmp_path / "moving.npy"), origin=(1000.0, 0))
    )
    assert np.array_equal(survey.receivers, moving)


FILES = {
    "missing": (None, "a file of positions at .*a.csv, got none"),
    "words": ("1,2\nx y,3\n", "expected numbers x, .* could not convert string to float: 'x y'"),
    "short line": ("1,2\n3\n", "1 instead of 2 values in line 2"),
    "no depth": ("x,y\n1,2\n", r"columns \['x', 'y'\] without x and z"),
    "empty": ("", "at least 1 position in sources, got none"),
    "one column": ("1\n2\n", r"sources of shape \(n, 2\) or \(n, 3\) in metres, got \(2, 1\)"),
    "NaN": ("1,2\nnan,3\n", r"NaN or infinite positions at indices \[1\]"),
    "outside": ("1,2\n900,3\n", r"sources inside the model, .* 1 of 2 outside: 1 at \(900.0, 3.0\)"),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES.keys())
def test_bad_file_of_positions_is_refused(tmp_path, text, message):
    path = tmp_path / "a.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(GeometryError, match=message):
        make(PositionsConfig(sources=str(path), receivers=str(path)))


def test_bad_origin_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2\n")
    with pytest.raises(GeometryError, match=r"an origin of 2 coordinates in metres, got \(1.0,\)"):
        make(PositionsConfig(sources=str(path), receivers=str(path), origin=(1.0,)))


def bent(bend, angle=0.0, centre=(0.0, 0.0)):
    """A line of 9 sources and 30 receivers 1 km long, bent sideways, then turned and moved."""

    def place(along, depth):
        points = np.column_stack([along, bend * np.sin(np.pi * along / 1000.0)])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.column_stack([points @ turn.T + centre, np.full(len(along), depth)])

    return Acquisition(
        place(np.linspace(100.0, 900.0, 9), 3.0), place(np.linspace(0.0, 1000.0, 30), 1.0), dt=DT, nt=NT
    )


def test_straight_line_is_kept():
    line = straighten(bent(0.0, angle=2.5, centre=(6e5, 6e6)))
    # Coordinates of 6e6 m carry a rounding of 1e-9.
    assert line.misfit < 1e-7
    assert line.offset_error < 1e-7
    assert np.allclose(line.direction, [np.cos(2.5), np.sin(2.5)])
    assert np.allclose(line.start, (6e5, 6e6))
    assert np.allclose(line.survey.receivers[:, 0], np.linspace(0.0, 1000.0, 30), atol=1e-6)
    assert np.allclose(line.survey.sources, np.column_stack([np.linspace(100.0, 900.0, 9), np.full(9, 3.0)]))


def test_crooked_line_is_projected_and_its_misfit_reported():
    survey = bent(50.0, angle=-0.7)
    line = straighten(survey)
    # Half a sine of 50 m about its mean, 2 / pi of that: 32 m below it at the ends, 18 m above in the middle.
    assert 18.0 < line.misfit < 40.0
    assert line.survey.ndim == 2
    assert line.survey.record_shape == survey.record_shape
    lost = survey.distances(horizontal=True) - line.survey.distances(horizontal=True)
    assert (lost > -1e-9).all()
    assert line.offset_error == pytest.approx(lost.max())
    worse = straighten(bent(100.0, angle=-0.7))
    assert worse.misfit == pytest.approx(2.0 * line.misfit, rel=0.1)


def test_direction_of_a_line_follows_its_sources():
    survey = bent(0.0)
    back = Acquisition(survey.sources[::-1], survey.receivers, DT, NT)
    assert np.allclose(straighten(back).direction, [-1.0, 0.0])
    assert np.allclose(straighten(survey.select(3)).direction, [1.0, 0.0])
    with pytest.raises(GeometryError, match="a survey in 3-D to straighten, got one in 2-D"):
        straighten(straighten(survey).survey)
