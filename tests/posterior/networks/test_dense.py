"""Dense flows are densities, learn shapes that no Gaussian has, and serve a posterior of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posterior.flow import ConditionalFlow, standard_normal_log_prob
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Affine
from posterior.layers.spline import RationalQuadraticSpline
from posterior.model_info import ModelInfo
from posterior.networks.dense import DenseFlow
from posterior.sample import AmortizedPosterior
from posterior.standardise import Standardiser

OPTIONS: dict[str, dict[str, Any]] = {
    "spline": {},
    "affine": {"transform": Affine()},
    "householder": {"mixing": "householder"},
    "lu": {"mixing": "lu"},
    "hint": {"coupling": "hint"},
}
every = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())


def small(in_channels: int, cond_channels: int = 0, **options: Any) -> DenseFlow:
    torch.manual_seed(0)
    return DenseFlow(in_channels, cond_channels, **({"hidden": 8, "steps": 3, "layers": 1} | options))


def moved(module: nn.Module, size: float = 0.2) -> nn.Module:
    """The module in float64 and evaluation mode, with every weight moved away from its start."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return module.double().eval()


@every
def test_a_density_of_two_variables_integrates_to_one(options: dict[str, Any]) -> None:
    net = moved(small(2, 1, **options), 0.1)
    axis = torch.linspace(-12.0, 12.0, 241, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        z, logdet = net(x, torch.full((len(x), 1), 0.5, dtype=torch.float64))
        density = (standard_normal_log_prob(z) + logdet).exp()
    # The density vanishes at the edges and is smooth but for the knots: the sum is right to some 1e-4.
    assert density.sum().item() * (24.0 / 240) ** 2 == pytest.approx(1.0, abs=1e-3)
    assert density.max() > 50.0 * density.mean()


def two_moons(num: int, generator: torch.Generator) -> Tensor:
    """Two half circles that reach into one another, with a little noise."""
    angle = math.pi * torch.rand(num, generator=generator)
    upper = torch.rand(num, generator=generator) < 0.5
    x = torch.where(upper, angle.cos(), 1.0 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack((x, y), 1) + 0.1 * torch.randn(num, 2, generator=generator)


def trained(net: DenseFlow, iterations: int, generator: torch.Generator) -> DenseFlow:
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(iterations):
        z, logdet = net(two_moons(256, generator))
        optimizer.zero_grad()
        (-(standard_normal_log_prob(z) + logdet).mean()).backward()
        optimizer.step()
    return net.eval()


def test_learns_two_moons_better_than_any_gaussian() -> None:
    generator = torch.Generator().manual_seed(0)
    net = trained(small(2, hidden=16), 300, generator)
    x = two_moons(4000, generator)
    gaussian = torch.distributions.MultivariateNormal(x.mean(0), torch.cov(x.T))
    with torch.no_grad():
        z, logdet = net(x)
        gain = (standard_normal_log_prob(z) + logdet - gaussian.log_prob(x)).mean()
        samples, _ = net.inverse(torch.randn(4000, 2, generator=generator))
    assert gain > 0.6
    # The best Gaussian is densest between the moons, where the data are rare.
    hole, radius = torch.tensor([0.5, 0.25]), 0.2
    inside = ((samples - hole).norm(dim=1) < radius).double().mean().item()
    assert inside < 0.5 * math.pi * radius**2 * gaussian.log_prob(hole).exp()
    assert net.chain.drift is not None
    assert net.chain.drift < 1e-3


@every
def test_first_batch_comes_out_normalised(options: dict[str, Any]) -> None:
    net = small(3, 2, **options)
    x = 1e3 * torch.randn(500, 3) @ torch.randn(3, 3) - 5e3
    z, _ = net(x, torch.randn(500, 2))
    assert z.mean().abs() < 0.1
    assert 0.5 < z.std() < 1.5


def test_one_entry_given_a_condition() -> None:
    net = moved(small(1, 2))
    x, c = torch.randn(5, 1).double(), torch.randn(5, 2).double()
    z, logdet = net(x, c)
    torch.testing.assert_close(net.inverse(z, c)[0], x, atol=1e-10, rtol=1e-10)
    assert not torch.allclose(net(x, c + 1.0)[0], z)
    assert logdet.shape == (5,)


def test_hint_changes_all_entries_but_one_in_a_step() -> None:
    for coupling, changed in (("half", 3), ("hint", 5)):
        net = moved(small(6, steps=1, coupling=coupling, mixing="permutation"))
        x = torch.randn(1, 6).double()
        jacobian = torch.autograd.functional.jacobian(net, x)[0][0, :, 0]
        assert ((jacobian != 0.0).sum(1) > 1).sum() == changed


def test_dropout_is_replayed_on_the_way_back() -> None:
    grads = []
    for memory in ("invert", "store"):
        net = small(4, 2, dropout=0.5, memory=memory).double().train()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        x, c = torch.randn(6, 4).double(), torch.randn(6, 2).double()
        z, logdet = net(x, c)
        (z.square().sum() - logdet.sum()).backward()
        grads.append([parameter.grad for parameter in net.parameters()])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, atol=1e-8, rtol=1e-8)


def test_any_module_conditions() -> None:
    net = small(4, conditioner=lambda i, o: nn.Linear(i, o))
    couplings = [layer for layer in net.modules() if isinstance(layer, Coupling)]
    assert [type(layer.conditioner) for layer in couplings] == [nn.Linear] * 3
    assert {layer.transform for layer in couplings} == {RationalQuadraticSpline()}


def test_a_posterior_of_vectors() -> None:
    flow = ConditionalFlow(small(2, 4), nn.Linear(3, 4))
    standardiser = Standardiser((1.0, 2.0), (3.0, 4.0), (0.0,) * 3, (1.0,) * 3)
    posterior = AmortizedPosterior(flow, standardiser, ModelInfo(x_shape=(2,), y_shape=(3,)))
    y = np.ones(3, np.float32)
    samples = posterior.sample(9, y, batch_size=4)
    assert samples.shape == (9, 2)
    assert posterior.log_prob(samples, y).shape == (9,)
    assert [part.shape for part in posterior.mean_std(y, 5)] == [(2,), (2,)]
    assert posterior.map(y, iterations=3).shape == (2,)
    cold = posterior.sample(3, y, temperature=0.0)
    assert (cold == cold[0]).all()
    assert flow.sample(5, torch.zeros(4, 3)).shape == (5, 4, 2)
    with pytest.raises(ValueError, match=r"expected y of shape \(1 or 6, K\) beside \(6, 2\), got \(2, 3\)"):
        flow.log_prob(torch.zeros(6, 2), torch.zeros(2, 3))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="expected at least 1 step, got 0"):
        DenseFlow(2, steps=0)
    with pytest.raises(ValueError, match="expected mixing 'householder' or 'lu' or 'permutation', got 'qr'"):
        DenseFlow(2, mixing="qr")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected coupling 'half' or 'hint', got 'full'"):
        DenseFlow(2, coupling="full")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a condition or at least 2 channels, got 1"):
        DenseFlow(1)


def test_wrong_shapes_name_both_sides() -> None:
    net = small(3, 2)
    x, c = torch.randn(4, 3), torch.randn(4, 2)
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 3\), got \(4, 2\)"):
        net(c, c)
    with pytest.raises(ValueError, match=r"expected z of shape \(B, 3\), got \(4, 3, 1\)"):
        net.inverse(x[..., None], c)
    with pytest.raises(
        ValueError, match=r"expected c of shape \(4, 2\) for x of shape \(4, 3\), got \(4, 3\)"
    ):
        net(x, x)
    with pytest.raises(ValueError, match=r"expected x in float32 or float64, got torch\.bfloat16"):
        net(x.bfloat16(), c)
