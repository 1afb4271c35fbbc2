"""Every test passes a right posterior and finds the flaws it is said to find."""

from __future__ import annotations

import json

import numpy as np
import pytest

from posterior.diagnosis.judge import Judge
from posterior.diagnosis.numbers import beyond, summarise
from posterior.diagnosis.text import failed, verdicts

TESTS = {"coverage", "PIT", "ranks", "TARP", "local C2ST", "std"}


def test_a_right_posterior_is_rejected_no_more_often_than_the_level_says(problem):
    """20 posteriors at 5 %: more than 5 rejections by one test have a probability of 3e-4."""
    found = [failed(summarise(problem.judge("right", pairs=30, seed=seed))) for seed in range(20)]
    counts = {name: sum(name in tests for tests in found) for name in TESTS}
    assert max(counts.values()) <= 5, counts


@pytest.mark.parametrize(
    ("flaw", "found", "blind"),
    [
        ("too narrow", {"coverage", "PIT", "ranks", "TARP", "local C2ST", "std"}, set()),
        ("too wide", {"coverage", "PIT", "ranks", "std"}, set()),
        ("shifted", {"coverage", "PIT", "ranks", "local C2ST"}, set()),
        ("cells independent", {"ranks", "local C2ST"}, {"coverage", "PIT", "std"}),
        ("ignores the data", {"local C2ST", "TARP"}, {"coverage", "PIT", "ranks", "std"}),
    ],
)
def test_flaws_are_found_by_the_tests_that_see_them(problem, flaw, found, blind):
    tests = set(failed(summarise(problem.judge(flaw, pairs=120))))
    assert found <= tests
    assert not blind & tests


def test_sizes_of_error_are_those_put_in(problem):
    right, narrow = (summarise(problem.judge(flaw, pairs=60)) for flaw in ("right", "too narrow"))
    # 60 pairs of about 20 independent cells: two to three standard errors of 0.03.
    assert narrow["calibration_error"]["value"] == pytest.approx(1 / 0.7 - 1, abs=0.08)
    assert right["calibration_error"]["value"] < 0.06
    assert narrow["std_rmse_slope"] == pytest.approx(1 / 0.7, abs=0.08)
    assert right["coverage"]["90"]["share"] == pytest.approx(0.9, abs=0.02)
    assert narrow["z"]["std"] == pytest.approx(right["z"]["std"] / 0.7, rel=0.05)
    assert narrow["scores"]["crps"]["mean"] > right["scores"]["crps"]["mean"]
    json.dumps(right, allow_nan=False)


def test_share_of_z_scores_beyond_two_is_students():
    # Student's t: 4.81 % with 99 degrees, 5.09 % with 59 (tables), 4.55 % for a Gaussian.
    assert beyond(2.0, 100) == pytest.approx(0.0482, abs=2e-4)
    assert beyond(2.0, 100_000) == pytest.approx(0.0455, abs=2e-4)


def test_maps_are_tested_at_the_highest_level_that_the_pairs_afford(problem):
    assert problem.judge("right", pairs=30).map_level == 0.5
    sixty = problem.judge("too narrow", pairs=60)
    assert sixty.map_level == 0.8
    assert sixty.map_test is not None
    assert np.isnan(sixty.coverage_map[0, 0])  # a cell that does not count


def test_sentences_name_what_failed_and_what_was_not_looked_at(problem):
    narrow, right = ({"raw": summarise(problem.judge(flaw))} for flaw in ("too narrow", "right"))
    said = " ".join(verdicts(narrow))
    assert "too narrow" in said
    assert "Std: too small" in said
    watch = {"surveys": 60, "alarms": 30, "rate": 0.05, "checks": ["draws"]}
    assert "not of the kind" in verdicts({**narrow, "watch": watch})[-1]
    assert "no sign" in verdicts({**narrow, "watch": {**watch, "alarms": 4}})[-1]
    said = " ".join(verdicts(right))
    for words in ("no departure", "ignores its data passes", "Finer structure"):
        assert words in said


def test_few_pairs_are_refused(problem):
    with pytest.raises(ValueError, match="at least 20 pairs for a diagnosis, got 19"):
        Judge(np.ones((2, 2), bool), problem.prior(np.random.default_rng(0)), 19)
