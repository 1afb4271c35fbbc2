"""The multi-scale network: its bad input, its independence of memory mode and layout."""

from __future__ import annotations

import pytest
import torch

from posterior.networks.glow import ConditionalGlow
from posterior.reversible import Memory, MemoryLike, Sequential


def build(memory: MemoryLike = "invert") -> ConditionalGlow:
    torch.manual_seed(0)
    net = ConditionalGlow(1, 2, hidden=6, scales=2, steps=2, memory=memory).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_memory_modes_agree_in_training(inverse: bool) -> None:
    results = []
    for memory in ("invert", "checkpoint", "store"):
        net = build(memory).train()
        torch.manual_seed(1)
        x = torch.randn(3, 1, 8, 12, dtype=torch.float64, requires_grad=True)
        c = torch.randn(3, 2, 8, 12, dtype=torch.float64, requires_grad=True)
        z, logdet = (net.inverse if inverse else net)(x, c)
        loss = (z.square() * z.cumsum(-1)).sum() - logdet.sum()
        results.append(torch.autograd.grad(loss, [x, c, *net.parameters()]))
    for other in results[1:]:
        for got, expected in zip(results[0], other, strict=True):
            torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-10)


def test_memory_layout_of_the_input_does_not_matter() -> None:
    net = build().eval()
    x, c = torch.randn(2, 1, 8, 8).double(), torch.randn(2, 2, 8, 8).double()
    other = [v.contiguous(memory_format=torch.channels_last) for v in (x, c)]
    for a, b in zip(net(x, c), net(*other), strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


def test_sizes_that_do_not_divide_are_refused_with_the_number() -> None:
    net = build()
    with pytest.raises(ValueError, match="nx of x must be a multiple of 4, got 66: pad to 68"):
        net(torch.zeros(1, 1, 66, 64).double(), torch.zeros(1, 2, 66, 64).double())
    with pytest.raises(ValueError, match="nz of z must be a multiple of 4, got 62: pad to 64"):
        net.inverse(torch.zeros(1, 1, 64, 62).double(), torch.zeros(1, 2, 64, 62).double())


def test_wrong_shapes_and_precision_are_refused() -> None:
    net = build()
    x, c = torch.zeros(2, 1, 8, 8).double(), torch.zeros(2, 2, 8, 8).double()
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 1, nx, nz\), got \(2, 2, 8, 8\)"):
        net(c, c)
    with pytest.raises(ValueError, match=r"expected c of shape \(2, 2, 8, 8\) .*, got \(1, 2, 8, 8\)"):
        net(x, c[:1])
    with pytest.raises(ValueError, match=r"expected a condition c of shape \(2, 2, 8, 8\), got None"):
        net(x)
    with pytest.raises(ValueError, match=r"expected x in float32 or float64, got torch.bfloat16: .*autocast"):
        net(x.bfloat16(), c)


def test_what_does_not_fit_the_network_names_both_sides() -> None:
    net = build().float()
    x, c = torch.zeros(2, 1, 8, 8), torch.zeros(2, 2, 8, 8)
    with pytest.raises(ValueError, match=r"x in torch.float32 on cpu as the network is, got torch.float64"):
        net(x.double(), c.double())
    with pytest.raises(ValueError, match=r"z in torch.float32 on cpu as the network is, got .* on meta"):
        net.inverse(x.to("meta"), c)
    with pytest.raises(ValueError, match=r"c in torch.float32 on cpu as x is, got torch.float64 on cpu"):
        net(x, c.double())
    with pytest.raises(ValueError, match="expected squeeze 'haar', 'checkerboard' or a factory, got 'harr'"):
        ConditionalGlow(1, 1, squeeze="harr")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected one memory choice, or one for each of 3 scales, got 2"):
        ConditionalGlow(1, 1, memory=["invert", "store"])


def test_memory_is_chosen_for_every_scale() -> None:
    choices = (Memory("invert", keep=True), "store")
    net = ConditionalGlow(1, 2, hidden=4, scales=2, steps=1, memory=choices)
    chains = [chain for chain in net.scales.chains if isinstance(chain, Sequential)]
    assert [chain.memory for chain in chains] == [choices[0], Memory("store")]
    z, logdet = net(torch.randn(2, 1, 8, 8), torch.randn(2, 2, 8, 8))
    (z.square().sum() - logdet.sum()).backward()
    assert [chain.drift is None for chain in chains] == [False, True]


@pytest.mark.parametrize("name", ["in_channels", "scales", "steps"])
def test_bad_sizes_are_refused(name: str) -> None:
    options = {"in_channels": 1, "cond_channels": 1, "scales": 2, "steps": 2} | {name: 0}
    with pytest.raises(ValueError, match=f"expected {name} of at least 1, got 0"):
        ConditionalGlow(**options)  # type: ignore[arg-type]
