from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from posterior.uq.bimodality import Bimodality, _two_over_one, bimodality

CELLS = 2_000


def _two(count: int, apart: float, share: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.standard_normal((count, CELLS)) + apart * (rng.random((count, CELLS)) < share)


def test_excess_mass_is_the_best_of_all_pairs_of_intervals():
    rng = np.random.default_rng(0)
    for _ in range(20):
        places, density = np.sort(rng.random(9)), rng.uniform(0.2, 3.0)
        ends = list(combinations_with_replacement(range(9), 2))
        worth = [(b - a + 1) / 9 - density * (places[b] - places[a]) for a, b in ends]
        pairs = [
            first + second
            for (_, b), first in zip(ends, worth, strict=True)
            for (c, _), second in zip(ends, worth, strict=True)
            if b < c
        ]
        found = _two_over_one(density * np.diff(places)[:, None], 1 / 9)[0]
        assert found == pytest.approx(max(max(pairs), max(worth)) - max(worth), abs=1e-13)


# Uniform cells are the null: 5 % of 2000, binomial standard error 0.005, plus 0.003 for the null's own 4999
# draws; four of them. Other laws with one mode must stay below it.
def test_one_mode_keeps_the_level():
    rng = np.random.default_rng(2)
    assert bimodality(rng.random((200, CELLS))).fraction(0.05) == pytest.approx(0.05, abs=0.024)
    one = {
        "gaussian": rng.standard_normal((200, CELLS)),
        "exponential": rng.standard_exponential((200, CELLS)),
        "heavy tails": rng.standard_t(3, (200, CELLS)),
        "2 std apart": _two(200, 2.0),
    }
    assert {name: bimodality(draws).fraction(0.05) < 0.03 for name, draws in one.items()} == dict.fromkeys(
        one, True
    )


# The table of the docstring at 200 draws; binomial standard error 0.011 at most; four of them.
@pytest.mark.parametrize(
    ("apart", "share", "power"), [(3.0, 0.5, 0.23), (4.0, 0.5, 0.96), (5.0, 0.5, 1.0), (5.0, 0.2, 0.31)]
)
def test_two_modes_are_found_with_the_power_stated(apart, share, power):
    assert bimodality(_two(200, apart, share)).fraction(0.05) == pytest.approx(power, abs=0.045)


def test_unit_shape_and_level():
    draws = _two(60, 10.0)[:, :30].reshape(60, 5, 6)
    found, scaled = bimodality(draws), bimodality(2.0**-40 * draws)
    assert isinstance(found, Bimodality)
    assert found.p_value.shape == (5, 6)
    assert found.num_samples == 60
    np.testing.assert_allclose(scaled.excess, found.excess, atol=1e-12)
    assert found.cells(0.05).all()
    assert bimodality(np.ones((20, 3))).p_value.tolist() == [1.0] * 3


def test_a_cell_with_most_draws_at_one_value_is_judged_by_its_range():
    draws = np.zeros((100, 1))
    draws[:10] = 1.0
    draws[10:20] = 0.99
    assert np.isfinite(bimodality(draws).excess).all()


def test_too_few_draws_are_refused():
    with pytest.raises(ValueError, match="S >= 10 draws"):
        bimodality(np.zeros((9, 3)))
