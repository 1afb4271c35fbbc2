"""The drift guard warns where gradients go wrong by drift, and only there."""

from __future__ import annotations

import warnings
from functools import partial

import pytest
import torch
from torch import Tensor

from posterior.conditioners import ResidualConditioner
from posterior.invertible import Invertible
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Affine
from posterior.reversible import Memory, Sequential


def images() -> Tensor:
    return torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def gradients(
    memory: Memory,
    bounds: tuple[float, float],
    dtype: torch.dtype | None = None,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Those of 64 flow steps of random weights."""
    torch.manual_seed(0)
    layers: list[Invertible] = []
    for _ in range(64):
        build = partial(ResidualConditioner, hidden=8)
        coupling = Coupling(4, conditioner=build, transform=Affine(bounds), dtype=dtype)
        layers += [ActNorm(4), Conv1x1(4), coupling]
    chain = Sequential(layers, memory).eval()
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    z, logdet = chain.to(precision)(images().to(precision))
    loss = (0.5 * z.square().sum() - logdet.sum()) / z.numel()
    found = torch.autograd.grad(loss, list(chain.parameters()))
    return torch.cat([gradient.double().flatten() for gradient in found])


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


# Scales about 1 keep an error what it is; scales of at most 1 shrink the image, and the way back amplifies.
GENTLE, SHRINKING = (0.5, 1.5), (0.05, 1.0)
KEEP, ANCHORS = Memory(keep=True), Memory(anchor_every=16)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("bounds", "memory", "spoilt"),
    [
        (GENTLE, Memory(), False),
        (GENTLE, KEEP, False),
        (SHRINKING, Memory(), True),
        (SHRINKING, KEEP, True),
        (SHRINKING, ANCHORS, False),
    ],
    ids=["gentle", "gentle, keep", "shrinking", "shrinking, keep", "shrinking, anchors"],
)
def test_guard_warns_where_drift_spoils_gradients_and_only_there(
    bounds: tuple[float, float], memory: Memory, spoilt: bool, dtype: torch.dtype | None
) -> None:
    without_drift = gradients(Memory(anchor_every=1), bounds, dtype)
    cost_of_precision = distance(without_drift, gradients(Memory("store"), bounds, precision=torch.float64))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        change = distance(gradients(memory, bounds, dtype), without_drift)
    assert (not change <= max(1e-3, cost_of_precision)) == spoilt
    assert [one.category for one in caught] == [RuntimeWarning] * spoilt


def test_drift_below_the_precision_of_conditioners_is_told_on_request() -> None:
    with pytest.warns(RuntimeWarning, match="relative error of"):
        gradients(Memory(drift_tolerance=1e-3), GENTLE, torch.bfloat16)
