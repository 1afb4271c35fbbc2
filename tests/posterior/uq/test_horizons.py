from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from posterior.uq.horizons import Horizon, Picker
from posterior.uq.moments import quantiles

DEPTH = np.arange(60) * 10.0


def _steps(tops: np.ndarray) -> np.ndarray:
    """Velocity that rises linearly from 2000 to 4000 m/s within 40 m about a depth, (..., nz)."""
    return 3000.0 + np.clip((DEPTH - tops[..., None]) * 50.0, -1000.0, 1000.0)


def _ricker(tops: np.ndarray, amplitude: np.ndarray | float = 1.0) -> np.ndarray:
    argument = (np.pi * 0.008 * (DEPTH - tops[..., None])) ** 2
    return np.asarray(amplitude)[..., None] * (1.0 - 2.0 * argument) * np.exp(-argument)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_linear_crossing_is_found_to_the_last_digit(shape, sign):
    tops = np.random.default_rng(0).uniform(100.0, 400.0, (7, *shape))
    picker = Picker("rise" if sign > 0 else "fall", sign * 3000.0, top=0.0, base=600.0)
    np.testing.assert_allclose(picker.pick(sign * _steps(tops), DEPTH), tops, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["peak", "trough"])
def test_a_reflector_is_found_between_cells(kind):
    tops = np.random.default_rng(1).uniform(100.0, 400.0, (50, 3))
    sign = 1.0 if kind == "peak" else -1.0
    found = Picker(kind, 0.5 * sign, top=0.0, base=600.0).pick(sign * _ricker(tops), DEPTH)
    # A parabola through three samples of a Ricker errs by (pi f h)^2 / 6-ish of a cell: 1 % of 10 m; cells
    # alone would err by up to 5 m.
    np.testing.assert_allclose(found, tops, rtol=0, atol=0.15)


def test_a_parabola_on_unequal_steps_is_exact():
    depth = np.array([0.0, 10.0, 25.0, 60.0, 70.0])
    trace = 5.0 - 0.01 * (depth - 28.0) ** 2
    assert Picker("peak", 0.0, 0.0, 70.0).pick(trace[None], depth)[0] == pytest.approx(28.0, abs=1e-10)


def test_only_the_window_of_each_trace_is_searched():
    tops = np.array([[100.0, 100.0], [300.0, 300.0]])
    trace = _steps(tops)
    picker = Picker("rise", 3000.0, top=np.array([50.0, 250.0]), base=np.array([200.0, 400.0]))
    np.testing.assert_array_equal(np.isfinite(picker.pick(trace, DEPTH)), [[True, False], [False, True]])
    # The flank of a peak outside the window is not an interface.
    assert np.isnan(Picker("peak", 0.1, 110.0, 200.0).pick(_ricker(np.array([100.0])), DEPTH)).all()


def test_depth_has_the_gaussian_law_it_was_drawn_from():
    # 4000 draws with std 15 m: errors 0.24 m of the mean, 0.17 m of std, 0.5 m of the 5 % quantile; four.
    picks = Picker("rise", 3000.0, 0.0, 600.0).pick(
        _steps(250.0 + 15.0 * np.random.default_rng(2).standard_normal((4_000, 2))), DEPTH
    )
    horizon = Horizon(picks)
    np.testing.assert_array_equal(horizon.presence, [1.0, 1.0])
    np.testing.assert_allclose(horizon.mean, 250.0, atol=0.96)
    np.testing.assert_allclose(horizon.std, 15.0, atol=0.68)
    expected = 250.0 + 15.0 * np.array([NormalDist().inv_cdf(p) for p in (0.05, 0.5, 0.95)])
    np.testing.assert_allclose(horizon.quantiles([0.05, 0.5, 0.95])[:, 0], expected, atol=2.0)
    np.testing.assert_allclose(horizon.quantiles(0.3), quantiles(picks, 0.3), atol=1e-9)
    density = horizon.density(np.arange(150.0, 351.0, 10.0))
    np.testing.assert_allclose((density * 10.0).sum(axis=0), [1.0, 1.0])
    peak = (2.0 * NormalDist().cdf(10.0 / 15.0) - 1.0) / 20.0
    # Binomial: sqrt(0.25 x 0.75 / 4000) / 10 m = 7e-4; four of them.
    assert density[9:11, 0].mean() == pytest.approx(peak, abs=2e-3)


