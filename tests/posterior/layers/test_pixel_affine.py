"""A number for each cell: where it starts, what it says of sizes."""

from __future__ import annotations

import pytest
import torch

from posterior.layers.pixel_affine import PixelAffine


@pytest.mark.parametrize("shape", [(3,), (2, 5), (1, 4, 3), (2, 2, 3, 4)])
def test_starts_as_the_identity(shape: tuple[int, ...]) -> None:
    x = torch.randn(2, *shape)
    z, logdet = PixelAffine(shape)(x)
    assert torch.equal(z, x)
    assert torch.equal(logdet, torch.zeros(2))


def test_every_cell_has_its_own_scale_and_shift() -> None:
    torch.manual_seed(0)
    layer = PixelAffine((2, 3, 4)).double()
    with torch.no_grad():
        layer.log_scale.normal_()
        layer.bias.normal_()
    x = torch.randn(5, 2, 3, 4, dtype=torch.float64)
    z, logdet = layer(x)
    torch.testing.assert_close(z, x * layer.log_scale.exp() + layer.bias, atol=1e-14, rtol=1e-14)
    torch.testing.assert_close(logdet, layer.log_scale.sum().expand(5))


def test_frozen_part_gets_no_gradient() -> None:
    layer = PixelAffine((1, 2, 2))
    layer.bias.requires_grad_(False)
    z = torch.randn(3, 1, 2, 2)
    (grad_scale,) = layer.reverse_step(z, None, z, z.new_ones(3)).grad_parameters
    assert grad_scale is not None
    torch.testing.assert_close(grad_scale, z.square().sum(0) + 3.0)


def test_wrong_sizes_name_both() -> None:
    layer = PixelAffine((2, 8, 16))
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 2, 8, 16\), got \(4, 2, 8, 8\)"):
        layer(torch.zeros(4, 2, 8, 8))
    with pytest.raises(ValueError, match=r"expected z of shape \(B, 2, 8, 16\), got \(2, 8, 16\)"):
        layer.inverse(torch.zeros(2, 8, 16))
    with pytest.raises(ValueError, match=r"expected positive sizes \(C, nx, ...\), got \(1, 0, 4\)"):
        PixelAffine((1, 0, 4))
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, or 0 for vectors, got 4"):
        PixelAffine((1, 2, 2, 2, 2))
