"""Compiled conditioners: the same gradients, in every memory mode."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch

from posterior.networks.glow import ConditionalGlow
from posterior.reversible import Memory, MemoryLike
from posterior.training.step import compile_conditioners

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler"),
    pytest.mark.filterwarnings("ignore"),  # of the compiler's own
]


@pytest.mark.parametrize("memory", ["invert", Memory(keep=True), "store"], ids=["invert", "keep", "store"])
def test_gradients_are_those_of_the_plain_network(memory: MemoryLike) -> None:
    torch.manual_seed(0)
    net = ConditionalGlow(1, 2, hidden=8, scales=2, steps=1, memory=memory).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    compiled = copy.deepcopy(net)
    compile_conditioners(compiled)
    results = []
    for one in (net, compiled):
        torch.manual_seed(1)
        x, c = (torch.randn(2, channels, 8, 8).double().requires_grad_() for channels in (1, 2))
        z, logdet = one.eval()(x, c)
        results.append(torch.autograd.grad(z.square().sum() - logdet.sum(), [x, c, *one.parameters()]))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-10)
    assert list(compiled.state_dict()) == list(net.state_dict())
