"""Multi-scale HINT: its memory, its independence of the mode, and its bad input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from posterior.layers.hint import HINTCoupling
from posterior.layers.squeeze import HaarSqueeze
from posterior.layers.wavelet import WaveletSqueeze
from posterior.networks.hint import HINT
from posterior.reversible import Memory, MemoryLike

DIRECTIONS = pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])

SavedBytes = Callable[..., int]


def build(memory: MemoryLike = "invert", **options: Any) -> HINT:
    torch.manual_seed(0)
    net = HINT(1, 2, **{"hidden": 6, "scales": 2, "steps": 2, "memory": memory} | options)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def pair(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    x, c = torch.randn(3, 1, 8, 12, dtype=dtype), torch.randn(3, 2, 8, 12, dtype=dtype)
    return x.requires_grad_(), c.requires_grad_()


@DIRECTIONS
def test_memory_modes_agree_in_training(inverse: bool) -> None:
    results = []
    for memory in ("store", "invert", "checkpoint", Memory(keep=True)):
        net = build(memory, shared=True, permute="both").double().train()
        x, c = pair()
        z, logdet = (net.inverse if inverse else net)(x, c)
        loss = (z.square() * z.cumsum(-1)).sum() - logdet.sum()
        results.append(torch.autograd.grad(loss, [x, c, *net.parameters()]))
    for other in results[1:]:
        # Float64 rounding over two scales.
        torch.testing.assert_close(other, results[0], atol=1e-10, rtol=1e-10)


@DIRECTIONS
def test_bytes_saved_do_not_depend_on_depth(saved_bytes: SavedBytes, inverse: bool) -> None:
    kept = {}
    for memory in ("invert", "store"):
        for steps in (2, 8):
            net = build(memory, steps=steps)
            call = net.inverse if inverse else net
            kept[memory, steps] = saved_bytes(call, net.parameters(), *pair(torch.float32))
    assert kept["invert", 2] == kept["invert", 8]
    assert kept["store", 8] > 3 * kept["store", 2] > 10 * kept["invert", 2]


def test_options_reach_the_couplings_and_the_squeezes() -> None:
    net = build(scales=3, recursion=1, permute="lower", squeeze=lambda _: WaveletSqueeze("db2"))
    couplings = [module for module in net.modules() if isinstance(module, HINTCoupling)]
    # Scales of 4, 8 and 16 channels, two steps each, and the two parts of the latter two.
    assert [c.channels for c in couplings] == [4] * 2 + [8, 4, 4] * 2 + [16, 8, 8] * 2
    assert [c.channels for c in couplings if c.permute == "lower"] == [4, 4, 8, 8, 16, 16]
    assert len([m for m in net.modules() if isinstance(m, WaveletSqueeze)]) == 3
    assert len([m for m in build().modules() if isinstance(m, HaarSqueeze)]) == 2


def test_bfloat16_conditioners_leave_the_state_in_full_precision() -> None:
    net = build(dtype=torch.bfloat16)
    x, c = pair(torch.float32)
    z, logdet = net(x, c)
    back, _ = net.inverse(z, c)
    assert z.dtype == logdet.dtype == torch.float32
    torch.testing.assert_close(back, x, atol=1e-4, rtol=1e-4)  # float32 rounding; bfloat16's is 4e-3
    (z.square().sum() - logdet.sum()).backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in net.parameters())


def test_wrong_shapes_and_precision_are_refused() -> None:
    net = build()
    x, c = pair(torch.float32)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: net(c, c), r"expected x of shape \(B, 1, nx, nz\), got \(3, 2, 8, 12\)"),
        (lambda: net(x, c[:1]), r"expected c of shape \(3, 2, 8, 12\) .*, got \(1, 2, 8, 12\)"),
        (lambda: net(x), r"expected a condition c of shape \(3, 2, 8, 12\), got None"),
        (lambda: net(x[..., :10], c), "nz of x must be a multiple of 4, got 10: pad to 12"),
        (lambda: net.inverse(x[:, :, :6], c), "nx of z must be a multiple of 4, got 6: pad to 8"),
        (lambda: net(x.bfloat16(), c), "expected x in float32 or float64, got torch.bfloat16"),
    ]
    for call, message in calls:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": 0}, "expected scales of at least 1, got 0"),
        ({"steps": 0}, "expected steps of at least 1, got 0"),
        ({"ndim": 0}, "expected ndim 1, 2 or 3, got 0"),
        ({"squeeze": "harr"}, "expected squeeze 'haar', 'checkerboard' or a factory, got 'harr'"),
        ({"shared": True, "ndim": 1, "scales": 1}, None),
        ({"memory": ["invert"]}, "expected one memory choice, or one for each of 3 scales, got 1"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str | None) -> None:
    construct = partial(HINT, 3, **options)
    if message is None:
        assert len(list(construct().parameters()))
        return
    with pytest.raises(ValueError, match=message):
        construct()
