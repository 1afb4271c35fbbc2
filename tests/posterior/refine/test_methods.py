"""Every method against the closed form of its target: what it reaches exactly, and what it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from posterior.refine import Importance, LatentCorrection, LatentMap, RefineConfig, refine

# 2 D orthogonal draws have exact second moments: the loss of an affine map is exact and L-BFGS ends on it.
EXACT = RefineConfig(optimiser="lbfgs", draws="orthogonal", batch_size=32, iterations=100, check_draws=0)
DIMENSIONS = 16


def _divergence(refined, target, draws=2000):
    x = refined.sample(draws, seed=5)
    return target.divergence(torch.from_numpy(x), refined.log_prob(x))


def _errors(refined, target, draws=4000):
    """Error of the mean in std, of the std relative to it, the worst of all cells."""
    mean, std = (torch.from_numpy(values).flatten() for values in refined.mean_std(draws, seed=3))
    return float(((mean - target.mean) / target.std).abs().max()), float((std / target.std - 1.0).abs().max())


def _family_divergence(precision, covariance):
    """KL a dimension from N(m, covariance) to N(m, precision^-1)."""
    product = precision @ covariance
    return float(0.5 * (product.trace() - len(product) - torch.linalg.slogdet(product)[1])) / len(product)


def test_the_diagonal_correction_reaches_the_optimum_of_its_family(survey):
    refined = refine(survey.posterior, survey.y, survey.likelihood(), config=EXACT, progress=False)
    latent = survey.latent_target()
    found = refined.law.transport.inner
    # float32 through the network: 1e-3; without the factor N_s, or with the marginal std, 10 % and more
    assert float((found.bias.flatten() - latent.mean).norm() / latent.mean.norm()) < 1e-3
    optimum = latent.precision.diagonal() ** -0.5
    torch.testing.assert_close(found.log_scale.flatten().exp().double(), optimum, rtol=2e-3, atol=0)
    assert float((optimum / latent.std - 1.0).abs().max()) > 0.1
    # and it falls short of the posterior by just what the family lacks
    lacking = _family_divergence(latent.precision, (optimum**2).diag())
    assert lacking > 0.05
    assert _divergence(refined, survey.target()) == pytest.approx(lacking, abs=0.01)


@pytest.mark.slow
def test_adam_on_single_shots_hovers_but_its_average_converges(survey):
    config = RefineConfig(iterations=400, batch_size=4, check_draws=0)
    latent = survey.latent_target()
    errors = {}
    for tail in (0.0, 0.5):
        last = replace(config, tail=tail, final_rate=1.0)
        found = refine(survey.posterior, survey.y, survey.likelihood(), config=last, progress=False)
        bias = found.law.transport.inner.bias.detach().flatten().double()
        errors[tail] = float((bias - latent.mean).norm() / latent.mean.norm())
    assert errors[0.5] < 0.3 * errors[0.0]
    assert errors[0.5] < 0.05


@pytest.mark.parametrize("encoding", ["shots", "gaussian", "rademacher"])
def test_random_experiments_of_any_kind_lead_to_the_same_correction(survey, encoding):
    config = RefineConfig(iterations=400, batch_size=8, tail=0.5, encoding=encoding, check_draws=0)
    refined = refine(survey.posterior, survey.y, survey.likelihood(), config=config, progress=False)
    latent = survey.latent_target()
    bias = refined.law.transport.inner.bias.flatten().double()
    # without N_s / K = 4 the prior would weigh 4 times too much and the error be above 0.3
    assert float((bias - latent.mean).norm() / latent.mean.norm()) < 0.1


@pytest.mark.slow
def test_fixed_draws_end_on_their_own_optimum(survey):
    """Common random numbers: the loss is one function, and two learning rates end on the same weights."""
    config = RefineConfig(iterations=400, fixed=4, rows=0, draws="antithetic", check_draws=0, final_rate=0.0)
    ends = [
        refine(
            survey.posterior,
            survey.y,
            survey.likelihood(),
            config=replace(config, learning_rate=rate, tail=0.0),
            progress=False,
        ).law.transport.inner.log_scale
        for rate in (0.1, 0.05)
    ]
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("family", "size"), [("blocks", 2), ("blocks", 4), ("low_rank", 6), ("householder", 16)]
)
def test_richer_families_come_nearer(survey, family, size):
    method = LatentCorrection(family=family, size=size)
    refined = refine(
        survey.posterior, survey.y, survey.likelihood(), method=method, config=EXACT, progress=False
    )
    precision = survey.latent_target().precision
    diagonal = _family_divergence(precision, (1.0 / precision.diagonal()).diag())
    found = _divergence(refined, survey.target())
    assert found < 0.8 * diagonal
    if size == 4:  # one block of all cells: any Gaussian
        assert found < 2e-3
    if size == 2:  # the optimum of block-diagonal covariances: inverses of the blocks of P
        blocks = torch.zeros_like(precision)
        cells = torch.arange(16).view(2, 2, 2, 2).permute(0, 2, 1, 3).reshape(4, 4)
        for block in cells:
            where = torch.meshgrid(block, block, indexing="ij")
            blocks[where] = torch.linalg.inv(precision[where])
        assert found == pytest.approx(_family_divergence(precision, blocks), abs=0.01)


def test_with_a_prior_the_target_is_the_honest_posterior(survey):
    honest, double = survey.target(survey.prior), survey.target()
    assert float(((honest.mean - double.mean) / honest.std).abs().max()) > 1.0
    method = LatentCorrection(family="blocks", size=4)
    refined = refine(
        survey.posterior,
        survey.y,
        survey.likelihood(),
        method=method,
        config=EXACT,
        prior=survey.prior.log_prob,
        progress=False,
    )
    assert refined.report.target == "p(x) p(d|x)"
    assert _divergence(refined, honest) < 2e-3
    # 4000 draws: 4.5 standard errors of a mean, and of a std
    mean, std = _errors(refined, honest)
    assert mean < 4.5 / 4000**0.5
    assert std < 4.5 / 8000**0.5
    assert _divergence(refined, double) > 0.2


@pytest.mark.parametrize("space", ["z", "x"])
def test_the_map_of_an_affine_network_is_the_posterior_mean(survey, space):
    for prior in (None, survey.prior):
        refined = refine(
            survey.posterior,
            survey.y,
            survey.likelihood(),
            method=LatentMap(space=space),
            prior=None if prior is None else prior.log_prob,
            progress=False,
        )
        target = survey.target(prior)
        found = torch.from_numpy(refined.sample(2)).flatten(1)
        assert float(((found - target.mean) / target.std).abs().max()) < 1e-2
        assert float(refined.mean_std(5)[1].max()) == 0.0
        assert any("a point" in doubt for doubt in refined.report.doubts)


@pytest.mark.parametrize("space", ["z", "x"])
def test_the_map_of_a_bent_network_is_stationary_in_its_own_space(survey, space):
    """The gradient of the density, written anew for this network in float64, vanishes there."""
    refined = refine(
        survey.bent(), survey.y, survey.likelihood(), method=LatentMap(space=space), progress=False
    )
    u = (torch.from_numpy(refined.sample(1)).double().flatten() - 1.0) / 2.0
    shift = 0.2 * survey.y.double().flatten() / 1.5

    def gradients(u):
        z = (torch.asinh(u / 1.2) - shift).requires_grad_()
        residual = (survey.flat_operator @ (1.0 + 2.4 * (z + shift).sinh()) - survey.data.flatten()) / 0.5
        energy = 0.5 * residual.square().sum() + 0.5 * z.square().sum()
        volume = (z + shift).cosh().log().sum()
        return {
            "z": torch.autograd.grad(energy, z, retain_graph=True)[0].norm(),
            "x": torch.autograd.grad(energy + volume, z)[0].norm(),
        }

    found, other = gradients(u), "x" if space == "z" else "z"
    assert float(found[space]) < 0.05
    assert float(found[other]) > 1.0


def test_a_map_from_single_shots_needs_their_number(survey):
    """Adam on one shot a step ends at the MAP of all shots: the factor N_s is there."""
    config = RefineConfig(iterations=600, tail=0.5, check_draws=0)
    refined = refine(
        survey.posterior, survey.y, survey.likelihood(), method="latent_map", config=config, progress=False
    )
    target = survey.target()
    error = (torch.from_numpy(refined.sample(1)).flatten() - target.mean).norm() / target.std.norm()
    assert float(error) < 0.15


@pytest.mark.parametrize("honest", [pytest.param(False, marks=pytest.mark.slow), True])
def test_warm_start_inference_reaches_the_posterior(survey, honest):
    prior = survey.prior if honest else None
    config = RefineConfig(
        iterations=800,
        learning_rate=2e-2,
        batch_size=8,
        rows=0,
        draws="orthogonal",
        clip_norm=1.0,
        check_draws=8,
    )
    refined = refine(
        survey.posterior,
        survey.y,
        survey.likelihood(),
        method="preconditioned",
        config=config,
        prior=None if prior is None else prior.log_prob,
        progress=False,
    )
    target = survey.target(prior)
    x = survey.posterior.sample(2000, survey.y, seed=5)
    before = target.divergence(torch.from_numpy(x), survey.posterior.log_prob(x, survey.y))
    assert before > 1.0
    assert _divergence(refined, target) < 0.02
    mean, std = _errors(refined, target)
    assert mean < 0.15
    assert std < 0.15


def test_the_amortized_network_stays_what_it_was(survey):
    before = survey.posterior.sha256
    for method in ("latent", "preconditioned"):
        refine(
            survey.posterior,
            survey.y,
            survey.likelihood(),
            method=method,
            config=RefineConfig(iterations=3, check_draws=0),
            progress=False,
        )
    del survey.posterior.sha256
    assert survey.posterior.sha256 == before


def test_importance_weights_correct_a_near_proposal_and_say_so(survey):
    near = refine(
        survey.posterior,
        survey.y,
        survey.likelihood(),
        method=LatentCorrection(family="blocks", size=4),
        config=EXACT,
        progress=False,
    )
    # towards the posterior of 10 % less noise, which the proposal was not made for
    likelihood = survey.likelihood(0.45)
    method = Importance(proposal=near, num_draws=2000)
    refined = refine(survey.posterior, survey.y, likelihood, method=method, progress=False)
    target = survey.target(noise=0.45)
    numbers = refined.report.numbers
    assert 0.3 < numbers["effective_share"] < 0.99
    assert numbers["pareto_k"] < 0.7
    weights = refined.law.weights.numpy()
    draws = near.law.draw(int(refined.law.state()["seed"]), range(2000))
    x = (1.0 + 2.0 * draws).flatten(1).double().numpy()
    mean = weights @ x
    effective = numbers["effective_share"] * 2000
    error = np.abs(mean - target.mean.numpy()) / target.std.numpy()
    assert error.max() < 4.5 / effective**0.5
    std = np.sqrt(weights @ (x - mean) ** 2)
    assert np.abs(std / target.std.numpy() - 1.0).max() < 4.5 / (2.0 * effective) ** 0.5
    old = survey.target()
    assert float((old.std / target.std - 1.0).max()) > 0.05


def test_resampled_draws_follow_the_weights(survey):
    method = Importance(num_draws=50)
    refined = refine(survey.posterior, survey.y, survey.likelihood(3.0), method=method, progress=False)
    samples = refined.sample(3000, seed=1)
    assert samples.shape == (3000, 1, 4, 4)
    weights = np.sort(refined.law.weights.numpy())[::-1]
    _, counts = np.unique(samples.reshape(3000, -1), axis=0, return_counts=True)
    shares = np.sort(counts / 3000)[::-1]
    assert np.abs(shares[:5] - weights[:5]).max() < 4.5 * np.sqrt(0.25 / 3000)


def test_importance_weights_of_a_far_proposal_are_not_trusted(survey):
    refined = refine(survey.posterior, survey.y, survey.likelihood(), method="importance", progress=False)
    assert refined.report.numbers["effective_share"] < 0.1
    assert refined.report.numbers["pareto_k"] > 0.7
    assert not refined.report.trusted
    assert any("effective sample size" in doubt for doubt in refined.report.doubts)
    assert any("Pareto k" in doubt for doubt in refined.report.doubts)
    assert refined.report.solves.adjoint == 0
