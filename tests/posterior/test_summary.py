"""Summary networks: any size in, the same size out, no dependence between samples."""

from __future__ import annotations

import pytest
import torch

from posterior.conditioners import ResidualConditioner
from posterior.summary import ConditionPyramid, UNet


@pytest.mark.parametrize("size", [(16,), (8, 8), (13, 6), (1, 3), (8, 4, 12), (5, 3, 2)])
def test_unet_keeps_any_size(size: tuple[int, ...]) -> None:
    net = UNet(2, 3, width=4, ndim=len(size))
    y = torch.randn(2, 2, *size)
    c = net(y)
    assert c.shape == (2, 3, *size)
    assert c.isfinite().all()
    torch.testing.assert_close(net(y[1:]), c[1:], atol=1e-5, rtol=1e-5)


def test_unet_sees_every_cell() -> None:
    net = UNet(1, 1, width=4).double()
    y = torch.randn(1, 1, 8, 6, dtype=torch.float64, requires_grad=True)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    net(y)[0, 0, 5, 3].backward()
    assert y.grad is not None
    assert (y.grad != 0.0).all()


def test_dropout_acts_in_training_only() -> None:
    net = UNet(1, 2, width=8, dropout=0.5)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    y = torch.randn(2, 1, 8, 8)
    assert not torch.equal(net(y), net(y))
    net.eval()
    assert torch.equal(net(y), net(y))


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected y of shape \(B, 2, nx, nz\), got \(1, 3, 8, 8\)"):
        UNet(2, 1)(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="expected at least 1 level, got 0"):
        UNet(2, 1, levels=0)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_pyramid_keeps_its_channels_at_every_scale(ndim: int) -> None:
    levels = ConditionPyramid(3, 2, ndim=ndim)(torch.randn(2, 3, *(8,) * ndim))
    assert [level.shape for level in levels] == [(2, 3, *(4,) * ndim), (2, 3, *(2,) * ndim)]


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("activation", ["silu", "relu"])
def test_conditioner_starts_at_zero_and_keeps_the_size(ndim: int, activation: str) -> None:
    net = ResidualConditioner(3, 4, hidden=5, ndim=ndim, activation=activation, dropout=0.2)  # type: ignore[arg-type]
    result = net(torch.randn(2, 3, *(5,) * ndim))
    assert result.shape == (2, 4, *(5,) * ndim)
    assert not result.any()
