from __future__ import annotations

import math

import numpy as np
import pytest

from posterior.uq.predictive import Predictive, chi_square_cdf, predictive_test

NOISE = 0.5


def _one_draw_each(triple) -> np.ndarray:
    values = []
    for _, samples, data in zip(*triple, strict=True):
        check = Predictive(data, NOISE)
        check.update(samples[:1])
        values.append(check.result().chi_square[0])
    return np.array(values)


def test_chi_square_law_is_the_exact_one_for_even_degrees():
    # 1 - exp(-x/2) sum_(k < n/2) (x/2)^k / k!
    for degrees in (10, 50, 400):
        for value in np.linspace(0.5 * degrees, 1.6 * degrees, 9):
            terms = [k * math.log(value / 2) - value / 2 - math.lgamma(k + 1) for k in range(degrees // 2)]
            exact = 1.0 - sum(math.exp(t) for t in terms)
            assert float(chi_square_cdf(value, degrees)) == pytest.approx(exact, abs=2e-3)


def test_a_draw_of_the_right_posterior_fits_as_the_truth_does(correlated):
    uniform, p_value = predictive_test(_one_draw_each(correlated(400)), 25)
    assert p_value > 0.02
    assert uniform.shape == (400,)


@pytest.mark.parametrize("kind", ["narrow", "wide", "prior"])
def test_a_draw_of_a_wrong_posterior_does_not(correlated, kind):
    assert predictive_test(_one_draw_each(correlated(400, kind=kind)), 25)[1] < 0.01


def test_one_survey_streamed_in_chunks_with_data_that_do_not_count(correlated):
    truths, samples, data = correlated(1, draws=200)
    where = np.ones((5, 5), dtype=bool)
    where[0] = False
    broken = np.where(where, data[0], 1e6)
    whole, parts = Predictive(data[0], NOISE, where), Predictive(broken, np.full((5, 5), NOISE), where)
    whole.update(samples[0])
    for chunk in np.split(samples[0], 5):
        parts.update(chunk)
    one, two = whole.result(), parts.result()
    np.testing.assert_allclose(one.chi_square, two.chi_square, rtol=1e-12)
    np.testing.assert_allclose(one.snr_db, two.snr_db, rtol=1e-12)
    assert one.num_data == 20
    residual = samples[0][:, where] - data[0][where]
    np.testing.assert_allclose(one.chi_square, (residual**2).mean(axis=1) / NOISE**2, rtol=1e-12)
    np.testing.assert_allclose(one.residual, (data[0] - samples[0].mean(axis=0)) / NOISE, rtol=1e-10)
    assert one.chi_square_mean < one.chi_square.mean()
    assert 0.02 < one.p_value < 0.98
    assert truths.shape == (1, 5, 5)


def test_data_that_the_draws_do_not_explain_or_overfit_show():
    rng = np.random.default_rng(0)
    data = rng.standard_normal(500)
    for offset, low, high in ((2.0, 0.0, 0.001), (0.1, 0.999, 1.0)):
        check = Predictive(data, 1.0)
        check.update(data + offset * rng.standard_normal((20, 500)))
        assert low <= check.result().p_value <= high


def test_a_perfect_fit_has_a_finite_snr():
    check = Predictive(np.ones(4), 1.0)
    check.update(np.ones((1, 4)))
    assert np.isfinite(check.result().snr_db).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Predictive(np.zeros(3), 0.0), "positive noise_std"),
        (lambda: Predictive(np.zeros(3), np.ones(2)), r"a number or \(3,\), got shape \(2,\)"),
        (lambda: Predictive(np.zeros(3), 1.0).result(), "at least 1 prediction, got 0"),
        (lambda: Predictive(np.zeros(3), 1.0).update(np.zeros((2, 4))), r"predictions \(s, \*\(3,\)\)"),
        (lambda: predictive_test([-1.0], 5), "values >= 0"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
