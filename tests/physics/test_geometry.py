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


def moving(**options):
    """Two shots, three receivers each, 10 m to the right for the second; the last trace of shot 0 is dead."""
    given = {
        "sources": [[100.0, 0.0], [110.0, 0.0]],
        "receivers": [[[x + shift, 5.0] for x in (0.0, 20.0, 40.0)] for shift in (0.0, 10.0)],
        "dt": 0.004,
        "nt": 50,
        "live": [[True, True, False], [True, True, True]],
    }
    return Acquisition(**(given | options))


def test_moving_spread():
    assert moving().moves
    assert not survey().moves
    assert moving().num_receivers == 3
    assert moving().record_shape == (2, 50, 3)
    assert moving().receivers_of(1).tolist() == [[10.0, 5.0], [30.0, 5.0], [50.0, 5.0]]
    assert survey().receivers_of(0).tolist() == [[3.0, 4.0], [5.0, 6.0]]


def test_one_form_of_each_survey():
    fixed = survey(sources=[[1.0, 2.0], [3.0, 2.0]])
    assert survey(sources=fixed.sources, receivers=np.stack([fixed.receivers] * 2)) == fixed
    assert survey(live=[[True, True]]) == survey()
    assert survey(live=[[True, True]]).live is None
    assert survey(sources=[[-0.0, 2.0]]) == survey(sources=[[0.0, 2.0]])
    assert len({moving(), moving(live=None), moving(live=[[True, False, True], [True] * 3])}) == 3
    assert moving() == moving()
    assert hash(moving()) == hash(moving())


def test_distances_and_offsets():
    assert np.allclose(survey().distances(), [[np.sqrt(8.0), np.sqrt(32.0)]])
    assert survey().distances(horizontal=True).tolist() == [[2.0, 4.0]]
    assert moving().distances(horizontal=True).tolist() == [[100.0, 80.0, 60.0]] * 2


def test_selected_shots_keep_their_receivers_and_live_traces():
    swapped = moving().select([1, 0])
    assert swapped.sources.tolist() == [[110.0, 0.0], [100.0, 0.0]]
    assert np.array_equal(swapped.receivers, moving().receivers[::-1])
    assert np.array_equal(swapped.live, moving().live[::-1])
    assert moving().select(slice(None)) == moving()
    assert moving().select(np.array([False, True])) == moving().select(1)
    one = moving().select(0)
    assert (one.record_shape, one.live.tolist()) == ((1, 50, 3), [[True, True, False]])
    assert moving().select(-1).live is None
    with pytest.raises(GeometryError, match=r"indices of shots from 0 to 1, got \[2\]"):
        moving().select([2])
    with pytest.raises(GeometryError, match="at least 1 position in sources, got none"):
        moving().select([])


def test_positions_outside_are_refused_with_their_shot():
    moving().check_inside((0.0, 0.0), (200.0, 50.0))
    with pytest.raises(GeometryError, match=r"receivers of shot 1 inside .* got 1 of 3 outside: 2 at \(50"):
        moving(sources=[[1.0, 0.0], [2.0, 0.0]]).check_inside((0.0, 0.0), (45.0, 50.0))
    with pytest.raises(GeometryError, match=r"sources of shape \(n, 2\) for a 2-D model, got \(1, 3\)"):
        survey(sources=[[1.0, 2.0, 3.0]], receivers=np.ones((1, 3))).check_inside((0.0, 0.0), (9.0, 9.0))


def test_dead_traces_may_share_a_place():
    receivers = [[3.0, 4.0], [5.0, 6.0], [5.0, 6.0]]
    assert survey(receivers=receivers, live=[[True, True, False]]).num_receivers == 3
    with pytest.raises(GeometryError, match=r"receivers of shot 0 at different places, got indices \[1, 2\]"):
        survey(receivers=receivers, live=[[False, True, True]])


def test_positions_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        survey().sources[0, 0] = 9.0
    with pytest.raises(ValueError, match="read-only"):
        moving().live[0, 2] = True


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
    "transposed": (
        GeometryError,
        {"receivers": np.zeros((2, 5))},
        r"receivers of shape .* got \(2, 5\): looks transposed, one position a column, pass its .T",
    ),
    "transposed moving": (
        GeometryError,
        {"receivers": np.zeros((1, 2, 5))},
        r"receivers of shot 0 of shape .* got \(2, 5\): looks transposed",
    ),
    "words": (GeometryError, {"sources": [["a", "b"]]}, "sources as one array of numbers"),
    "ragged": (
        GeometryError,
        {"sources": [[1.0, 2.0]] * 2, "receivers": [[[0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]]]},
        "receivers as one array of numbers, .* fill shots with fewer receivers up and mark these dead",
    ),
    "shots": (
        GeometryError,
        {"receivers": np.arange(12.0).reshape(2, 3, 2)},
        r"moving receivers of shape \(nsrc, nrec, ndim\) with nsrc = 1, got \(2, 3, 2\)",
    ),
    "duplicates": (
        GeometryError,
        {"receivers": [[3.0, 4.0], [5.0, 6.0], [3.0, 4.0], [3.0, 4.0]]},
        r"receivers at different places, got indices \[0, 2, 3\] all at \(3.0, 4.0\) m: keep one of each",
    ),
    "many duplicates": (
        GeometryError,
        {"receivers": [[3.0, 4.0], [5.0, 6.0]] * 2},
        r"got indices \[0, 2\] all at \(3.0, 4.0\) m \(and 1 more such places\)",
    ),
    "live shape": (
        GeometryError,
        {"live": [True, True]},
        r"live as booleans of shape \(nsrc, nrec\) = \(1, 2\), got bool of \(2,\)",
    ),
    "live numbers": (GeometryError, {"live": [[1, 0]]}, r"live as booleans .* got int64 of \(1, 2\)"),
    "all dead": (
        GeometryError,
        {"live": [[False, False]]},
        r"at least 1 live receiver of every shot, got none of shots \[0\]: leave these shots out",
    ),
    "empty": (
        GeometryError,
        {"sources": np.zeros((0, 2))},
        r"at least 1 position in sources, got none: shape \(0, 2\)",
    ),
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