# 300 horizons, S = 99: the 90 % interval of depth holds the true depth in 0.90, 2 Phi(0.6 x 1.645) - 1 =
# 0.676, Phi(0.945) - Phi(-2.345) = 0.818. Binomial standard error 0.017, 0.027, 0.022; four of them.
@pytest.mark.parametrize(
    ("scale", "shift", "expected"), [(1.0, 0.0, 0.9), (0.6, 0.0, 0.676), (1.0, 0.7, 0.818)]
)
def test_depth_intervals_tell_right_from_wrong(scale, shift, expected):
    rng = np.random.default_rng(3)
    truth = 250.0 + 15.0 * rng.standard_normal(300)
    tops = 250.0 + 15.0 * (shift + scale * rng.standard_normal((99, 300)))
    lower, upper = Horizon(Picker("rise", 3000.0, 0.0, 600.0).pick(_steps(tops), DEPTH)).quantiles(
        [0.05, 0.95]
    )
    assert ((truth >= lower) & (truth <= upper)).mean() == pytest.approx(expected, abs=0.1)


def test_presence_and_what_is_known_where_it_is_rare():
    amplitude = np.ones((20, 3))
    amplitude[4:, 1] = 0.1  # there in 4 of 20 draws
    amplitude[:, 2] = 0.1  # never
    tops = 200.0 + np.arange(20.0)[:, None] + np.zeros((20, 3))
    picks = [
        Picker("peak", 0.5, 0.0, 600.0).pick(_ricker(t, a), DEPTH)
        for t, a in ((tops[:7], amplitude[:7]), (tops[7:], amplitude[7:]))
    ]
    horizon = Horizon(np.concatenate(picks))
    np.testing.assert_array_equal(horizon.presence, [1.0, 0.2, 0.0])
    assert horizon.mean[1] == pytest.approx(201.5, abs=0.15)
    assert horizon.std[1] == pytest.approx(np.std([0, 1, 2, 3], ddof=1), abs=0.1)
    assert np.isnan([horizon.mean[2], horizon.std[2]]).all()
    found = horizon.quantiles([0.05, 0.2, 0.5])
    # 4 picks know quantiles from 1/5 on, 20 from 1/21 on.
    np.testing.assert_array_equal(
        np.isnan(found), [[False, True, True], [False, False, True], [False, False, True]]
    )
    assert found[1, 1] == pytest.approx(200.0, abs=0.15)
    share = (horizon.density([0.0, 300.0, 590.0]) * np.array([300.0, 290.0])[:, None]).sum(axis=0)
    np.testing.assert_allclose(share, horizon.presence, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Picker("top", 0.0, 0.0, 1.0), r"kind among \['fall', 'peak', 'rise', 'trough'\], got 'top'"),
        (lambda: Picker("peak", np.nan, 0.0, 1.0), "finite threshold, got nan"),
        (lambda: Picker("rise", 0.0, 0.0, 9.0).pick(np.zeros((2, 4)), np.zeros(4)), "depths that increase"),
        (
            lambda: Picker("rise", 0.0, 0.0, 9.0).pick(np.zeros((2, 4)), np.zeros(5)),
            r"shape \(4,\), got \(5,\)",
        ),
        (
            lambda: Picker("peak", 0.0, 0.0, 15.0).pick(np.zeros((2, 60)), DEPTH),
            "at least 3 cells on every trace, got 2",
        ),
        (
            lambda: Picker("peak", 0.0, np.zeros(3), 99.0).pick(np.zeros((2, 4, 60)), DEPTH),
            r"one number or of shape \(4,\), got \(3,\)",
        ),
        (lambda: Horizon(np.zeros((1, 3))), "at least 2 draws"),
        (lambda: Horizon(np.zeros((2, 3))).density([1.0, 0.0]), "increasing edges"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
