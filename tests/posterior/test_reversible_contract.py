"""What a chain asks of its layers and refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from posterior.invertible import Invertible, ReverseStep, Trace
from posterior.layers.actnorm import ActNorm
from posterior.layers.coupling import Coupling
from posterior.reversible import Sequential


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, partial(nn.InstanceNorm2d, track_running_stats=True)])
def test_running_statistics_are_refused(norm: Callable[[int], nn.Module]) -> None:
    def conditioner(channels: int, out: int) -> nn.Module:
        return nn.Sequential(norm(channels), nn.Conv2d(channels, out, 1))

    with pytest.raises(ValueError, match=r"without running statistics, got .*conditioner\.0\.running_mean"):
        Sequential([Coupling(4, conditioner=conditioner)])


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="expected at least one layer, got none"):
        Sequential([])
    with pytest.raises(ValueError, match='expected memory "invert", "checkpoint" or "store", got \'invrt\''):
        Sequential([ActNorm(2)], "invrt")  # type: ignore[arg-type]


def test_a_condition_gradient_may_be_the_tensor_of_another_gradient() -> None:
    class Shift(Invertible):
        """z = x + c: the gradients of x and of c are one and the same tensor."""

        def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
            assert c is not None
            return x + c, x.new_zeros(len(x))

        def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
            assert c is not None
            return z - c, z.new_zeros(len(z))

        def reverse_step(
            self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
        ) -> ReverseStep:
            return ReverseStep(self.inverse(z, c)[0].detach(), grad_z, grad_z, [])

    x, c = torch.zeros(2, 1, 3, 3, requires_grad=True), torch.zeros(2, 1, 3, 3, requires_grad=True)
    Sequential([Shift(), Shift(), Shift()])(x, c)[0].sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))  # type: ignore[arg-type]
    assert torch.equal(c.grad, torch.full_like(c, 3.0))  # type: ignore[arg-type]
