"""What a coupling changes, how far, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from posterior.conditioners import ResidualConditioner
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Affine


@pytest.mark.parametrize("channels", [2, 5])
def test_starts_as_the_identity(channels: int) -> None:
    layer = Coupling(channels, 2, conditioner=ResidualConditioner)
    x = torch.randn(2, channels, 4, 4)
    z, logdet = layer(x, torch.randn(2, 2, 4, 4))
    torch.testing.assert_close(z, x, atol=1e-7, rtol=1e-7)
    torch.testing.assert_close(logdet, torch.zeros(2), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(("swap", "kept"), [(False, slice(3, 5)), (True, slice(0, 2))])
def test_fixed_part_passes_through(swap: bool, kept: slice) -> None:
    layer = Coupling(5, conditioner=lambda i, o: nn.Conv2d(i, o, 3, padding=1), swap=swap)
    x = torch.randn(2, 5, 4, 4)
    z, _ = layer(x)
    changed = [channel for channel in range(5) if not torch.equal(z[:, channel], x[:, channel])]
    assert torch.equal(z[:, kept], x[:, kept])
    assert len(changed) == 3


def test_scale_is_bounded_whatever_the_conditioner_says() -> None:
    torch.manual_seed(0)
    layer = Coupling(2, conditioner=lambda i, o: nn.Conv2d(i, o, 1), transform=Affine((0.5, 1.5))).double()
    with torch.no_grad():
        scale = layer(1e3 * torch.randn(64, 2, 1, 1).double())[1].exp()
    assert scale.min().item() == pytest.approx(0.5)
    assert scale.max().item() == pytest.approx(1.5)


def test_bad_arguments() -> None:
    with pytest.raises(
        ValueError, match=r"expected bounds \(low, high\) with 0 < low < high, got \(0.0, 1.0\)"
    ):
        Coupling(4, conditioner=ResidualConditioner, transform=Affine((0.0, 1.0)))
    with pytest.raises(ValueError, match="expected a condition or at least 2 channels, got 1"):
        Coupling(1, conditioner=ResidualConditioner)
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, or 0 for vectors, got 4"):
        Coupling(4, conditioner=ResidualConditioner, ndim=4)


def test_wrong_shapes_name_both_sides() -> None:
    layer = Coupling(4, 2, conditioner=ResidualConditioner)
    x, c = torch.randn(8, 4, 16, 16), torch.randn(8, 2, 16, 16)
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 4, nx, nz\), got \(8, 3, 16, 16\)"):
        layer(x[:, :3], c)
    with pytest.raises(ValueError, match=r"expected c of shape \(8, 2, 16, 16\) .*, got \(8, 2, 8, 16\)"):
        layer(x, c[:, :, :8])
    with pytest.raises(ValueError, match=r"expected a condition c of shape \(8, 2, 16, 16\), got None"):
        layer.inverse(x)
    with pytest.raises(ValueError, match=r"expected no condition c, got \(8, 2, 16, 16\)"):
        Coupling(4, conditioner=ResidualConditioner)(x, c)
