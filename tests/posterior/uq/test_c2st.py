from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.c2st import local_c2st

KINDS = {"right": (1.0, 0.0), "narrow": (0.7, 0.0), "wide": (1.4, 0.0), "shifted": (1.0, 0.3)}


def _problem(pairs: int, kind: str, *, draws: int = 40, seed: int = 0):
    """x | y ~ N(y B, R) in two dimensions with correlation 0.6."""
    rng = np.random.default_rng(seed)
    scale, shift = KINDS.get(kind, (1.0, 0.0))
    root = np.array([[1.0, 0.0], [0.6, 0.8]])
    y = rng.standard_normal((pairs, 2))
    mean = y @ np.array([[0.8, 0.1], [-0.3, 0.5]])
    truth = mean + rng.standard_normal((pairs, 2)) @ root.T
    root_q = np.eye(2) if kind == "miscorrelated" else root
    if kind == "wrong gain":
        mean = 0.7 * mean
    if kind == "wrong on one side":
        shift = np.where(y[:, :1] > 0.0, 1.0, 0.0)[:, None]
    samples = mean[:, None] + shift + scale * rng.standard_normal((pairs, draws, 2)) @ root_q.T
    return truth, samples, y


def test_a_right_posterior_passes_over_all_and_at_each_observation():
    truth, samples, y = _problem(300, "right")
    fitted = local_c2st(truth, samples, y)
    assert fitted.overall.p_value > 0.02
    # Ten dependent p-values: below 0.005 in less than 5 % of seeds.
    assert min(fitted.test(samples[i], y[i]).p_value for i in range(10)) > 0.005


@pytest.mark.parametrize("kind", ["narrow", "wide", "shifted", "miscorrelated", "wrong gain"])
def test_a_wrong_posterior_is_found(kind):
    assert local_c2st(*_problem(300, kind)).overall.p_value < 0.01


def test_the_level_holds_at_every_number_of_pairs():
    p_values = [
        local_c2st(*_problem(40, "right", draws=10, seed=s), trials=99).overall.p_value for s in range(300)
    ]
    # Binomial error of 300 trials: 0.0126, three of them.
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.038)


def test_the_local_test_tells_observations_apart():
    fitted = local_c2st(*_problem(600, "wrong on one side"))
    rng = np.random.default_rng(5)
    right, wrong = np.array([-1.5, 0.0]), np.array([1.5, 0.0])
    root = np.array([[1.0, 0.0], [0.6, 0.8]])

    def draws(y):
        mean = y @ np.array([[0.8, 0.1], [-0.3, 0.5]]) + (y[0] > 0.0)
        return mean + rng.standard_normal((400, 2)) @ root.T

    at_wrong = fitted.test(draws(wrong), wrong)
    assert at_wrong.p_value < 0.005
    assert fitted.test(draws(right), right).statistic < 0.3 * at_wrong.statistic
    # Draws lie too high, so truths are likelier among the low ones.
    shown = draws(wrong)
    probability = fitted.probability(shown, wrong)
    assert np.corrcoef(probability, shown.sum(axis=1))[0, 1] < -0.7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: local_c2st(np.zeros((9, 2)), np.zeros((9, 5, 3)), np.zeros((9, 1))), r"truths \(P, k\)"),
        (lambda: local_c2st(*_problem(9, "right")), "more than 9 pairs for 2 \\+ 2 .* got 9: reduce further"),
        (
            lambda: local_c2st(*_problem(30, "right")).test(np.zeros((4, 3)), np.zeros(2)),
            r"samples \(n, 2\) and a condition \(2,\), got \(4, 3\)",
        ),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
