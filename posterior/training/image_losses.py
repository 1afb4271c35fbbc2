"""Losses of an image against the true one, each sample by itself: the conventions are those of the scores."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LOUDEST = 1e-12
"""Least relative error energy, 120 dB: an exact image has a loss, too."""


def negative_snr(estimate: Tensor, truth: Tensor) -> Tensor:
    r"""The negative signal-to-noise ratio in dB of each sample, (B,).

    .. math:: -20 \log_{10} \frac{\lVert x \rVert}{\lVert \hat x - x \rVert}

    as :func:`posterior.uq.snr_db` has it, up to 120 dB.

    Args:
        estimate: Images, (B, C, ...).
        truth: True images of the same shape, none of them zero.
    """
    _check_shapes(estimate, truth)
    # Scaled first: squares of images in s^2/m^2 would leave the range of single precision.
    size = truth.abs().flatten(1).amax(1).view(-1, *(1,) * (truth.ndim - 1))
    error, signal = (((one / size).square().flatten(1).sum(1)) for one in (estimate - truth, truth))
    return 10.0 * torch.log10((error / signal).clamp_min(_LOUDEST))


def mean_squared_error(estimate: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""Mean over cells of ((estimate - truth) / data_range)^2 of each sample, (B,).

    Args:
        estimate: Images, (B, C, ...).
        truth: True images of the same shape.
        data_range: Range of values, in the images' unit.
    """
    _check_shapes(estimate, truth)
    return ((estimate - truth) / data_range).square().flatten(1).mean(1)


def dissimilarity(estimate: Tensor, truth: Tensor, *, data_range: float) -> Tensor:
    r"""1 - SSIM of each sample, (B,): mean over windows wholly inside the image, and over channels.

    The convention is "wang" of :func:`posterior.uq.ssim`: Gaussian window of 11 cells, sigma 1.5, population
    covariance, c1 = (0.01 R)^2, c2 = (0.03 R)^2.

    Args:
        estimate: Images, (B, C, ...), at least 11 cells along every axis.
        truth: True images of the same shape.
        data_range: The range R of values, in the images' unit.

    Raises:
        ValueError: If shapes differ, an image is smaller than the window, or the range is not positive.

    Source:
        Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13 (2004), equation 13.
    """
    _check_shapes(estimate, truth)
    if not (data_range > 0.0 and math.isfinite(data_range)):
        raise ValueError(f"expected a positive data_range, got {data_range}")
    if min(estimate.shape[2:]) < _WINDOW:
        raise ValueError(
            f"expected images of at least {_WINDOW} cells along every axis, got {tuple(estimate.shape)}"
        )
    a, b = estimate / data_range, truth / data_range
    mean_a, mean_b = _filter(a), _filter(b)
    var_a, var_b = _filter(a.square()) - mean_a.square(), _filter(b.square()) - mean_b.square()
    covariance = _filter(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2.0 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    similarity = luminance * (2.0 * covariance + c2) / (var_a + var_b + c2)
    return 1.0 - similarity.flatten(1).mean(1)


_WINDOW, _SIGMA = 11, 1.5


def _filter(image: Tensor) -> Tensor:
    """Weighted mean over windows that lie wholly inside the image, axis by axis."""
    offset = torch.arange(_WINDOW, dtype=image.dtype, device=image.device) - _WINDOW // 2
    weights = (-0.5 * (offset / _SIGMA).square()).exp()
    weights = weights / weights.sum()
    for axis in range(2, image.ndim):
        image = image.unfold(axis, _WINDOW, 1) @ weights
    return image


def _check_shapes(estimate: Tensor, truth: Tensor) -> None:
    if estimate.shape != truth.shape:
        raise ValueError(
            f"expected images of the truth's shape {tuple(truth.shape)}, got {tuple(estimate.shape)}"
        )
