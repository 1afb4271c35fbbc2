from __future__ import annotations

import math

import numpy as np
import pytest

from posterior.uq import SbcRanks, image_functionals, ks_uniform, rank_test


def _ranks(pairs, **kwargs) -> SbcRanks:
    sbc = SbcRanks(**kwargs)
    for draws, truth in pairs:
        sbc.update(draws, truth)
    return sbc


def test_functionals_are_what_their_names_say():
    where = np.ones((4, 6), dtype=bool)
    where[0] = False
    stack = np.random.default_rng(0).standard_normal((2, 3, 4, 6))
    values = image_functionals(stack, where)
    scored = stack[..., 1:, :]
    assert all(value.shape == (2, 3) for value in values.values())
    np.testing.assert_allclose(values["mean"], scored.mean(axis=(-1, -2)), rtol=1e-13)
    np.testing.assert_allclose(values["energy"], (scored**2).mean(axis=(-1, -2)), rtol=1e-13)
    np.testing.assert_allclose(values["block (0, 1)"], stack[..., 1, 3:].mean(axis=-1), rtol=1e-13)
    np.testing.assert_array_equal(values["middle cell"], stack[..., 2, 3])
    where[:, :3] = False
    kept = {"mean", "energy", "middle cell", "block (0, 1)", "block (1, 1)"}
    assert set(image_functionals(stack, where)) == kept


@pytest.mark.parametrize("shape", [(16,), (4, 4), (4, 4, 2)])
def test_a_right_posterior_passes_on_every_functional(gaussian, shape):
    sbc = _ranks(gaussian(200, draws=39, shape=shape))
    for name, ranks in sbc.ranks().items():
        assert ranks.shape == (200,)
        for cumulative in (False, True):
            # Fixed seed: about twenty p-values, of which the smallest is expected near 0.05.
            assert rank_test(ranks, 39, cumulative=cumulative).p_value > 0.005, name


# A 40 % narrow or 60 % wide std, or a shift of every cell by 0.7 std, in 200 pairs.
@pytest.mark.parametrize(
    ("kind", "name"), [("narrow", "mean"), ("narrow", "middle cell"), ("wide", "energy"), ("shifted", "mean")]
)
@pytest.mark.parametrize("cumulative", [False, True])
def test_a_wrong_posterior_is_rejected(gaussian, kind, name, cumulative):
    sbc = _ranks(gaussian(200, draws=39, shape=(4, 4), kind=kind))
    test = rank_test(sbc.ranks()[name], 39, cumulative=cumulative)
    assert test.p_value < 0.005
    assert test.outside > 0


def test_cells_right_one_by_one_but_tied_together_are_caught_by_the_mean():
    # Truth with one common value, draws with independent cells of the same marginals.
    rng = np.random.default_rng(0)
    pairs = [(rng.standard_normal((39, 4, 4)), np.full((4, 4), rng.standard_normal())) for _ in range(100)]
    ranks = _ranks(pairs).ranks()
    assert rank_test(ranks["middle cell"], 39, cumulative=True).p_value > 0.005
    assert rank_test(ranks["mean"], 39, cumulative=True).p_value < 0.001


@pytest.mark.parametrize("cumulative", [False, True])
@pytest.mark.parametrize(("pairs", "count"), [(60, 200), (300, 99)])
def test_the_band_holds_all_counts_at_its_level(cumulative, pairs, count):
    rng = np.random.default_rng(5)
    ranks = rng.integers(0, count + 1, size=(300, pairs))
    tests = [rank_test(row, count, cumulative=cumulative) for row in ranks]
    rejected = np.mean([test.outside > 0 for test in tests])
    # At most 5 % by construction (counts are discrete); 300 trials: standard error 0.0126, three of them.
    assert rejected <= 0.05 + 0.038
    # Band and p-value are one test, but for p-values within simulation error of the level.
    clear = [test for test in tests if abs(test.p_value - 0.05) > 2e-3]
    assert all((test.outside > 0) == (test.p_value < 0.05) for test in clear)
    # p-values are not too small: at most uniform, within the binomial error of 300 trials.
    p_values = np.array([test.p_value for test in tests])
    assert np.mean(p_values <= 0.2) <= 0.2 + 3 * 0.023


@pytest.mark.parametrize(("pairs", "power"), [(60, 0.73), (300, 1.0)])
def test_the_ecdf_finds_a_std_thirty_percent_too_small(pairs, power):
    rng = np.random.default_rng(6)
    below = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)))
    # The rank of x among 200 draws of N(0, 0.7) is binomial with the probability of a draw below x.
    ranks = rng.binomial(200, below(rng.standard_normal((200, pairs)) / 0.7))
    found = np.mean([rank_test(row, 200, cumulative=True).p_value < 0.05 for row in ranks])
    # Four binomial standard errors of 200 trials.
    assert found == pytest.approx(power, abs=0.13 if power < 1.0 else 0.02)


def test_bins_that_do_not_divide_the_ranks_have_their_own_expectation():
    test = rank_test(np.arange(12), 11, bins=5)
    assert test.counts.sum() == 12
    np.testing.assert_array_equal(test.counts, test.expected)
    assert len(set(test.expected)) == 2
    assert test.p_value > 0.5


def test_kolmogorov_series_gives_tabulated_points():
    # D sqrt(n) = 1.3581 is the 5 % point as n grows; n = 20: D = 0.29408 (Smirnov's table).
    for count, distance, p_value in ((1_000_000, 1.3581e-3, 0.05), (20, 0.29408, 0.05), (20, 0.35241, 0.01)):
        values = np.clip((np.arange(count) + 0.5) / count, 0.0, 1.0)
        shifted = np.clip(values - (distance - 0.5 / count), 0.0, 1.0)
        found, p = ks_uniform(shifted)
        assert found == pytest.approx(distance, rel=1e-9)
        assert p == pytest.approx(p_value, rel=0.03)


def test_ks_tells_uniform_from_other():
    values = np.random.default_rng(0).uniform(size=500)
    assert ks_uniform(values)[1] > 0.01
    assert ks_uniform(values**1.5)[1] < 1e-4
    assert ks_uniform(0.5 + 0.6 * (values - 0.5))[1] < 1e-4
    assert ks_uniform((np.arange(1000) + 0.5) / 1000)[1] == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SbcRanks().ranks(), "at least 1 pair for ranks, got 0"),
        (lambda: rank_test([0, 5], 4), r"within 0..4, got \[0, 5\]"),
        (lambda: rank_test(np.arange(5), 4, bins=6), "between 2 and 5 bins for 4 draws, got 6"),
        (lambda: ks_uniform([0.5, 1.5]), r"values in \[0, 1\]"),
        (lambda: image_functionals(np.zeros((2, 3)), np.ones((3, 3))), r"images of shape .* got \(2, 3\)"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_pairs_must_have_equally_many_draws():
    sbc = SbcRanks()
    sbc.update(np.zeros((5, 4)), np.zeros(4))
    with pytest.raises(ValueError, match=r"expected 5 draws .* got 6 draws"):
        sbc.update(np.zeros((6, 4)), np.zeros(4))
