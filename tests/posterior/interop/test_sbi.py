"""The sbi adapter: closed forms without sbi, and sbi's own diagnostics where it is installed.

The true posterior of cell j is N(y_j / 2, 1 / 2) for theta ~ N(0, 1), y = theta + N(0, 1).
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from posterior.interop.sbi import SbiPosterior, SbiShapes

SHAPES = SbiShapes(x=(1, 2, 1), y=(1, 2, 1), mean=(3e-8,), std=(2e-8,))


class Normals:
    """The posterior above in physical units, x = 3e-8 + 2e-8 theta; ``width`` and ``shift`` make it wrong."""

    def __init__(self, width: float = 1.0, shift: float = 0.0) -> None:
        self.std, self.shift = width * math.sqrt(0.5), shift

    def sample(self, num_samples, y, *, seed, batch_size):
        z = np.random.default_rng(seed).normal(size=(num_samples, *y.shape))
        return (3e-8 + 2e-8 * (0.5 * y + self.shift + self.std * z)).astype(np.float32)

    def log_prob(self, x, y):
        u = ((x.astype(float) - 3e-8) / 2e-8 - 0.5 * y - self.shift) / self.std
        one = -0.5 * u**2 - math.log(2e-8 * self.std * math.sqrt(2.0 * math.pi))
        return one.reshape(len(x), -1).sum(1)


def pairs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images and observations (n, 1, 2, 1), physical units of x."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(count, 1, 2, 1))
    return 3e-8 + 2e-8 * theta, theta + rng.normal(size=theta.shape)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(7)
        yield


def test_vectors_are_standardised_images_and_back():
    x, y = pairs(5)
    adapter = SbiPosterior(Normals(), SHAPES)
    thetas = adapter.theta(x)
    assert thetas.shape == (5, 2)
    np.testing.assert_allclose(thetas, (x.reshape(5, 2) - 3e-8) / 2e-8, atol=1e-5)
    np.testing.assert_allclose(SHAPES.to_x(thetas), x, rtol=1e-5)
    assert adapter.flat_y(y).shape == (5, 2)


def test_draws_are_those_of_the_observation():
    adapter = SbiPosterior(Normals(), SHAPES)
    xs = torch.tensor([[4.0, -4.0], [0.0, 2.0]])
    draws = adapter.sample_batched((3, 2000), x=xs)
    assert draws.shape == (3, 2000, 2, 2)
    # 4.5 standard errors of a mean of 6000 draws
    np.testing.assert_allclose(draws.mean((0, 1)), 0.5 * xs, atol=4.5 * math.sqrt(0.5 / 6000))
    assert adapter.sample((7,), x=xs[0]).shape == (7, 2)
    assert adapter.sample(x=xs[:1]).shape == (2,)
    assert adapter.set_default_x(xs[1]).sample((4,), show_progress_bars=True).shape == (4, 2)
    assert not torch.equal(adapter.sample((4,)), adapter.sample((4,)))


def test_density_is_that_of_theta():
    adapter = SbiPosterior(Normals(), SHAPES)
    theta, x = torch.randn(6, 2), torch.tensor([0.3, -1.0])
    exact = torch.distributions.Normal(0.5 * x, math.sqrt(0.5)).log_prob(theta).sum(1)
    np.testing.assert_allclose(adapter.log_prob(theta, x), exact, atol=1e-5)
    np.testing.assert_allclose(adapter.potential(theta[0], x=x[None]), exact[:1], atol=1e-5)
    both = adapter.log_prob_batched(torch.stack([theta, theta], 1), torch.stack([x, x]))
    np.testing.assert_allclose(both, torch.stack([exact, exact], 1), atol=1e-5)


def test_reduced_thetas_have_no_density():
    adapter = SbiPosterior(Normals(), SHAPES, reduce=lambda x: x.mean(axis=(2, 3)))
    x, y = pairs(5)
    assert adapter.theta(x).shape == (5, 1)
    assert adapter.sample_batched((9,), adapter.flat_y(y)).shape == (9, 5, 1)
    with pytest.raises(ValueError, match="whole images"):
        adapter.log_prob(adapter.theta(x), adapter.flat_y(y)[0])
    with pytest.raises(ValueError, match=r"\(5, d\)"):
        SbiPosterior(Normals(), SHAPES, reduce=np.ravel).theta(x)


def test_shapes_come_from_the_posterior():
    posterior = SimpleNamespace(
        info=SimpleNamespace(x_shape=(1, 2, 1), y_shape=(1, 2, 1)),
        standardiser=SimpleNamespace(x_mean=(3e-8,), x_std=(2e-8,)),
    )
    assert SbiShapes.of(posterior) == SHAPES


def test_what_does_not_fit_is_refused():
    adapter = SbiPosterior(Normals(), SHAPES)
    for call in (adapter.theta, adapter.flat_y):
        with pytest.raises(ValueError, match=r"expected .* \(n, 1, 2, 1\), got \(3, 4\)"):
            call(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="set_default_x"):
        adapter.sample((2,))
    with pytest.raises(ValueError, match="one observation"):
        adapter.sample((2,), x=torch.zeros(3, 2))
    with pytest.raises(ValueError, match="a positive std"):
        SbiShapes((2, 4), (1, 4), (0.0,), (1.0,))


quiet = pytest.mark.filterwarnings("ignore")
"""sbi's own imports warn."""


