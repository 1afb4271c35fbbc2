from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.modes import principal_modes


def _structured(count: int, seed: int, *, mixed: bool = False) -> np.ndarray:
    """Draws with two modes of std 3 and 2 over unit noise in 8 x 6 cells; ``mixed``: other modes."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((count, 48))
    basis = np.linalg.qr(np.random.default_rng(7).standard_normal((48, 4)))[0].T
    first, second = basis[2:] if mixed else basis[:2]
    noise += np.sqrt(8.0) * rng.standard_normal((count, 1)) * first
    noise += np.sqrt(3.0) * rng.standard_normal((count, 1)) * second
    return (5.0 + noise).reshape(count, 8, 6)


# Variances along the modes: 9 and 4 of 48 + 8 + 3 = 59. With 4000 draws eigenvalues are off by sqrt(2/4000)
# = 2.2 %; four of them.
def test_modes_are_those_of_the_covariance():
    modes = principal_modes(_structured(4_000, 0), 2)
    np.testing.assert_allclose(modes.explained, np.array([9.0, 4.0]) / 59.0, rtol=0.09)
    basis = np.linalg.qr(np.random.default_rng(7).standard_normal((48, 4)))[0].T
    overlap = np.abs(modes.images.reshape(2, 48) @ basis[:2].T)
    # Eigenvector error: sum over others of l l' / (l - l')^2 / S = 47 x 4 / 9 / 4000 = 0.5 % of the square.
    assert (np.diagonal(overlap) > 0.99).all()


@pytest.mark.parametrize("count", [5, 30, 90])
def test_modes_agree_with_a_singular_value_decomposition(count):
    draws = _structured(count, 1)
    where = np.ones((8, 6), dtype=bool)
    where[:, 0] = False
    modes = principal_modes(draws, 4, where)
    centred = (draws - draws.mean(axis=0))[:, where]
    _, singular, right = np.linalg.svd(centred, full_matrices=False)
    # The Gram matrix squares: 1e-16 of the largest variance, against 1 / 100 of it.
    np.testing.assert_allclose(modes.variance, singular[:4] ** 2 / (count - 1), rtol=1e-11)
    assert modes.total_variance == pytest.approx((singular**2).sum() / (count - 1), rel=1e-12)
    flat = modes.images[:, where]
    np.testing.assert_allclose(np.abs(np.sum(flat * right[:4], axis=1)), np.ones(4), atol=1e-9)
    np.testing.assert_allclose(flat @ flat.T, np.eye(4), atol=1e-10)
    assert (modes.images[:, ~where] == 0.0).all()
    scores = modes.scores(draws)
    np.testing.assert_allclose(scores, centred @ flat.T, atol=1e-11)
    np.testing.assert_allclose(scores.var(axis=0, ddof=1), modes.variance, rtol=1e-11)


def test_variance_explained_of_other_draws_tells_right_from_wrong():
    modes = principal_modes(_structured(400, 2), 2)
    right, wrong = modes.explains(_structured(4_000, 3)), modes.explains(_structured(4_000, 4, mixed=True))
    # The first mode, 9/59 = 0.153, is found with 400 draws to 1 - 47 x 9/64/400 = 98 % of its square.
    assert right[0] == pytest.approx(9.0 / 59.0, abs=0.015)
    # Along a direction without structure 1 / 59 = 0.017, and a little more by chance overlap.
    assert wrong.max() < 0.03


def test_noise_explains_itself_but_no_other_draws():
    rng = np.random.default_rng(5)
    modes = principal_modes(rng.standard_normal((50, 20, 20)), 1)
    assert modes.explained[0] > 1.0 / 49.0
    # One direction of 400 holds 1/400 of the variance, within sqrt(2/200) of itself, four of them.
    assert modes.explains(rng.standard_normal((200, 20, 20)))[0] == pytest.approx(1 / 400, rel=0.4)


def test_sign_is_fixed_and_precision_single_draws_are_summed_in_double():
    draws = _structured(60, 6)
    modes, mirrored = principal_modes(draws, 3), principal_modes(10.0 - draws, 3)
    np.testing.assert_allclose(modes.images, mirrored.images, atol=1e-10)
    single = principal_modes(draws.astype(np.float32), 3)
    # Rounding of draws near 5 to 3e-7, against gaps of variance of order 1 over unit vectors.
    np.testing.assert_allclose(single.images, modes.images, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: principal_modes(np.zeros((5, 3)), 4),
            "between 1 and 3 modes from 5 draws of 3 cells, got 4",
        ),
        (lambda: principal_modes(np.zeros((5, 3)), 1), "vary in at least 1 directions"),
        (lambda: principal_modes(np.outer(np.arange(5), [1.0, 2.0]), 2), "vary in at least 2 directions"),
        (
            lambda: principal_modes(np.eye(3), 1).scores(np.zeros((2, 4))),
            r"shape \(S, \*\(3,\)\), got \(2, 4\)",
        ),
        (lambda: principal_modes(np.eye(3), 1).explains(np.zeros((2, 3))), "draws that vary"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
