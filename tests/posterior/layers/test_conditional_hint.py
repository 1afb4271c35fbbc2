"""The steps of a conditional HINT layer: what sees what, lanes of two sizes, gradients."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner
from posterior.lanes import Lanes, TwoLanes
from posterior.layers.actnorm import ActNorm
from posterior.layers.conditional_hint import Resample, conditional_hint_steps
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.hint import HINTCoupling
from posterior.reversible import Memory, MemoryLike

EXACT: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}  # float64 rounding over a few layers of order one
C, K = 3, 5


def lanes(memory: MemoryLike = "invert", *, dropout: float = 0.0, **options: Any) -> TwoLanes:
    torch.manual_seed(0)
    conditioner = partial(ResidualConditioner, hidden=6, dropout=dropout)
    steps = [
        step for _ in range(2) for step in conditional_hint_steps(C, K, conditioner=conditioner, **options)
    ]
    chain = TwoLanes(steps, memory).double()
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return chain


def pair(size: tuple[int, int] = (4, 6)) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return (
        torch.randn(3, C, 4, 6, dtype=torch.float64, requires_grad=True),
        torch.randn(3, K, *size, dtype=torch.float64, requires_grad=True),
    )


def halved(channels: int, out: int) -> nn.Module:
    """A module of the user's own from one lane to the other."""
    return nn.Sequential(nn.Conv2d(channels, out, 2, stride=2), nn.Tanh(), nn.Dropout(0.3))


def gradients(chain: TwoLanes, x: Tensor, y: Tensor, *, inverse: bool) -> list[Tensor | None]:
    torch.manual_seed(2)
    out: Lanes = (chain.inverse if inverse else chain)(x, y)
    share = torch.arange(1, 4)
    loss = (out.x * out.x.cumsum(1)).sum() + (out.y * out.y.cumsum(1)).sum()
    loss = loss - (share * out.logdet_x).sum() - (share.square() * out.logdet_y).sum()
    return list(torch.autograd.grad(loss, [x, y, *chain.parameters()]))


@pytest.mark.parametrize("permute", [True, False])
def test_equals_the_printed_layer(permute: bool) -> None:
    chain = lanes(permute=permute).eval()
    x, y = pair()
    want_x, want_y, logdet_x, logdet_y = x, y, torch.zeros(3), torch.zeros(3)
    per_layer = iter(chain.layers)
    for _ in range(2):
        before_y = [next(per_layer) for _ in range(1 + permute)]
        before_x = [next(per_layer) for _ in range(1 + permute)]
        hint_x, across, hint_y = (next(per_layer) for _ in range(3))
        for layer in before_y:
            want_y, change = layer(want_y)
            logdet_y = logdet_y + change
        for layer in [*before_x, hint_x]:
            want_x, change = layer(want_x)
            logdet_x = logdet_x + change
        raw_scale, shift = across.conditioner(want_y).chunk(2, 1)
        scale = 0.5 + torch.sigmoid(raw_scale)
        want_x, logdet_x = scale * want_x + shift, logdet_x + scale.log().flatten(1).sum(1)
        want_y, change = hint_y(want_y)
        logdet_y = logdet_y + change
        assert [type(layer) for layer in before_y] == [ActNorm, Conv1x1][: 1 + permute]
        assert isinstance(across, Coupling)
        assert isinstance(hint_y, HINTCoupling)
    torch.testing.assert_close(chain(x, y), Lanes(want_x, want_y, logdet_x, logdet_y), **EXACT)


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize(
    "memory", ["invert", Memory(keep=True), "checkpoint"], ids=["", "keep", "checkpoint"]
)
@pytest.mark.parametrize("adapted", [False, True], ids=["one size", "two sizes"])
def test_memory_modes_agree(memory: MemoryLike, adapted: bool, inverse: bool) -> None:
    results = []
    for mode in (memory, "store"):
        chain = lanes(mode, dropout=0.3, adapter=halved if adapted else None)
        results.append(gradients(chain, *pair((8, 12) if adapted else (4, 6)), inverse=inverse))
    torch.testing.assert_close(*results, **EXACT)


@pytest.mark.parametrize(
    ("ndim", "ratio", "size", "expected"),
    [
        (1, 0.5, (6,), (3,)),
        (2, (2.0, 0.25), (3, 8), (6, 2)),
        (2, (2.0 / 3.0, 1.5), (24, 10), (16, 15)),
        (3, 2.0, (1, 2, 3), (2, 4, 6)),
    ],
)
def test_resample_gives_the_size(
    ndim: int, ratio: float | tuple[float, ...], size: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert Resample(2, 3, ratio=ratio, ndim=ndim)(torch.randn(4, 2, *size)).shape == (4, 3, *expected)


@pytest.mark.parametrize("ratio", [0.0, (1.0,), (1.0, -1.0)])
def test_bad_ratios_are_refused(ratio: float | tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected a positive ratio for each of 2 axes, got \("):
        Resample(2, 3, ratio=ratio)


def test_sizes_that_do_not_meet_are_refused() -> None:
    x, y = pair((8, 12))
    with pytest.raises(ValueError, match=r"expected c of shape \(3, 5, 4, 6\) .*, got \(3, 5, 8, 12\)"):
        lanes()(x, y)
    with pytest.raises(ValueError, match=r"expected c of shape \(3, 5, 4, 6\) .*, got \(3, 5, 8, 6\)"):
        lanes(adapter=partial(Resample, ratio=(1.0, 0.5)))(x, y)
