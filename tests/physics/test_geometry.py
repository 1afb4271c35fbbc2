import numpy as np
import pytest

from physics.errors import GeometryError, UnitError
from physics.geometry import Acquisition


def survey(**options):
    return Acquisition(
        **({"sources": [[1.0, 2.0]], "receivers": [[3.0, 4.0], [5.0, 6.0]], "dt": 0.004, "nt": 100} | options)
    )


def test_equal_and_hashed_by_content():
    assert survey() == survey()
    assert hash(survey()) == hash(survey())
    assert len({survey(), survey(), survey(nt=101), survey(dt=0.002), survey(sources=[[1.0, 2.5]])}) == 4
    assert survey() != "survey"


def test_quantities():
    assert (survey().ndim, survey().num_sources, survey().num_receivers) == (2, 1, 2)
    assert survey().record_shape == (1, 100, 2)


def test_positions_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        survey().sources[0, 0] = 9.0


def test_surface_spread_is_regular_and_symmetric():
    spread = Acquisition.surface((800.0, 400.0), 4, 5, source_depth=10.0, receiver_depth=20.0, dt=0.004, nt=9)
    assert spread.sources.tolist() == [[100.0, 10.0], [300.0, 10.0], [500.0, 10.0], [700.0, 10.0]]
    assert spread.receivers.tolist() == [
        [0.0, 20.0],
        [200.0, 20.0],
        [400.0, 20.0],
        [600.0, 20.0],
        [800.0, 20.0],
    ]


def test_jitter_stays_in_its_bounds_and_follows_the_generator():
    def spread(seed, jitter=150.0):
        rng = np.random.default_rng(seed)
        return Acquisition.surface(
            (800.0, 400.0), 8, 1, source_depth=0.0, receiver_depth=0.0, dt=0.004, nt=9, jitter=jitter, rng=rng
        )

    moved = spread(0).sources[:, 0]
    assert spread(0) == spread(0)
    assert spread(0) != spread(1)
    assert np.array_equal(moved, np.clip(moved, 0.0, 800.0))
    assert 0.0 < np.abs(spread(0, 20.0).sources[:, 0] - (np.arange(8) + 0.5) * 100.0).max() <= 20.0


BAD = {
    "dt in ms": (UnitError, {"dt": 4.0}, r"dt in seconds, got 4: looks like milliseconds"),
    "negative dt": (ValueError, {"dt": -0.004}, "positive sampling interval"),
    "NaN dt": (ValueError, {"dt": float("nan")}, "positive sampling interval"),
    "one sample": (ValueError, {"nt": 1}, "at least 2 time samples nt, got 1"),
    "flat": (GeometryError, {"sources": [1.0, 2.0]}, r"sources of shape \(n, 2\) or \(n, 3\) .* got \(2,\)"),
    "transposed": (GeometryError, {"receivers": np.zeros((2, 5))}, r"receivers of shape .* got \(2, 5\)"),
    "empty": (GeometryError, {"sources": np.zeros((0, 2))}, r"sources of shape .* got \(0, 2\)"),
    "mixed": (
        GeometryError,
        {"receivers": np.zeros((2, 3))},
        r"same number of dimensions, .*\(1, 2\) and \(2, 3\)",
    ),
    "NaN": (GeometryError, {"receivers": [[0.0, 1.0], [np.nan, 1.0]]}, r"finite receivers, .* indices \[1\]"),
}


@pytest.mark.parametrize(("error", "options", "message"), BAD.values(), ids=BAD.keys())
def test_bad_survey_is_refused(error, options, message):
    with pytest.raises(error, match=message):
        survey(**options)


def test_bad_spread_is_refused():
    depths = {"source_depth": 0.0, "receiver_depth": 0.0, "dt": 0.004, "nt": 9}
    with pytest.raises(GeometryError, match="at least 1 source and 1 receiver, got 0 and 3"):
        Acquisition.surface((1.0, 1.0), 0, 3, **depths)
    with pytest.raises(GeometryError, match="expected a random generator rng for a jitter of 5 m, got None"):
        Acquisition.surface((1.0, 1.0), 2, 3, jitter=5.0, **depths)
