from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.sbc import ks_uniform
from posterior.uq.tarp import Tarp, TarpResult, data_reference

IMAGES = np.random.default_rng(9).standard_normal((300, 5, 5))
REFERENCES = ("own draw", "random", "data")


def _result(triple, reference: str, **kwargs) -> TarpResult:
    tarp, rng = Tarp(**kwargs), np.random.default_rng(1)
    for truth, samples, data in zip(*triple, strict=True):
        point = {
            "own draw": lambda: None,
            "random": lambda: IMAGES[rng.integers(300)],
            "data": lambda y=data: data_reference(0.9 * y, IMAGES, rng=rng, spread=0.5),
        }[reference]()
        tarp.update(samples, truth, point)
    return tarp.result()


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    "kwargs", [{}, {"directions": 2}, {"scale": np.linspace(0.5, 2.0, 25).reshape(5, 5)}]
)
def test_a_right_posterior_passes(correlated, reference, kwargs):
    result = _result(correlated(200), reference, **kwargs)
    # Nine p-values at fixed seeds: the smallest is below 0.002 in 2 % of seeds.
    assert result.p_value > 0.002
    levels = np.array([0.2, 0.5, 0.9])
    # Binomial error of 200 pairs, four of them.
    np.testing.assert_allclose(result.expected_coverage(levels), levels, rtol=0, atol=4 * 0.5 / np.sqrt(200))


@pytest.mark.parametrize(
    ("kind", "reference"),
    [("narrow", r) for r in REFERENCES]
    + [("wide", r) for r in REFERENCES]
    + [
        ("shifted", "own draw"),
        ("prior", "data"),
    ],
)
def test_a_wrong_posterior_is_found(correlated, kind, reference):
    result = _result(correlated(300, kind=kind), reference)
    assert result.p_value < 0.01
    assert result.test().outside > 0


def test_references_that_ignore_the_data_cannot_tell_the_prior_from_the_posterior(correlated):
    assert _result(correlated(300, kind="prior"), "random").p_value > 0.01


def test_wrong_correlations_are_found_in_a_reduced_space_only(correlated):
    truths, samples, data = correlated(600, kind="miscorrelated")
    assert _result((truths, samples, data), "own draw").p_value > 0.01
    mean = Tarp()
    for truth, draws in zip(truths, samples, strict=True):
        mean.update(draws.mean(axis=(1, 2))[:, None], truth.mean()[None])
    assert mean.result().p_value < 0.01


def test_credibilities_are_exactly_uniform_at_few_draws(correlated):
    # With 4 draws rank / S has atoms at 0, 1/4, ..; randomised it has not.
    result = _result(correlated(1500, draws=5), "own draw")
    assert result.num_samples == 4
    assert ks_uniform(result.credibility)[1] > 0.01
    assert ks_uniform(result.ranks / 4)[1] < 1e-6


def test_level_over_many_right_posteriors(correlated):
    triple = correlated(6000, draws=20, seed=3)
    credibility = _result(triple, "data").credibility.reshape(100, 60)
    rejected = np.mean([ks_uniform(row)[1] < 0.05 for row in credibility])
    # Binomial error of 100 tests: 0.022, three of them.
    assert rejected == pytest.approx(0.05, abs=0.065)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Tarp().result(), "at least 1 pair for credibilities, got 0"),
        (lambda: Tarp(scale=[1.0, 0.0]), "positive, finite scale"),
        (lambda: Tarp().update(np.zeros((2, 4)), np.zeros(4)), "S >= 3 draws"),
        (
            lambda: Tarp().update(np.zeros((5, 4)), np.zeros(4), np.zeros(3)),
            r"reference point of shape \(4,\), got shape \(3,\)",
        ),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_pairs_must_have_equally_many_draws():
    tarp = Tarp()
    tarp.update(np.zeros((5, 4)), np.zeros(4))
    with pytest.raises(ValueError, match="expected 4 draws, as in the pairs before, got 5"):
        tarp.update(np.zeros((6, 4)), np.zeros(4))
