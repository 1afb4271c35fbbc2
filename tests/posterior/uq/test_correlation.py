from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.correlation import CorrelationMap, correlation_map, correlation_noise


def _stationary(count: int, length: float, seed: int = 0) -> np.ndarray:
    """Gaussian draws of 10 x 12 cells with correlation exp(-distance / length)."""
    place = np.stack(np.meshgrid(np.arange(10), np.arange(12), indexing="ij"), axis=-1).reshape(-1, 2)
    distance = np.linalg.norm(place[:, None] - place, axis=-1)
    root = np.linalg.cholesky(np.exp(-distance / length))
    return (np.random.default_rng(seed).standard_normal((count, 120)) @ root.T).reshape(count, 10, 12)


def _expected(length: float) -> np.ndarray:
    return np.exp(-np.hypot(np.arange(10)[:, None] - 4, np.arange(12) - 7) / length)


def test_map_is_the_correlation_in_closed_form_and_tells_a_wrong_one():
    # Fisher: atanh r has a standard error of 1 / sqrt(S - 3) = 0.016; the largest of 119 is below 4.
    right = correlation_map(_stationary(4_000, 2.0), (4, 7))
    away = np.ones((10, 12), dtype=bool)
    away[4, 7] = False
    departure = np.abs(np.arctanh(right[away]) - np.arctanh(_expected(2.0)[away])) * np.sqrt(3_997)
    assert right[4, 7] == pytest.approx(1.0, abs=1e-12)
    assert departure.max() < 4.0
    wrong = correlation_map(_stationary(4_000, 1.4), (4, 7))
    assert (np.abs(np.arctanh(wrong[away]) - np.arctanh(_expected(2.0)[away])) * np.sqrt(3_997)).max() > 8.0


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_streamed_equals_numpy(offset):
    draws = offset + _stationary(57, 2.0)
    values = draws.mean(axis=(1, 2))
    stream = CorrelationMap()
    for part in np.split(np.arange(57), [1, 20]):
        stream.update(draws[part], values[part])
    expected = np.corrcoef(draws.reshape(57, -1).T, values)[-1, :-1].reshape(10, 12)
    # An offset of 1e6 std leaves 1e6 eps = 2e-10 of a std.
    np.testing.assert_allclose(stream.result(), expected, rtol=0, atol=1e-9 if offset else 1e-13)


def test_noise_is_what_unrelated_cells_show():
    draws = np.random.default_rng(1).standard_normal((40, 50_000))
    exceed = np.abs(correlation_map(draws, (0,)))[1:] > correlation_noise(40, 0.95)
    # Standard error 0.001 over cells; Fisher's approximation is good to 0.002 at 40 draws.
    assert exceed.mean() == pytest.approx(0.05, abs=0.006)
    stream = CorrelationMap()
    stream.update(draws[:, :2], draws[:, 0])
    assert stream.noise() == correlation_noise(40)


def test_a_cell_that_does_not_vary_has_no_correlation():
    draws = np.stack([np.arange(5.0), np.ones(5), -np.arange(5.0)], axis=1)
    np.testing.assert_allclose(correlation_map(draws, (0,)), [1.0, np.nan, -1.0], rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: correlation_map(np.zeros((5, 3, 4)), (3, 0)), r"point within a draw of shape \(3, 4\), got"),
        (
            lambda: correlation_map(np.zeros((5, 3, 4)), (1,)),
            r"point within a draw of shape \(3, 4\), got \(1,\)",
        ),
        (lambda: correlation_map(np.zeros((5, 3)), (1,)), "reference that varies"),
        (lambda: CorrelationMap().result(), "at least 3 draws for a correlation, got 0"),
        (
            lambda: CorrelationMap().update(np.zeros((2, 3)), np.zeros(3)),
            r"values of shape \(2,\), one a draw",
        ),
        (lambda: correlation_noise(3), "at least 4 draws .* got 3"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_another_shape_is_refused():
    stream = CorrelationMap()
    stream.update(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match=r"draws of shape \(3,\), like those before, got \(4,\)"):
        stream.update(np.zeros((2, 4)), np.zeros(2))
