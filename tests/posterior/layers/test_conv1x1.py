"""The compact product of reflections is the product of reflections, and its gradient is cheap."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.householder import reflections, vector_gradients


@pytest.mark.parametrize(
    ("channels", "reflectors"), [(1, 1), (1, 6), (4, 1), (4, 3), (5, 5), (3, 20), (32, 32), (8, 200)]
)
def test_matrix_is_the_product_of_its_reflections(channels: int, reflectors: int) -> None:
    torch.manual_seed(0)
    layer = Conv1x1(channels, reflectors=reflectors).double()
    product = torch.eye(channels, dtype=torch.float64)
    for v in layer.vectors.detach():
        product = product @ (torch.eye(channels) - 2.0 * torch.outer(v, v) / (v @ v))
    x = torch.randn(2, channels, 3, 2, dtype=torch.float64)
    expected = torch.einsum("ij,bjxz->bixz", product, x)
    # Entries of T are at most 4, so rounding grows with the number of reflections only; two digits for 200.
    torch.testing.assert_close(layer(x)[0], expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(product @ product.T, torch.eye(channels).double(), atol=1e-13, rtol=0.0)


@pytest.mark.parametrize(("channels", "reflectors"), [(2, 300), (8, 200), (64, 64)])
def test_compact_form_never_grows(channels: int, reflectors: int) -> None:
    torch.manual_seed(0)
    vectors = torch.randn(3, reflectors, channels, dtype=torch.float64)
    vectors[1] = vectors[1, :1]  # one reflection over and over
    assert reflections(vectors).t.abs().max() <= 4.0 + 1e-12


def test_matrix_is_orthogonal_to_float32_rounding_with_many_channels() -> None:
    torch.manual_seed(0)
    layer = Conv1x1(128)
    x = torch.randn(1, 128, 4, 4)
    back, _ = layer.inverse(layer(x)[0])
    torch.testing.assert_close(back, x, atol=1e-5, rtol=0.0)


def test_gradient_of_few_reflections_costs_as_little_as_they_do() -> None:
    channels, reflectors = 96, 3
    compact = reflections(torch.randn(reflectors, channels))
    with FlopCounterMode(display=False) as counter:
        vector_gradients(compact, torch.randn(channels, channels, dtype=torch.float64))
    # Two products of (R, C) with (C, C), 2 C^2 R operations each; the rest is of order C R^2.
    assert counter.get_total_flops() < 4.5 * channels**2 * reflectors


def test_vectors_have_no_spatial_axes() -> None:
    torch.manual_seed(0)
    layer = Conv1x1(4, ndim=0)
    x = torch.randn(6, 4)
    image = Conv1x1(4)
    image.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x)[0], image(x[..., None, None])[0][..., 0, 0])


def test_at_least_one_reflector() -> None:
    with pytest.raises(ValueError, match="expected at least 1 reflector, got 0"):
        Conv1x1(4, reflectors=0)


def test_frozen_layer_has_nothing_to_train_and_travels_with_the_state() -> None:
    torch.manual_seed(0)
    frozen, learned = Conv1x1(3, frozen=True), Conv1x1(3)
    assert list(frozen.requires_grad_().parameters()) == []
    learned.load_state_dict(frozen.state_dict())
    z = torch.randn(2, 3, 2, 2)
    step, other = (layer.reverse_step(z, None, z, z.new_zeros(2)) for layer in (frozen, learned))
    assert list(step.grad_parameters) == []
    assert torch.equal(step.input, other.input)
    assert torch.equal(step.grad_input, other.grad_input)


def test_vectors_frozen_later_get_no_gradient() -> None:
    layer = Conv1x1(3).requires_grad_(False)
    z = torch.randn(2, 3, 2, 2)
    assert list(layer.reverse_step(z, None, z, z.new_zeros(2)).grad_parameters) == []
