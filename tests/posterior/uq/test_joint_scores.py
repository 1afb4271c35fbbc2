from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import digamma

from posterior.uq.joint_scores import energy_score, variogram_score
from posterior.uq.log_scores import _digamma, gaussian_log_score, log_score
from posterior.uq.scores import crps, winkler_score

SCORES = {
    "crps": lambda d, t: crps(d, t).mean(),
    "winkler": lambda d, t: winkler_score(d, t).mean(),
    "gaussian": lambda d, t: gaussian_log_score(d, t).mean(),
    "energy": energy_score,
    "variogram": variogram_score,
}
PAIRS = 100
KINDS = {
    "narrow": (0.7, 0.0, 2.0),
    "wide": (1.4, 0.0, 2.0),
    "shifted": (1.0, 0.5, 2.0),
    "uncorrelated": (1.0, 0.0, 0.01),
}


def _root(length: float) -> np.ndarray:
    place = np.stack(np.meshgrid(np.arange(8), np.arange(8), indexing="ij"), axis=-1).reshape(-1, 2)
    return np.linalg.cholesky(np.exp(-np.linalg.norm(place[:, None] - place, axis=-1) / length))


def _scores(kind: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """Scores of 100 pairs: truth and right draws N(0, C), C with a correlation length of two cells."""
    scale, shift, length = kind
    rng = np.random.default_rng(0)
    right, given = _root(2.0), _root(length)
    found: dict[str, list[float]] = {name: [] for name in SCORES}
    for _ in range(PAIRS):
        truth = (right @ rng.standard_normal(64)).reshape(8, 8)
        draws = (shift + scale * rng.standard_normal((99, 64)) @ given.T).reshape(99, 8, 8)
        for name, score in SCORES.items():
            found[name].append(float(score(draws, truth)))
    return {name: np.array(values) for name, values in found.items()}


@pytest.fixture(scope="module")
def right() -> dict[str, np.ndarray]:
    return _scores((1.0, 0.0, 2.0))


# Loss of the wrong posterior over the right one in standard errors of the paired difference, 100 pairs, as
# measured (99 draws): what each score can and cannot see.
BLIND = {
    "crps": {"uncorrelated"},
    "winkler": {"uncorrelated"},
    "gaussian": {"uncorrelated"},
    "energy": set(),
    "variogram": {"shifted"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_scores_prefer_the_right_posterior_where_they_can_see(right, kind):
    wrong = _scores(KINDS[kind])
    for name in SCORES:
        loss = wrong[name] - right[name]
        errors = loss.mean() / (loss.std(ddof=1) / math.sqrt(PAIRS))
        # Proper scores: never better than the right one but by chance.
        assert abs(errors) < 3.0 if kind in BLIND[name] else errors > 2.0, (name, errors)


@pytest.mark.parametrize("fair", [True, False])
def test_energy_score_matches_its_definition(fair):
    rng = np.random.default_rng(1)
    draws, truth = 1e3 + rng.standard_normal((6, 3, 4)), 1e3 + rng.standard_normal((3, 4))
    where = rng.random((3, 4)) < 0.6
    offset = draws[:, where]
    norm = math.sqrt(where.sum())
    first = np.linalg.norm(offset - truth[where], axis=1).mean() / norm
    pairs = np.linalg.norm(offset[:, None] - offset, axis=-1).sum() / norm
    expected = first - pairs / (2 * 6 * (5 if fair else 6))
    # Squared distances by products lose 1e-16 of squared norms of order 1.
    assert energy_score(draws, truth, fair=fair, where=where) == pytest.approx(expected, abs=1e-13)
    one = energy_score(draws[:, 0, :1], truth[0, :1], fair=fair)
    assert one == pytest.approx(float(crps(draws[:, 0, 0], truth[0, 0], fair=fair)), abs=1e-12)


@pytest.mark.parametrize("fair", [True, False])
def test_variogram_score_matches_its_definition(fair):
    rng = np.random.default_rng(2)
    draws, truth = rng.standard_normal((5, 4, 6)), rng.standard_normal((4, 6))
    where = rng.random((4, 6)) < 0.8
    expected = []
    for dx, dz in ((1, -2), (0, 3), (9, 0)):
        for x in range(4):
            for z in range(6):
                if 0 <= x + dx < 4 and 0 <= z + dz < 6 and where[x, z] and where[x + dx, z + dz]:
                    roots = np.sqrt(np.abs(draws[:, x, z] - draws[:, x + dx, z + dz]))
                    value = (math.sqrt(abs(truth[x, z] - truth[x + dx, z + dz])) - roots.mean()) ** 2
                    expected.append(value - fair * roots.var(ddof=1) / 5)
    found = variogram_score(draws, truth, lags=[(1, -2), (0, 3), (9, 0)], fair=fair, where=where)
    assert found == pytest.approx(np.mean(expected), abs=1e-13)


@pytest.mark.parametrize("name", ["energy", "variogram", "gaussian"])
def test_fair_scores_do_not_depend_on_the_number_of_draws(name):
    score = {"energy": energy_score, "variogram": variogram_score}.get(
        name, lambda d, t, fair=True: gaussian_log_score(d, t, fair=fair).mean()
    )
    rng = np.random.default_rng(3)
    means, errors, unfair = [], [], []
    for count in (6, 60):
        values = []
        for _ in range(1_000):
            draws, truth = rng.standard_normal((count, 12)), rng.standard_normal(12)
            values.append([score(draws, truth), score(draws, truth, fair=False)])
        means.append(np.mean(values, axis=0)[0])
        unfair.append(np.mean(values, axis=0)[1])
        errors.append(np.std(values, axis=0)[0] / math.sqrt(1_000))
    error = math.hypot(*errors)
    assert abs(means[0] - means[1]) < 4.0 * error
    assert unfair[0] - unfair[1] > 4.0 * error
    if name == "gaussian":  # entropy of the standard normal
        assert means[1] == pytest.approx(0.5 * math.log(2.0 * math.pi * math.e), abs=4.0 * errors[1])


def test_winkler_score_matches_its_definition():
    draws = np.arange(1.0, 20.0)[:, None] * np.ones(3)  # 90 % interval [1, 19]
    np.testing.assert_allclose(winkler_score(draws, [0.5, 5.0, 20.0]), [28.0, 18.0, 38.0], rtol=1e-12)


def test_log_score_of_given_densities_is_the_mean_over_pairs():
    # x ~ N(0, 1) of 16 cells: -log q / n has the mean entropy and a std of sqrt(1/2/16) over pairs.
    x = np.random.default_rng(4).standard_normal((400, 16))
    right = log_score(-0.5 * (x**2).sum(axis=1) - 8.0 * math.log(2.0 * math.pi), 16)
    wrong = log_score(
        -0.5 * ((x / 0.7) ** 2).sum(axis=1) - 16.0 * math.log(0.7) - 8.0 * math.log(2 * math.pi), 16
    )
    assert right.value == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=4.0 * right.standard_error)
    assert right.standard_error == pytest.approx(math.sqrt(0.5 / 16 / 400), rel=0.15)
    assert wrong.value - right.value > 4.0 * right.standard_error
    assert "nats a cell (400 pairs)" in str(right)
    assert math.isnan(log_score([-1.0], 1).standard_error)


def test_digamma_is_that_of_scipy():
    for x in (0.5, 1.0, 1.5, 9.5, 40.0, 1e4):
        assert _digamma(x) == pytest.approx(float(digamma(x)), abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: energy_score(np.zeros((3, 4)), np.zeros(5)), r"truth of shape \(4,\)"),
        (
            lambda: variogram_score(np.zeros((3, 4)), np.zeros(4), lags=[(0,)]),
            "lags of 1 integers, not all 0",
        ),
        (lambda: variogram_score(np.zeros((3, 4)), np.zeros(4), lags=[(1, 0)]), "lags of 1 integers"),
        (lambda: variogram_score(np.zeros((3, 4)), np.zeros(4), lags=[(7,)]), "cells that lie a lag apart"),
        (lambda: gaussian_log_score(np.zeros((5, 2)), np.zeros(2)), "vary in every cell, got 2 that do not"),
        (lambda: gaussian_log_score(np.zeros((3, 2)), np.zeros(2)), "S >= 4 draws"),
        (lambda: log_score([[0.0]], 3), r"shape \(P,\) and cells >= 1, got \(1, 1\) and 3"),
        (lambda: log_score([np.nan], 3), "finite samples"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
