from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.highest_density import highest_density_interval
from posterior.uq.intervals import credible_interval


def test_it_is_the_shortest_interval_between_draws_of_its_count():
    draws = np.random.default_rng(0).standard_exponential((40, 3, 4))
    lower, upper = highest_density_interval(draws, 0.8)
    # 0.8 x 41 = 32.8: 33 gaps, 34 draws.
    np.testing.assert_array_equal(((draws >= lower) & (draws <= upper)).sum(axis=0), np.full((3, 4), 34))
    ordered = np.sort(draws, axis=0)
    for start in range(40 - 33):
        assert (upper - lower <= ordered[start + 33] - ordered[start]).all()


def test_of_a_skewed_law_it_is_the_one_in_closed_form():
    # Exponential: [0, -log(1 - 0.8)]. 2e5 draws: standard error of the upper end at most 0.01 by the cube
    # root law of shortest intervals (a few times 2e5^(-1/3) = 0.017 of a std).
    lower, upper = highest_density_interval(np.random.default_rng(1).standard_exponential((200_000, 1)), 0.8)
    assert lower[0] == pytest.approx(0.0, abs=0.005)
    assert upper[0] == pytest.approx(-np.log(0.2), abs=0.03)
    equal = credible_interval(np.random.default_rng(1).standard_exponential((200_000, 1)), 0.8)
    assert (equal[1] - equal[0])[0] > 1.2 * (upper - lower)[0]


# The right posterior undercovers by the 0.015 stated in the docstring; binomial standard error over 2560
# cells 0.007 at most; four of them. Narrow, wide and shifted: as for equal-tailed intervals, 0.676, 0.9915,
# 0.818.
@pytest.mark.parametrize(
    ("kind", "expected"), [("right", 0.885), ("narrow", 0.662), ("wide", 0.989), ("shifted", 0.80)]
)
def test_coverage_tells_right_from_wrong(gaussian, kind, expected):
    held = []
    for draws, truth in gaussian(40, draws=100, kind=kind):
        lower, upper = highest_density_interval(draws, 0.9)
        held.append(((truth >= lower) & (truth <= upper)).mean())
    assert np.mean(held) == pytest.approx(expected, abs=0.04)


def test_too_few_draws_are_refused():
    highest_density_interval(np.arange(19.0), 0.9)
    with pytest.raises(ValueError, match=r"at least 19 draws for a 0.9 interval, got 18"):
        highest_density_interval(np.arange(18.0), 0.9)
