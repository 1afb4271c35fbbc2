"""The matrix in LU form: what it is, where it starts, how accurately it is undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posterior.layers.lu import Conv1x1LU


def matrix(layer: Conv1x1LU) -> Tensor:
    """W, column by column, from what the layer does to unit vectors."""
    return layer(torch.eye(layer.channels).to(layer.sign.dtype)[..., None, None])[0][..., 0, 0].detach().T


def moved(channels: int) -> Conv1x1LU:
    torch.manual_seed(0)
    layer = Conv1x1LU(channels).double()
    nn.init.normal_(layer.factors, std=0.3)
    return layer


@pytest.mark.parametrize("channels", [1, 2, 5, 16])
def test_log_determinant_is_that_of_numpy_times_the_cells(channels: int) -> None:
    layer = moved(channels)
    _, logdet = layer(torch.randn(3, channels, 2, 5, dtype=torch.float64))
    expected = 10.0 * np.linalg.slogdet(matrix(layer).numpy()).logabsdet
    np.testing.assert_allclose(logdet.detach().numpy(), [expected] * 3, rtol=1e-11, atol=1e-11)


def test_matrix_is_the_product_of_its_factors() -> None:
    layer = moved(5)
    packed = layer.factors.detach()
    permutation = torch.eye(5, dtype=torch.float64)[layer.permutation]
    lower = packed.tril(-1) + torch.eye(5)
    upper = packed.triu(1) + torch.diag(layer.sign * packed.diagonal().exp())
    torch.testing.assert_close(matrix(layer), permutation @ lower @ upper, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("channels", [1, 2, 3, 12])
def test_starts_as_a_rotation(channels: int) -> None:
    for seed in range(4):
        torch.manual_seed(seed)
        layer = Conv1x1LU(channels).double()
        w = matrix(layer)
        # The factors were drawn in float64 and rounded to float32, whose epsilon is 1.2e-7.
        torch.testing.assert_close(w @ w.T, torch.eye(channels).double(), atol=3e-6, rtol=0.0)
        assert torch.linalg.det(w).item() == pytest.approx(1.0, abs=1e-5)


def test_float32_round_trip_loses_no_more_than_the_condition_number_says() -> None:
    torch.manual_seed(0)
    layer = Conv1x1LU(24)
    with torch.no_grad():
        layer.factors.diagonal().add_(torch.linspace(-4.0, 4.0, 24))
    condition = torch.linalg.cond(matrix(layer).double()).item()
    assert condition > 1e3
    x = torch.randn(4, 24, 8, 8)
    back, _ = layer.inverse(layer(x)[0])
    assert (back - x).norm() / x.norm() < condition * torch.finfo(torch.float32).eps


def test_frozen_layer_has_nothing_to_train_and_travels_with_the_state() -> None:
    torch.manual_seed(0)
    frozen, learned = Conv1x1LU(3, frozen=True), Conv1x1LU(3)
    assert list(frozen.requires_grad_().parameters()) == []
    learned.load_state_dict(frozen.state_dict())
    z, grad_logdet = torch.randn(2, 3, 2, 2), torch.ones(2)
    for name in ("reverse_step", "reverse_step_inverse"):
        step, other = (getattr(layer, name)(z, None, z, grad_logdet) for layer in (frozen, learned))
        assert list(step.grad_parameters) == []
        assert len(other.grad_parameters) == 1
        assert torch.equal(step.input, other.input)
        assert torch.equal(step.grad_input, other.grad_input)


def test_wrong_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 4, nx, nz\), got \(8, 3, 16, 16\)"):
        Conv1x1LU(4)(torch.zeros(8, 3, 16, 16))
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, or 0 for vectors, got 4"):
        Conv1x1LU(4, ndim=4)
