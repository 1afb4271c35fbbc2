"""The flow as a torch distribution: against torch's own normals, and by its laws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from posterior.config import NetworkConfig
from posterior.flow import ConditionalFlow
from posterior.interop.distribution import ConditionalDistribution, ConditionalNetwork
from posterior.networks.glow import ConditionalGlow

EVENT = (1, 2, 2)


class CorrelatedFlow(nn.Module):
    """x = gain y_0 + A z with A lower triangular: N(gain y_0, A A^T) over the four cells."""

    def __init__(self, std: float = 0.5, gain: float = 0.8) -> None:
        super().__init__()
        lower = torch.tensor([[1.0, 0, 0, 0], [0.6, 1, 0, 0], [0.1, 0.6, 1, 0], [-0.3, 0.1, 0.6, 1]])
        self.factor = nn.Parameter(std * lower)
        self.gain = nn.Parameter(torch.tensor(gain))

    def _logdet(self, images: Tensor) -> Tensor:
        return self.factor.diagonal().abs().log().sum().expand(len(images))

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        centred = (x - self.gain * y[:, :1]).flatten(1)
        z = torch.linalg.solve_triangular(self.factor, centred.T, upper=False).T
        return z.reshape(x.shape), -self._logdet(x)

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.gain * y[:, :1] + (z.flatten(1) @ self.factor.tril().T).reshape(z.shape), self._logdet(z)

    def exact(self, y: Tensor) -> MultivariateNormal:
        """Over flattened images, for y (..., 2, 2, 2)."""
        return MultivariateNormal(self.gain * y[..., 0, :, :].flatten(-2), scale_tril=self.factor)


def observations(*batch: int, seed: int = 0) -> Tensor:
    return torch.randn(*batch, 2, 2, 2, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(20)
        yield


@pytest.mark.parametrize("batch", [(), (1,), (3,)])
@pytest.mark.parametrize("sample", [(), (5,), (2, 4)])
def test_shapes_are_those_of_torch(batch, sample):
    flow, y = CorrelatedFlow(), observations(*batch)
    ours, theirs = ConditionalDistribution(flow, y, EVENT), flow.exact(y)
    assert ours.batch_shape == batch == theirs.batch_shape
    assert ours.event_shape == EVENT
    x = ours.sample(sample)
    assert x.shape == (*sample, *batch, *EVENT)
    assert not x.requires_grad
    found = ours.log_prob(x)
    assert found.shape == (*sample, *batch)
    # Sums of four terms of order one in float32.
    torch.testing.assert_close(found, theirs.log_prob(x.flatten(-3)), rtol=1e-5, atol=1e-5)


def test_values_are_broadcast_against_the_batch():
    flow, y = CorrelatedFlow(), observations(3)
    one = torch.randn(EVENT)
    found = ConditionalDistribution(flow, y, EVENT).log_prob(one)
    assert found.shape == (3,)
    torch.testing.assert_close(found, flow.exact(y).log_prob(one.flatten()), rtol=1e-5, atol=1e-5)


def test_draws_have_the_moments_of_the_normal():
    flow, y = CorrelatedFlow(), observations(2)
    x = ConditionalDistribution(flow, y, EVENT).sample((40000,)).flatten(-3)
    exact = flow.exact(y)
    std = exact.stddev.max().item()
    # 4.5 standard errors of a mean and of a covariance of 40000 draws (<= sqrt(2) var)
    torch.testing.assert_close(x.mean(0), exact.mean, rtol=0.0, atol=4.5 * std / 200)
    for image in range(2):
        atol = 4.5 * math.sqrt(2.0) * std**2 / 200
        torch.testing.assert_close(x[:, image].T.cov(), exact.covariance_matrix[image], rtol=0.0, atol=atol)


def monte_carlo_kl(p: ConditionalDistribution, q: ConditionalDistribution, draws: int) -> tuple[float, float]:
    """KL(p, q) = E_p log p - log q, and its standard error."""
    x = p.sample((draws,))
    ratio = p.log_prob(x) - q.log_prob(x)
    return ratio.mean().item(), ratio.std().item() / math.sqrt(draws)


@pytest.mark.parametrize(("std", "gain"), [(0.5, 0.8), (0.35, 0.8), (0.65, 0.8), (0.5, 0.5)])
def test_kl_by_monte_carlo_is_the_closed_form(std, gain):
    y = observations()
    p, q = CorrelatedFlow(), CorrelatedFlow(std, gain)
    exact = kl_divergence(p.exact(y), q.exact(y)).item()
    found, error = monte_carlo_kl(
        ConditionalDistribution(p, y, EVENT), ConditionalDistribution(q, y, EVENT), 20000
    )
    assert abs(found - exact) <= 4.5 * error + 1e-6
    # A flow that is right has none; one that is 30 % too narrow, too wide or shifted shows it.
    assert (found > 10.0 * error) == ((std, gain) != (0.5, 0.8))


def test_gradients_through_draws_are_those_of_the_closed_form():
    # d/d(gain) E|x - a|^2 = 2 E (x - a) y_0, with the same latents on both sides.
    flow, y = CorrelatedFlow(), observations().requires_grad_()
    ours = ConditionalDistribution(flow, y, EVENT)
    assert ours.has_rsample
    x = ours.rsample((64,))
    x.square().sum(dim=(1, 2, 3)).mean().backward()
    expected = (2.0 * x.detach() * y.detach()[0]).sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(flow.gain.grad, expected, rtol=1e-5, atol=1e-6)
    assert y.grad is not None
    torch.testing.assert_close(y.grad[0], (2.0 * x.detach() * 0.8).mean(0)[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(y.grad[1], torch.zeros(2, 2))


def test_reverse_kl_by_pathwise_gradients_finds_the_target():
    target = Independent(Normal(torch.full(EVENT, 0.4), 0.7), 3)
    flow, y = CorrelatedFlow(), torch.ones(2, 2, 2)
    ours = ConditionalDistribution(flow, y, EVENT)
    optimiser = torch.optim.Adam(flow.parameters(), lr=0.03)
    for _ in range(400):
        x = ours.rsample((64,))
        optimiser.zero_grad()
        (ours.log_prob(x) - target.log_prob(x)).mean().backward()
        optimiser.step()
    assert flow.gain.item() == pytest.approx(0.4, abs=0.03)
    covariance = (flow.factor.tril() @ flow.factor.tril().T).detach()
    torch.testing.assert_close(covariance, 0.49 * torch.eye(4), rtol=0.0, atol=0.06)  # Adam's last steps


def test_constraints_and_validation():
    ours = ConditionalDistribution(CorrelatedFlow(), observations(3), EVENT, validate_args=True)
    assert ours.arg_constraints == {}
    assert ours.support.event_dim == 3
    assert ours.support.check(torch.zeros(3, *EVENT)).all()
    with pytest.raises(ValueError, match="within the support"):
        ours.log_prob(torch.full((3, *EVENT), torch.nan))
    with pytest.raises(ValueError, match="must match"):
        ours.log_prob(torch.zeros(3, 1, 2, 3))
    with pytest.raises(NotImplementedError):
        _ = ours.mean
    with pytest.raises(ValueError, match="2 axes after the channels"):
        ConditionalDistribution(CorrelatedFlow(), torch.zeros(2, 2), EVENT)


def test_expand_gives_one_y_to_a_batch():
    flow, y = CorrelatedFlow(), observations()
    wide = ConditionalDistribution(flow, y, EVENT).expand((4,))
    assert wide.batch_shape == (4,)
    x = wide.sample((2,))
    torch.testing.assert_close(wide.log_prob(x), flow.exact(y).log_prob(x.flatten(-3)), rtol=1e-5, atol=1e-5)
    assert ConditionalDistribution(flow, y, EVENT).expand(()).batch_shape == ()
    with pytest.raises(ValueError, match=r"\(3,\) expands to, got \(4,\)"):
        ConditionalDistribution(flow, observations(3), EVENT).expand((4,))


def test_independent_takes_it():
    flow, y = CorrelatedFlow(), observations(3)
    joint = Independent(ConditionalDistribution(flow, y, EVENT), 1)
    x = joint.rsample((5,))
    assert joint.event_shape == (3, *EVENT)
    torch.testing.assert_close(
        joint.log_prob(x), flow.exact(y).log_prob(x.flatten(-3)).sum(-1), rtol=1e-5, atol=1e-4
    )


def test_our_flow_and_our_network():
    config = NetworkConfig(hidden=8, scales=1, steps=2, summary_width=4, cond_channels=3, dropout=0.0)
    flow = ConditionalFlow.from_config(config, in_channels=1, y_channels=2).eval()
    y = torch.randn(3, 2, 8, 8)
    ours = ConditionalDistribution(flow, y, (1, 8, 8))
    x = ours.rsample((4,))
    x.square().mean().backward()
    grads = [parameter.grad for parameter in flow.parameters()]
    assert any(grad is not None and grad.abs().max() > 0 for grad in grads)
    with torch.no_grad():
        expected = torch.stack([flow.log_prob(one, y) for one in x])
    torch.testing.assert_close(ours.log_prob(x).detach(), expected, rtol=1e-4, atol=1e-3)

    glow = ConditionalGlow(in_channels=1, cond_channels=2, hidden=8, scales=1, steps=1).eval()
    bare = ConditionalDistribution(ConditionalNetwork(glow), y[0], (1, 8, 8))
    z, logdet = glow(x[:, 0].detach(), y[:1].expand(4, -1, -1, -1))
    normal = Normal(0.0, 1.0).log_prob(z).sum(dim=(1, 2, 3))
    torch.testing.assert_close(bare.log_prob(x[:, 0].detach()), normal + logdet, rtol=1e-5, atol=1e-4)
    assert bare.rsample((2,)).shape == (2, 1, 8, 8)
