from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.entropy import entropy, entropy_std

GAUSSIAN = 0.5 * np.log(2.0 * np.pi * np.e)


def _draws(kind: str, count: int, cells: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    match kind:
        case "uniform":
            return rng.random((count, cells))
        case "exponential":
            return rng.exponential(size=(count, cells))
        case "two peaks":
            return 0.5 * rng.standard_normal((count, cells)) + 5.0 * rng.choice((-1.0, 1.0), (count, cells))
    return rng.standard_normal((count, cells))


@pytest.mark.parametrize(
    ("kind", "exact", "bias", "spread"),
    [
        ("uniform", 0.0, 0.0, 0.027),
        ("Gaussian", GAUSSIAN, -0.042, 0.056),
        ("exponential", 1.0, -0.026, 0.076),
        # Peaks that do not overlap: the entropy of one, and log 2 for which one it is.
        ("two peaks", GAUSSIAN + np.log(0.5) + np.log(2.0), None, None),
    ],
)
def test_closed_forms_within_the_stated_bias(kind, exact, bias, spread):
    found = entropy(_draws(kind, 200, 4000)) - exact
    if bias is None:  # not in the table: no more than for 100 draws of one peak
        assert abs(found.mean()) < 0.072
        return
    # 4 standard errors of a mean of 4000 cells, and the last digit of the table.
    assert found.mean() == pytest.approx(bias, abs=4.0 * spread / np.sqrt(4000) + 5e-4)
    assert found.std() == pytest.approx(spread, rel=0.06)


@pytest.mark.parametrize("spacing", [1, 3, 10, 49])
def test_uniform_draws_have_no_bias_at_any_gap(spacing):
    found = entropy(_draws("uniform", 50, 20_000, seed=1), spacing=spacing)
    assert abs(found.mean()) < 4.5 * found.std() / np.sqrt(20_000)


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_a_wrong_width_shows(factor):
    # log 0.7 = -0.36 and log 1.3 = 0.26 against a standard deviation of 0.08 of the difference of two cells.
    right, wrong = entropy(_draws("Gaussian", 200, 500)), entropy(factor * _draws("Gaussian", 200, 500, 1))
    assert (np.sign(wrong - right) == np.sign(np.log(factor))).mean() > 0.99


def test_units_and_shapes():
    draws = _draws("exponential", 60, 24).reshape(60, 2, 3, 4)
    found = entropy(draws)
    assert found.shape == (2, 3, 4)
    np.testing.assert_allclose(entropy(3e-8 * draws + 7.0), found + np.log(3e-8), atol=1e-6)
    np.testing.assert_allclose(entropy(draws[::-1].astype(np.float32)), found, atol=1e-3)
    assert entropy(draws[:, 0, 0, 0]).shape == ()


def test_the_std_of_entropy_tells_two_narrow_peaks_from_one_wide():
    wide, narrow = _draws("Gaussian", 2000, 50), _draws("two peaks", 2000, 50)
    np.testing.assert_allclose(entropy_std(entropy(wide)), 1.0, atol=0.08)
    # Two peaks of std 1/2: an entropy of a Gaussian of std 1, where the std of the draws is 5.
    np.testing.assert_allclose(entropy_std(entropy(narrow)), 1.0, atol=0.08)
    assert (narrow.std(axis=0) > 4.9).all()


def test_cells_that_do_not_vary_have_no_entropy():
    draws = _draws("Gaussian", 20, 2)
    draws[:, 1] = 3.0
    assert np.isfinite(entropy(draws)[0])
    assert entropy(draws)[1] == -np.inf


def test_bad_input_says_what_came():
    with pytest.raises(ValueError, match=r"S >= 4 draws, got \(3, 2\)"):
        entropy(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="spacing of 1 to 19 draws, got 20"):
        entropy(np.zeros((20, 2)), spacing=20)
    with pytest.raises(ValueError, match="finite samples"):
        entropy(np.full((20, 2), np.nan))
