"""SLIM couplings: what the physics inside costs, scales and lets through."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner
from posterior.lanes import TwoLanes
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Additive
from posterior.layers.irim import conjugated
from posterior.layers.slim import GradientConditioner, LearnedConditioner, slim_coupling
from posterior.linear_map import LinearMap
from posterior.reversible import MemoryLike, Sequential
from posterior.walk import Step

MATRIX = torch.randn(10, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
AnyModule = TypeVar("AnyModule", bound=nn.Module)
network = partial(ResidualConditioner, hidden=4)


def operator(scale: float = 1.0) -> LinearMap:
    """(B, 1, 3, 4) -> two shots of five samples, (B, 2, 5)."""
    matrix = scale * MATRIX
    return LinearMap(
        lambda x: (x.flatten(1) @ matrix.T).view(-1, 2, 5),
        lambda d: (d.flatten(1) @ matrix).view(-1, 1, 3, 4),
    )


def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(3, 4, 3, 4, dtype=torch.float64), torch.randn(3, 2, 5, dtype=torch.float64)


def randomised(module: AnyModule) -> AnyModule:
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def chain(memory: MemoryLike, physics: LinearMap) -> Sequential:
    torch.manual_seed(0)
    affine = slim_coupling(4, physics, network=network)
    additive = slim_coupling(4, physics, network=network, transform=Additive())
    return randomised(Sequential([affine, conjugated(additive, Conv1x1(4), memory)], memory))


def test_each_layer_applies_operator_and_adjoint_three_times_a_training_step() -> None:
    physics, (x, d) = operator(), pair()
    z, logdet = chain("invert", physics).eval()(x, d)
    assert (physics.num_forward, physics.num_adjoint) == (2 * 3, 2 * 3)
    (z.square().sum() - logdet.sum()).backward()
    assert (physics.num_forward, physics.num_adjoint) == (3 * 2 * 3, 3 * 2 * 3)


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_first_training_step_has_the_stored_gradients_of_image_data_and_weights(inverse: bool) -> None:
    grads = []
    for memory in ("invert", "store"):
        layers, (x, d) = chain(memory, operator()).train(), pair()
        z, logdet = (layers.inverse if inverse else layers)(x.requires_grad_(), d.requires_grad_())
        loss = (z.square() * z.cumsum(-1)).sum() - logdet.sum()
        grads.append(torch.autograd.grad(loss, [x, d, *layers.parameters()]))
    for got, expected in zip(*grads, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-9, 1e-2, 1e6])
def test_first_training_batch_takes_the_units_out_of_the_gradient(scale: float) -> None:
    physics, (x, d) = operator(scale), pair()
    seen: list[Tensor] = []
    probe = nn.Identity()
    probe.register_forward_hook(lambda *call: seen.append(call[2]))
    conditioner = GradientConditioner(physics, probe).double()
    conditioner.eval()(x[:, :2], scale * d)
    conditioner.train()(x[:, :2], scale * d)
    conditioner(x[:, :2], scale * d)
    expected = physics.misfit_gradient(x[:, :1], scale * d)
    torch.testing.assert_close(seen[0][:, :1], expected, atol=0.0, rtol=1e-12)
    torch.testing.assert_close(seen[1][:, :1].std(unbiased=False).item(), 1.0, atol=1e-12, rtol=0.0)
    assert torch.equal(seen[1], seen[2])
    assert torch.equal(seen[1][:, 1:], x[:, 1:2])


def test_psi_maps_the_image_to_what_the_operator_takes_and_is_trained() -> None:
    psi = nn.Conv2d(1, 1, 1).double()
    physics, (x, d) = operator(), pair()
    conditioner = GradientConditioner(physics, nn.Identity(), psi=psi).double()
    expected = physics.misfit_gradient(psi(x[:, :1]), d)
    got = conditioner.eval()(x[:, :1], d)
    torch.testing.assert_close(got, expected, atol=1e-14, rtol=0.0)
    got.square().sum().backward()
    assert psi.weight.grad is not None
    assert psi.weight.grad.abs() > 0.0


def test_raw_data_may_move_in_a_lane_of_their_own() -> None:
    grads = []
    for memory in ("invert", "store"):
        torch.manual_seed(0)
        steps = [
            Step(ActNorm(4)),
            Step(slim_coupling(4, operator(), network=network)),
            Step(ActNorm(2, ndim=1), on_condition=True),
        ]
        lanes, (x, d) = randomised(TwoLanes(steps, memory)).eval(), pair()
        out = lanes(x.requires_grad_(), d.requires_grad_())
        back = lanes.inverse(out.x, out.y)
        torch.testing.assert_close(back.x, x, atol=1e-12, rtol=0.0)
        torch.testing.assert_close(back.y, d, atol=1e-12, rtol=0.0)
        loss = out.x.square().sum() + (out.y.square() * out.y.cumsum(-1)).sum() - out.logdet_x.sum()
        grads.append(torch.autograd.grad(loss, [x, d, *lanes.parameters()]))
    for got, expected in zip(*grads, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-10)


def test_what_does_not_fit_is_refused() -> None:
    layer, (x, d) = slim_coupling(4, operator(), network=network).double(), pair()
    with pytest.raises(ValueError, match="expected data d as the condition, got None"):
        layer(x)
    with pytest.raises(ValueError, match=r"expected data of shape \(3, 2, 5\), that of A x, got \(3, 5, 2\)"):
        layer(x, d.mT)
    wide = slim_coupling(4, operator(), network=network, model_channels=3).double()
    with pytest.raises(ValueError, match="expected at least 3 fixed channels, got 2"):
        wide.inverse(x, d)
    with pytest.raises(ValueError, match="expected a condition or at least 2 channels, got 1"):
        slim_coupling(1, operator(), network=network)


def test_learned_matrix_refuses_data_of_another_shape() -> None:
    def conditioner(in_channels: int, out_channels: int) -> nn.Module:
        return LearnedConditioner((2, 5), (1, 3, 4), network(in_channels + 1, out_channels))

    layer, (x, d) = Coupling(4, conditioner=conditioner).double(), pair()
    z, _ = layer(x, d)
    torch.testing.assert_close(z, x, atol=1e-14, rtol=0.0)  # the network starts at zero
    with pytest.raises(ValueError, match=r"expected data of shape \(B, 2, 5\), got \(3, 10\)"):
        layer(x, d.flatten(1))
    with pytest.raises(ValueError, match=r"expected data of shape \(B, 2, 5\), got None"):
        layer(x)
