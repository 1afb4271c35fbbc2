from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.calibration import Coverage
from posterior.uq.coverage import coverage_map_test, coverage_test, sign_flip_test


def _coverage(triple, **kwargs) -> Coverage:
    coverage = Coverage(**kwargs)
    for truth, samples, _ in zip(*triple, strict=True):
        coverage.update(samples, truth)
    return coverage


def test_a_right_posterior_passes(correlated):
    coverage = _coverage(correlated(120, draws=40))
    assert coverage_test(coverage.curve()) > 0.02
    assert not coverage_map_test(coverage.map(), 0.9, pairs=120, num_samples=40).outside.any()


@pytest.mark.parametrize(
    ("kind", "found"), [("narrow", True), ("wide", True), ("shifted", True), ("prior", False)]
)
def test_wrong_widths_and_shifts_are_found_but_not_what_marginals_do_not_show(correlated, kind, found):
    # The prior covers what it claims although it ignores the data: coverage cannot see it.
    p_value = coverage_test(_coverage(correlated(120, draws=40, kind=kind)).curve())
    assert (p_value < 0.005) is found


def test_map_test_finds_the_cells(correlated):
    truths, samples, data = correlated(200)
    samples[..., 0] = samples[..., 0].mean(axis=1, keepdims=True) + 0.4 * (
        samples[..., 0] - samples[..., 0].mean(axis=1, keepdims=True)
    )
    test = coverage_map_test(
        _coverage((truths, samples, data)).map(), 0.9, pairs=200, num_samples=samples.shape[1]
    )
    expected = np.zeros((5, 5), dtype=bool)
    expected[:, 0] = True
    np.testing.assert_array_equal(test.outside, expected)
    assert (test.score[:, 0] < 0.0).all()


def test_sign_flips_hold_their_level_with_columns_that_depend():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 30, 1)) + 0.3 * rng.standard_normal((400, 30, 5))
    rejected = np.mean([sign_flip_test(r, trials=399) <= 0.05 for r in rows])
    # Exact for symmetric rows: binomial error of 400 trials 0.011, three of them.
    assert rejected == pytest.approx(0.05, abs=0.033)
    assert sign_flip_test(rows[0] + 1.0) < 0.01
    assert sign_flip_test(np.zeros((9, 2))) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sign_flip_test(np.ones((7, 2))), r"P >= 8 pairs, got \(7, 2\)"),
        (lambda: sign_flip_test(np.full((9, 2), np.nan)), "finite departures"),
        (lambda: coverage_map_test(np.ones(3), 0.9, pairs=99, num_samples=9), "at least 100 pairs .* got 99"),
        (
            lambda: coverage_map_test(np.full(3, np.nan), 0.9, pairs=100, num_samples=9),
            "at least one cell that counts",
        ),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_curve_without_middle_levels_is_refused(correlated):
    with pytest.raises(ValueError, match=r"a level in 0.05 .. 0.95, got \[0.99\]"):
        coverage_test(_coverage(correlated(10), levels=[0.99]).curve())
