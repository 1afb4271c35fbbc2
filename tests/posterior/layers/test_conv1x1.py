"""The compact product of reflections is the product of reflections."""

from __future__ import annotations

import pytest
import torch

from posterior.layers.conv1x1 import Conv1x1


@pytest.mark.parametrize(("channels", "reflectors"), [(1, 1), (4, 1), (4, 3), (5, 5), (32, 32)])
def test_matrix_is_the_product_of_its_reflections(channels: int, reflectors: int) -> None:
    torch.manual_seed(0)
    layer = Conv1x1(channels, reflectors=reflectors).double()
    product = torch.eye(channels, dtype=torch.float64)
    for v in layer.vectors.detach():
        product = product @ (torch.eye(channels) - 2.0 * torch.outer(v, v) / (v @ v))
    x = torch.randn(2, channels, 3, 2, dtype=torch.float64)
    expected = torch.einsum("ij,bjxz->bixz", product, x)
    # The triangular system's condition grows with the number of reflections; 32 cost about three digits.
    torch.testing.assert_close(layer(x)[0], expected, atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(product @ product.T, torch.eye(channels).double(), atol=1e-13, rtol=0.0)


def test_matrix_is_orthogonal_to_float32_rounding_with_many_channels() -> None:
    torch.manual_seed(0)
    layer = Conv1x1(128)
    x = torch.randn(1, 128, 4, 4)
    back, _ = layer.inverse(layer(x)[0])
    torch.testing.assert_close(back, x, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("reflectors", [0, 5])
def test_number_of_reflectors_is_checked(reflectors: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to 4 reflectors for 4 channels, got {reflectors}"):
        Conv1x1(4, reflectors=reflectors)


def test_frozen_vectors_get_no_gradient() -> None:
    layer = Conv1x1(3)
    layer.vectors.requires_grad_(False)
    z = torch.randn(2, 3, 2, 2)
    assert list(layer.reverse_step(z, None, z, z.new_zeros(2)).grad_parameters) == []
