"""A flow as the prior: its density in physical units, its gradient, and the target that it makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posterior.refine.likelihood import Batch
from posterior.refine.prior import FlowPrior
from posterior.refine.target import Observed, Target


@pytest.fixture
def models(survey):
    draws = torch.randn(3, *survey.y.shape, generator=torch.Generator().manual_seed(5))
    return 1.0 + 2.0 * draws


def test_its_density_is_per_physical_unit(survey, models):
    """Of a Gaussian network, against the closed form; float32 through the network: 1e-4 nats of about 30."""
    found = FlowPrior(survey.posterior, survey.y)(models)
    np.testing.assert_allclose(found.detach(), survey.amortized.log_prob(models), rtol=1e-4)
    without = found - 16 * np.log(2.0)  # what a density per the network's unit would be off by
    assert not np.allclose(without.detach(), survey.amortized.log_prob(models), rtol=1e-2)


def test_its_gradient_is_that_of_the_density(survey, models):
    x = models.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(FlowPrior(survey.posterior, survey.y)(x).sum(), x)
    offset = models.flatten(1).double() - survey.amortized.mean
    expected = -(offset @ survey.amortized.precision)
    torch.testing.assert_close(gradient.flatten(1).double(), expected, rtol=2e-3, atol=2e-3)


def test_it_depends_on_what_it_is_conditioned_on(survey, models):
    here = FlowPrior(survey.posterior, survey.y)(models)
    there = FlowPrior(survey.posterior, torch.zeros_like(survey.y))(models)
    assert float((here - there).abs().min()) > 0.1


def test_the_network_s_own_density_as_prior_is_the_target_without_one(survey, models):
    """Two ways to write q(x | y) p(d | x): the latent terms may differ by a constant alone, 8/2 log 2 pi."""
    base, batch = Observed(survey.posterior, survey.y), Batch.all_shots(3, 4)
    z, _ = base.encode(survey.posterior.standardiser.standardise_x(models))
    totals = []
    for prior in (None, FlowPrior(survey.posterior, survey.y)):
        terms = Target(base, survey.likelihood(), prior).latent_terms(z, batch)
        totals.append((terms.misfit + terms.prior - terms.volume).detach())
    difference = totals[1] - totals[0]
    np.testing.assert_allclose(difference, 8.0 * np.log(2.0 * np.pi), rtol=1e-4)


def test_another_shape_is_refused(survey):
    with pytest.raises(ValueError, match="expected y of shape"):
        FlowPrior(survey.posterior, survey.y[:, :2])
