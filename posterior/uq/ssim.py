"""Structural similarity, with the convention that produced a number always beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask, as_truth

Convention = Literal["wang", "skimage"]

_DESCRIPTIONS: dict[str, str] = {
    "wang": "Gaussian window 11, sigma 1.5, population covariance",
    "skimage": "uniform window 7, sample covariance",
}


@final
@dataclass(frozen=True)
class Ssim:
    """A structural similarity and what it depends on."""

    value: float
    convention: Convention
    data_range: float

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        described = _DESCRIPTIONS[self.convention]
        return f"{self.value:.3f} ({self.convention}: {described}, data range {self.data_range:.4g})"


def describe_convention(convention: Convention) -> str:
    """Window and covariance of a convention in words."""
    if convention not in _DESCRIPTIONS:
        raise ValueError(f"expected an SSIM convention among {sorted(_DESCRIPTIONS)}, got {convention!r}")
    return _DESCRIPTIONS[convention]


def ssim(
    estimate: ArrayLike,
    truth: ArrayLike,
    *,
    data_range: float,
    convention: Convention = "wang",
    where: ArrayLike | None = None,
) -> Ssim:
    """Mean structural similarity of two images of any number of dimensions.

    Per window, ``(2 m_a m_b + c1)(2 s_ab + c2) / ((m_a^2 + m_b^2 + c1)(s_a + s_b + c2))`` with ``c1 = (0.01
    R)^2``, ``c2 = (0.03 R)^2``, averaged over the windows that lie wholly inside the image and whose centre
    counts. The same pair of images has 0.55 or 0.81 by convention and data range alone, so none of them has
    a silent default here.

    Args:
        estimate: Image, (...).
        truth: True image, (...).
        data_range: The range R of values, in units of the images.
        convention: ``wang`` (Gaussian 11, sigma 1.5) or ``skimage`` (scikit-image's default: uniform 7).
        where: Cells that count, (...); all by default.

    Raises:
        ValueError: If the images are smaller than the window or the range is not positive.

    Source: Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13 (2004), equation 13.
    """
    describe_convention(convention)
    first = np.asarray(estimate, dtype=np.float64)
    second = as_truth(truth, first.shape).astype(np.float64)
    window = _gaussian(11, 1.5) if convention == "wang" else np.full(7, 1.0 / 7.0)
    if min(first.shape, default=0) < window.size:
        raise ValueError(
            f"expected images of at least {window.size} cells along every axis, got {first.shape}"
        )
    if not (np.isfinite(data_range) and data_range > 0.0):
        raise ValueError(f"expected a positive data_range, got {data_range!r}")
    cells = window.size**first.ndim
    unbiased = cells / (cells - 1.0) if convention == "skimage" else 1.0
    # Scaled by the range: values in s^2/m^2 squared twice would leave the range of floats.
    similarity = _similarity(first / data_range, second / data_range, window, unbiased)
    margin = window.size // 2
    inner = tuple(slice(margin, size - margin) for size in first.shape)
    mask = as_mask(as_mask(where, first.shape)[inner], similarity.shape)
    return Ssim(float(similarity[mask].mean()), convention, float(data_range))


def _similarity(first: Array, second: Array, window: Array, unbiased: float) -> Array:
    mean_a, mean_b = _filter(first, window), _filter(second, window)
    var_a = unbiased * (_filter(first**2, window) - mean_a**2)
    var_b = unbiased * (_filter(second**2, window) - mean_b**2)
    cov = unbiased * (_filter(first * second, window) - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2.0 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance * (2.0 * cov + c2) / (var_a + var_b + c2)


def _filter(image: Array, window: Array) -> Array:
    """Weighted mean over windows that lie wholly inside the image, axis by axis."""
    for axis in range(image.ndim):
        image = sliding_window_view(image, window.size, axis=axis) @ window
    return image


def _gaussian(size: int, sigma: float) -> Array:
    offset = np.arange(size) - size // 2
    weights = np.exp(-0.5 * (offset / sigma) ** 2)
    return weights / weights.sum()
