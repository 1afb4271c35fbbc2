"""Losses agree with the scores of the same name, and can be differentiated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from posterior.training.image_losses import dissimilarity, mean_squared_error, negative_snr
from posterior.uq import rmse, snr_db, ssim


def images(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    truth = torch.randn(3, 1, *shape, generator=draws, dtype=dtype).cumsum(-1)
    return truth + 0.4 * torch.randn(truth.shape, generator=draws, dtype=dtype), truth


@pytest.mark.parametrize("shape", [(40,), (16, 20), (12, 13, 11)], ids=str)
@pytest.mark.parametrize("data_range", [1.0, 7.5])
def test_dissimilarity_is_one_minus_ssim_of_the_convention(shape: tuple[int, ...], data_range: float) -> None:
    estimate, truth = images(*shape)
    expected = [
        1.0 - ssim(a[0].numpy(), b[0].numpy(), data_range=data_range).value
        for a, b in zip(estimate, truth, strict=True)
    ]
    got = dissimilarity(estimate, truth, data_range=data_range)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    # In single precision variances are differences of rounded squares: 1e-7 of them, over c2 = 9e-4.
    single = dissimilarity(estimate.float(), truth.float(), data_range=data_range)
    np.testing.assert_allclose(single, expected, atol=1e-3)
    assert float(dissimilarity(truth, truth, data_range=1.0).abs().max()) < 1e-12


@pytest.mark.parametrize("unit", [1.0, 1e-25])
def test_signal_to_noise_and_error_are_those_of_the_scores(unit: float) -> None:
    estimate, truth = (unit * one for one in images(8, 9))
    pairs = list(zip(estimate.numpy(), truth.numpy(), strict=True))
    np.testing.assert_allclose(-negative_snr(estimate, truth), [snr_db(*pair) for pair in pairs], atol=1e-10)
    squares = mean_squared_error(estimate, truth, data_range=2.0 * unit)
    np.testing.assert_allclose(squares, [(rmse(*pair) / (2.0 * unit)) ** 2 for pair in pairs], rtol=1e-10)
    # Squares of 1e-25 are below what single precision holds; the loss is a ratio.
    single = negative_snr(estimate.float(), truth.float())
    np.testing.assert_allclose(-single, [snr_db(*pair) for pair in pairs], atol=1e-4)
    assert torch.equal(negative_snr(truth, truth), torch.full((3,), -120.0, dtype=torch.float64))


def test_gradients() -> None:
    estimate, truth = images(12, 11)
    estimate.requires_grad_()
    assert torch.autograd.gradcheck(negative_snr, (estimate, truth), fast_mode=True)
    for loss in (dissimilarity, mean_squared_error):
        assert torch.autograd.gradcheck(
            lambda e, loss=loss: loss(e, truth, data_range=3.0), estimate, fast_mode=True
        )


def test_what_does_not_fit_is_refused() -> None:
    estimate, truth = images(12, 10)
    with pytest.raises(ValueError, match=r"at least 11 cells along every axis, got \(3, 1, 12, 10\)"):
        dissimilarity(estimate, truth, data_range=1.0)
    with pytest.raises(ValueError, match=r"expected a positive data_range, got 0\.0"):
        dissimilarity(estimate, truth, data_range=0.0)
    for loss in (negative_snr, mean_squared_error):
        with pytest.raises(ValueError, match=r"truth's shape \(3, 1, 12, 10\), got \(3, 1, 10, 12\)"):
            loss(estimate.mT, truth)
