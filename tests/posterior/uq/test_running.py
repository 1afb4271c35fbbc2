from __future__ import annotations

import numpy as np
import pytest

from posterior import uq


def test_each_value_is_the_snr_of_the_mean_so_far():
    rng = np.random.default_rng(0)
    truth, where = rng.standard_normal((4, 5)), rng.random((4, 5)) < 0.6
    draws = (truth + rng.standard_normal((7, 4, 5))).astype(np.float32)
    curve = uq.running_snr_db(draws, truth, where)
    expected = [uq.snr_db(draws[:n].mean(axis=0, dtype=np.float64), truth, where) for n in range(1, 8)]
    np.testing.assert_allclose(curve, expected, rtol=1e-10)


def test_a_right_posterior_gains_as_stated():
    rng = np.random.default_rng(1)
    noise = np.zeros(100)
    for _ in range(200):
        truth = rng.standard_normal(50)
        draws = rng.standard_normal((100, 50))  # the posterior is the prior: its mean tells nothing
        noise += 10.0 ** (-0.1 * uq.running_snr_db(draws, truth)) * (truth @ truth)
    # 10000 cells know a mean square to 1.4 %.
    np.testing.assert_allclose(noise / 1e4, 1.0 + 1.0 / np.arange(1, 101), rtol=0.05)


def test_an_exact_draw_has_infinite_snr_and_no_signal_is_refused():
    assert uq.running_snr_db(np.ones((1, 3)), np.ones(3))[0] == np.inf
    with pytest.raises(ValueError, match="truth that does not vanish"):
        uq.running_snr_db(np.ones((2, 3)), np.zeros(3))
