from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.alarms import Alarms, Reference, latent_norm
from posterior.uq.mmd import SummaryMmd, mmd_squared

HELD_OUT, CELLS = 400, 64


def _scores(latents: np.ndarray, mmd: SummaryMmd) -> dict[str, np.ndarray]:
    """Scores of surveys whose network is exact: latents standard normal, log q(y) that of the latents."""
    norm = latent_norm(latents)
    return {
        "latent norm": norm,
        "log q(y)": -0.5 * CELLS * (norm + np.log(2.0 * np.pi)),
        "summary": mmd.score(latents[:, :4]),
    }


@pytest.fixture(scope="module")
def setting() -> tuple[Alarms, SummaryMmd]:
    latents = np.random.default_rng(0).standard_normal((HELD_OUT, CELLS))
    mmd = SummaryMmd(latents[:, :4])
    scores = _scores(latents, mmd) | {"summary": mmd.known_scores()}
    tails = {"latent norm": "both", "log q(y)": "both", "summary": "upper"}
    return Alarms([Reference(name, scores[name], tail) for name, tail in tails.items()]), mmd


def _alarm_rate(setting, latents) -> float:
    alarms, mmd = setting
    scores = _scores(latents, mmd)
    verdicts = [alarms.verdict({k: v[i] for k, v in scores.items()}) for i in range(len(latents))]
    assert all(v.trusted is not any(r.alarm for r in v.readings) for v in verdicts)
    # Thresholds and p-values are one test.
    assert all(r.alarm == (r.p_value <= 0.05 / 3) for v in verdicts for r in v.readings)
    return float(np.mean([not verdict for verdict in verdicts]))


def test_surveys_of_the_training_distribution_rarely_raise_it(setting):
    rate = _alarm_rate(setting, np.random.default_rng(1).standard_normal((1000, CELLS)))
    # At most 5 % but for the chance of these 400 references (0.011) and of 1000 surveys (0.007).
    assert 0.01 < rate < 0.05 + 3 * 0.013


@pytest.mark.parametrize(("scale", "shift"), [(1.5, 0.0), (0.6, 0.0), (1.0, 1.0)])
def test_other_surveys_raise_it(setting, scale, shift):
    latents = shift + scale * np.random.default_rng(2).standard_normal((100, CELLS))
    assert _alarm_rate(setting, latents) >= 0.95


def test_only_the_summary_sees_a_shift_that_keeps_the_norm(setting):
    latents = np.random.default_rng(3).standard_normal((100, CELLS))
    latents[:, :4] += 3.0
    latents *= np.sqrt(CELLS / (latents**2).sum(axis=1, keepdims=True))
    alarms, mmd = setting
    scores = _scores(latents, mmd)
    raised = [
        {r.name for r in alarms.verdict({k: v[i] for k, v in scores.items()}).readings if r.alarm}
        for i in range(100)
    ]
    assert all("latent norm" not in names for names in raised)
    assert np.mean(["summary" in names for names in raised]) > 0.9


def test_the_verdict_is_one_word_and_one_sentence():
    alarms = Alarms(
        [Reference("latent norm", np.linspace(0.9, 1.1, 99)), Reference("chi", np.arange(99.0), "upper")]
    )
    fine = alarms.verdict({"latent norm": 1.0, "chi": 3.0})
    assert fine
    assert str(fine).startswith("No alarm in 2 checks at a rate of 0.05; nearest: ")
    bad = alarms.verdict({"latent norm": 1.7, "chi": float("nan")})
    assert not bad
    assert "latent norm 1.7 outside 0.9 .. 1.1 (p = 0.02); chi nan outside -inf .. 97" in bad.text


def test_p_values_are_conformal():
    reference = Reference("a", np.arange(1.0, 10.0), "upper")
    assert reference.p_value(9.5) == 0.1
    assert reference.p_value(5.0) == 0.6
    assert Reference("a", np.arange(1.0, 10.0), "lower").p_value(0.0) == 0.1
    assert Reference("a", np.arange(1.0, 10.0)).p_value(5.0) == 1.0
    assert reference.thresholds(0.2) == (-np.inf, 8.0)


def test_discrepancy_is_unbiased_and_grows_with_distance():
    rng = np.random.default_rng(0)
    same = [mmd_squared(*rng.standard_normal((2, 20, 3)), bandwidth=2.0) for _ in range(300)]
    assert abs(np.mean(same)) < 4.0 * np.std(same) / np.sqrt(300)
    a, b = rng.standard_normal((2, 400, 3))
    # k of N(0, I) against N(m, I) with h = 2: (2/3)^(3/2) x 2 (1 - exp(-|m|^2 / 12)), |m|^2 = 3.
    expected = 2.0 * (4 / 6) ** 1.5 * (1.0 - np.exp(-3.0 / 12.0))
    assert mmd_squared(a, b + 1.0, bandwidth=2.0) == pytest.approx(expected, abs=0.03)


def test_a_set_of_surveys_is_tested_at_its_level():
    rng = np.random.default_rng(1)
    known = SummaryMmd(rng.standard_normal((60, 4)))
    p_values = [known.test(rng.standard_normal((5, 4)), trials=99, seed=s)[1] for s in range(100)]
    # One set of known summaries for all: a little above the binomial error of 0.022.
    assert np.mean(np.array(p_values) <= 0.05) < 0.05 + 4 * 0.022
    discrepancy, p_value = known.test(rng.standard_normal((5, 4)) + 1.5)
    assert p_value < 0.01
    fresh, old = (rng.standard_normal((n, 4)) for n in (5, 60))
    known = SummaryMmd(old)
    unit = (
        (old - old.mean(axis=0)) / old.std(axis=0, ddof=1),
        (fresh - old.mean(axis=0)) / old.std(axis=0, ddof=1),
    )
    expected = mmd_squared(unit[1], unit[0], bandwidth=known.bandwidth)
    assert known.test(fresh, trials=9)[0] == pytest.approx(expected, abs=1e-12)
    assert discrepancy > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Alarms([]), "references of different names"),
        (lambda: Alarms([Reference("a", np.arange(9.0))]), "at least 39 held-out scores of 'a' .* got 9"),
        (lambda: Reference("a", np.zeros((3, 2))), r"scores of 'a' of shape \(N,\)"),
        (lambda: Reference("a", np.zeros(3), "left"), "got 'left'"),
        (
            lambda: Alarms([Reference("a", np.arange(99.0))]).verdict({"b": 1.0}),
            r"scores of \['a'\], got \['b'\]",
        ),
        (lambda: SummaryMmd(np.zeros((3, 2))), "at least 8 summaries .* got 3"),
        (lambda: SummaryMmd(np.eye(9)).score(np.zeros((2, 3))), r"summaries of shape \(n, 9\), got \(2, 3\)"),
        (lambda: SummaryMmd(np.eye(9)).test(np.zeros((1, 9))), "at least 2 summaries for a test, got 1"),
        (
            lambda: mmd_squared(np.zeros((2, 3)), np.zeros((1, 3)), bandwidth=1.0),
            "at least 2 vectors of one size",
        ),
        (lambda: mmd_squared(np.zeros(3), np.zeros((2, 3)), bandwidth=1.0), r"shape \(n, m\), got \(3,\)"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
