"""Two lanes in one chain: joint and conditional densities, gradients and memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner
from posterior.lanes import Lanes, TwoLanes
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.summarised import Summarised
from posterior.reversible import Memory, MemoryLike, Sequential
from posterior.walk import Step

EXACT: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}  # float64 through a dozen layers
SIZE_X, SIZE_Y = (3, 4, 6), (2, 2, 3)


def lanes(memory: MemoryLike, depth: int = 3, *, dropout: float = 0.0) -> TwoLanes:
    """x of 3 channels, y of 2 at half the size; y's image is enlarged on its way to x."""
    torch.manual_seed(0)
    build = partial(ResidualConditioner, hidden=5, dropout=dropout)
    steps: list[Step] = []
    for _ in range(depth):
        enlarge = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Upsample(scale_factor=2.0))
        flow = Sequential([ActNorm(3), Conv1x1(3), Coupling(3, conditioner=build)])
        given_y = Summarised(Coupling(3, 2, conditioner=build), enlarge)
        steps += [Step(ActNorm(2), on_condition=True), Step(flow, given_condition=False), Step(given_y)]
        steps += [Step(Coupling(2, conditioner=build), on_condition=True)]
    module = TwoLanes(steps, memory).double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def pair(batch: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    images = (torch.randn(batch, *size, dtype=torch.float64) for size in (SIZE_X, SIZE_Y))
    x, y = (image.requires_grad_() for image in images)
    return x, y


def gradients(module: TwoLanes, *, inverse: bool = False, lane: str = "both") -> list[Tensor]:
    x, y = pair()
    torch.manual_seed(5)
    out: Lanes = (module.inverse if inverse else module)(x, y)
    loss = (out.x.sin() * out.x).sum() - (torch.arange(3) * out.logdet_x).sum()
    if lane == "both":
        loss = loss + out.y.square().sum() - (torch.arange(3).square() * out.logdet_y).sum()
    leaves = [x, y, *module.parameters()]
    return list(torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True))


def test_round_trip_in_both_lanes() -> None:
    module, (x, y) = lanes("store"), pair()
    z = module(x, y)
    back = module.inverse(z.x, z.y)
    torch.testing.assert_close((back.x, back.y), (x, y), **EXACT)
    torch.testing.assert_close((back.logdet_x, back.logdet_y), (-z.logdet_x, -z.logdet_y), **EXACT)
    torch.testing.assert_close(module.forward_y(y), (z.y, z.logdet_y), **EXACT)
    torch.testing.assert_close(module.inverse_y(z.y), (y, back.logdet_y), **EXACT)


def test_logdets_are_those_of_the_joint_jacobian_and_of_its_diagonal_block() -> None:
    module, (x, y) = lanes("store"), pair(1)
    n = x.numel()

    def joint(v: Tensor) -> Tensor:
        out = module(v[:n].view_as(x), v[n:].view_as(y))
        return torch.cat((out.x.flatten(), out.y.flatten()))

    jacobian = torch.autograd.functional.jacobian(joint, torch.cat((x.flatten(), y.flatten())).detach())
    out = module(x, y)
    expected = torch.linalg.slogdet(jacobian)[1]
    torch.testing.assert_close(out.logdet_x[0] + out.logdet_y[0], expected, **EXACT)
    torch.testing.assert_close(out.logdet_x[0], torch.linalg.slogdet(jacobian[:n, :n])[1], **EXACT)


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("lane", ["both", "x"])
@pytest.mark.parametrize(
    "memory",
    ["invert", "checkpoint", Memory(keep=True), Memory(chunk=2), Memory(anchor_every=4, chunk=1, keep=True)],
    ids=str,
)
def test_gradients_equal_stored_ones(memory: MemoryLike, lane: str, inverse: bool) -> None:
    results = [gradients(lanes(mode), inverse=inverse, lane=lane) for mode in (memory, "store")]
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, **EXACT)


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_dropout_draws_the_same_masks_again(inverse: bool) -> None:
    results = []
    for memory in ("invert", "store"):
        module = lanes(memory, dropout=0.5)
        module.train()
        for name, flag in module.named_buffers():
            assert name.endswith("initialised")
            flag.fill_(True)
        results.append(gradients(module, inverse=inverse))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, **EXACT)
    assert not torch.allclose(results[0][0], gradients(lanes("store"), inverse=inverse)[0])


def test_drift_is_watched_in_both_lanes() -> None:
    module = lanes("invert")
    assert module.drift is None
    gradients(module)
    assert module.drift is not None
    assert module.drift < 1e-10


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="expected at least one step, got none"):
        TwoLanes([])
    with pytest.raises(ValueError, match="without running statistics"):
        TwoLanes([Step(Summarised(Coupling(2, 2, conditioner=ResidualConditioner), nn.BatchNorm2d(2)))])