@pytest.fixture
def diagnostics():
    return pytest.importorskip("sbi.diagnostics", reason="needs sbi")


def verdicts(diagnostics, posterior, count: int = 300) -> dict[str, float]:
    """p-values of sbi's SBC, expected coverage and TARP at ``count`` pairs."""
    adapter, (x, y) = SbiPosterior(posterior, SHAPES), pairs(count, seed=3)
    thetas, xs = adapter.theta(x), adapter.flat_y(y)
    how = {"num_posterior_samples": 200, "show_progress_bar": False}
    ranks, dap = diagnostics.run_sbc(thetas, xs, adapter, **how)
    assert ranks.shape == dap.shape == (count, 2)
    levels, _ = diagnostics.run_sbc(thetas, xs, adapter, reduce_fns=adapter.log_prob, **how)
    check = diagnostics.sbc.check_uniformity_frequentist
    ecp, alpha = diagnostics.run_tarp(thetas, xs, adapter, **how)
    area, _ = diagnostics.check_tarp(ecp, alpha)
    return {
        "sbc": float(np.asarray(check(ranks, 200)).min()),
        "coverage": float(np.asarray(check(levels, 200)).min()),
        "tarp_area": float(area),
    }


@quiet
def test_sbi_diagnostics_pass_the_right_posterior_and_fail_the_wrong_ones(diagnostics):
    right = verdicts(diagnostics, Normals())
    assert right["sbc"] > 0.01
    assert right["coverage"] > 0.01
    # check_tarp's area is a distance from the diagonal, of no calibrated level.
    assert abs(right["tarp_area"]) < 0.5
    narrow, wide = (verdicts(diagnostics, Normals(width)) for width in (0.7, 1.4))
    # The highest density level tells widths: all cells together miss on the same side.
    assert narrow["coverage"] < 1e-6
    assert wide["coverage"] < 1e-6
    assert verdicts(diagnostics, Normals(shift=0.5))["sbc"] < 1e-6


@quiet
def test_lc2st_and_nltp_take_it(diagnostics):
    scores = {}
    for name, posterior in (("right", Normals()), ("shifted", Normals(shift=1.5))):
        adapter, (x, y) = SbiPosterior(posterior, SHAPES), pairs(400, seed=4)
        thetas, xs = adapter.theta(x), adapter.flat_y(y)
        draws = adapter.sample_batched((1,), xs)[0]
        test = diagnostics.LC2ST(thetas, xs, draws, num_trials_null=20, classifier="random_forest")
        test.train_on_observed_data(verbosity=0)
        test.train_under_null_hypothesis(verbosity=0)
        x_o = xs[:1]
        scores[name] = test.p_value(theta_o=adapter.sample((200,), x=x_o), x_o=x_o)
    assert scores["right"] > 0.05
    assert scores["shifted"] == 0.0
    adapter, (x, y) = SbiPosterior(Normals(), SHAPES), pairs(400, seed=4)
    nltp = diagnostics.sbc.get_nltp(adapter.theta(x), adapter.flat_y(y), adapter)
    # Mean of -log p at the truth: the entropy of the posterior, two cells of log(2 pi e / 2) / 2.
    entropy = math.log(2.0 * math.pi * math.e * 0.5)
    assert nltp.mean().item() == pytest.approx(entropy, abs=4.5 / math.sqrt(400))
