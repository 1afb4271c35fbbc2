"""Value, gradient and solves of the likelihood; random sums of shots that stand for all of them."""

from __future__ import annotations

import pytest
import torch

from posterior.linear_map import LinearMap
from posterior.refine import Batch, GaussianLikelihood
from posterior.refine.draws import encodings, reference_latents
from posterior.refine.likelihood import with_gradient


def test_value_and_gradient_are_those_of_the_closed_form(survey):
    x = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    likelihood = survey.likelihood()
    value, gradient = likelihood(x, Batch.all_shots(3, 4))
    residual = (x.flatten(1) @ survey.flat_operator.T - survey.data.flatten()) / 0.5
    torch.testing.assert_close(value, 0.5 * residual.square().sum(1), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient.flatten(1), residual @ survey.flat_operator / 0.5, rtol=1e-12, atol=0)
    assert (likelihood.num_forward, likelihood.num_adjoint) == (12, 12)
    torch.testing.assert_close(likelihood.value(x, Batch.all_shots(3, 4)), value, rtol=0, atol=0)
    assert (likelihood.num_forward, likelihood.num_adjoint) == (24, 12)


@pytest.mark.parametrize("kind", ["shots", "gaussian", "rademacher"])
def test_random_experiments_times_their_scale_estimate_all_shots(survey, kind):
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64).expand(4000, -1, -1, -1)
    batch = encodings(kind, 2, 4, seed=1, step=0, samples=4000)
    likelihood = survey.likelihood()
    values = batch.scale * likelihood.value(x, batch)
    exact = float(likelihood.value(x[:1], Batch.all_shots(1, 4)))
    # 4.5 standard errors; without the factor N_s / K = 2 the mean would be half of it
    assert abs(float(values.mean()) - exact) < 4.5 * float(values.std()) / 4000**0.5 + 1e-9 * exact
    assert float(values.std()) / 4000**0.5 < 0.05 * exact


def test_single_shots_come_once_a_pass_in_another_order_each_time():
    rows = [
        encodings("shots", 1, 5, seed=0, step=step, samples=1).weights[0, 0].argmax() for step in range(20)
    ]
    passes = torch.stack(rows).view(4, 5)
    assert all(sorted(order) == list(range(5)) for order in passes.tolist())
    assert len({tuple(order) for order in passes.tolist()}) > 1


def test_no_rows_mean_all_shots():
    batch = encodings("gaussian", 0, 3, seed=0, step=7, samples=2)
    assert batch.scale == 1.0
    assert batch.experiments == 6
    torch.testing.assert_close(batch.weights[1], torch.eye(3))


def test_a_linear_map_is_a_survey_of_one_experiment():
    A = torch.randn(6, 4, dtype=torch.float64)
    operator = LinearMap(lambda x: x @ A.T, lambda d: d @ A)
    likelihood = GaussianLikelihood.linear(operator, torch.zeros(6, dtype=torch.float64), 2.0)
    x = torch.randn(3, 4, dtype=torch.float64)
    value, gradient = likelihood(x, encodings("gaussian", 1, 1, seed=0, step=0, samples=3))
    torch.testing.assert_close(value, (x @ A.T).square().sum(1) / 8.0)
    torch.testing.assert_close(gradient, x @ A.T @ A / 4.0)
    assert (operator.num_forward, operator.num_adjoint) == (3, 3)


@pytest.mark.parametrize("kind", ["random", "antithetic", "orthogonal"])
def test_latents_are_functions_of_their_number(kind):
    whole = reference_latents(kind, 3, 0, 40, (1, 2, 5))
    parts = [reference_latents(kind, 3, start, start + 8, (1, 2, 5)) for start in range(0, 40, 8)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    torch.testing.assert_close(reference_latents(kind, 3, 13, 14, (1, 2, 5)), whole[13:14], rtol=0, atol=0)


def test_orthogonal_latents_have_exact_second_moments_and_normal_cells():
    z = reference_latents("orthogonal", 0, 0, 2 * 60, (1, 6, 10)).flatten(1).double()
    torch.testing.assert_close(z.mT @ z / len(z), torch.eye(60, dtype=torch.float64), rtol=0, atol=1e-5)
    assert float(z.sum(0).abs().max()) == 0.0
    many = reference_latents("orthogonal", 1, 0, 1200, (1, 6, 10))
    # fourth moment of N(0, 1) is 3, its standard error here sqrt(96 / 36000); the sphere's own is 3 - 6 / 62
    assert abs(float(many.pow(4).mean()) - 3.0) < 0.1 + 5 * (96 / 36000) ** 0.5
    random = reference_latents("random", 0, 0, 120, (60,)).double()
    assert float((random.mT @ random / 120 - torch.eye(60)).abs().max()) > 0.1


def test_a_gradient_that_is_not_finite_makes_the_value_so():
    x = torch.ones(2, 3, requires_grad=True)
    bad = torch.tensor([[1.0, torch.inf, 0.0], [1.0, 2.0, 3.0]])
    value = with_gradient(lambda models: (models.sum(1), bad), x)
    assert value.isnan().tolist() == [True, False]
    value[1].backward()
    torch.testing.assert_close(x.grad[1], bad[1])


def test_shapes_and_noise_are_checked(survey):
    with pytest.raises(ValueError, match="expected a positive noise_std"):
        survey.likelihood(0.0)
    with pytest.raises(ValueError, match="expected finite data"):
        GaussianLikelihood(survey.modelling, survey.data * torch.nan, 1.0)
    with pytest.raises(ValueError, match=r"expected modelled data of shape \(1, 4, 6\), got \(1, 4, 3\)"):
        GaussianLikelihood(lambda x, w: survey.modelling(x, w)[..., :3], survey.data, 1.0).value(
            torch.zeros(1, 1, 4, 4), Batch.all_shots(1, 4)
        )
    with pytest.raises(ValueError, match=r"expected a value of shape \(2,\)"):
        with_gradient(lambda x: (x.sum(), x), torch.zeros(2, 3))


def test_the_fingerprint_tells_data_and_noise_apart(survey):
    same = GaussianLikelihood(survey.modelling, survey.data.clone(), 0.5).fingerprint
    assert survey.likelihood().fingerprint == same
    assert survey.likelihood(0.6).fingerprint != same
    assert GaussianLikelihood(survey.modelling, survey.data + 1.0, 0.5).fingerprint != same
