"""Structural similarity, with the convention that produced a number always beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask, as_truth

Convention = Literal["wang", "skimage", "slim", "openfwi"]


@final
@dataclass(frozen=True)
class _Rule:
    """What a convention computes."""

    text: str
    gaussian: bool = True
    """Gaussian window of 11 cells, sigma 1.5; otherwise uniform, of 7."""
    unbiased: bool = False
    """Covariances divided by n - 1."""
    border: Literal["symmetric", "constant"] | None = None
    """How windows over the edge are filled; None leaves them out."""
    offset: float = 0.0
    """Taken off the images, in their unit: SSIM depends on where zero is."""
    data_range: float | None = None
    """The range that the convention fixes, in the unit of the images."""


_GAUSSIAN = "Gaussian window 11, sigma 1.5, population covariance"
_RULES: dict[str, _Rule] = {
    "wang": _Rule(_GAUSSIAN),
    "skimage": _Rule("uniform window 7, sample covariance", gaussian=False, unbiased=True),
    "slim": _Rule(
        f"{_GAUSSIAN}, edges mirrored, peak 1 whatever the images' range",
        border="symmetric",
        data_range=1.0,
    ),
    "openfwi": _Rule(
        f"{_GAUSSIAN}, edges filled with zeros, velocity 1500..4500 m/s taken to 0..1",
        border="constant",
        offset=1500.0,
        data_range=3000.0,
    ),
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
        described = describe_convention(self.convention)
        return f"{self.value:.3f} ({self.convention}: {described}, data range {self.data_range:.4g})"


def describe_convention(convention: Convention) -> str:
    """Window and covariance of a convention in words."""
    if convention not in _RULES:
        raise ValueError(f"expected an SSIM convention among {sorted(_RULES)}, got {convention!r}")
    return _RULES[convention].text


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
    R)^2``, ``c2 = (0.03 R)^2``, averaged over the windows that lie wholly inside the image (``slim`` and
    ``openfwi``: over all, edges filled) and whose centre counts. The same pair of images has 0.55 or 0.81 by
    convention and data range alone, so none of them has a silent default here.

    ==========  ==================================================================  ======================
    ``wang``    Gaussian window 11, sigma 1.5                                       of the paper
    ``skimage`` uniform window 7, sample covariance                                 scikit-image's default
    ``slim``    as ``wang``, edges mirrored, range 1: images in km/s                ImageQualityIndexes.jl
    ``openfwi`` as ``wang``, edges 0, (v - 1500)/3000: images in m/s, range 3000    OpenFWI's test script
    ==========  ==================================================================  ======================

    Args:
        estimate: Image, (...).
        truth: True image, (...).
        data_range: The range R of values, in units of the images.
        convention: One of the table's. Use ``slim`` and ``openfwi`` to compare with published numbers only.
        where: Cells that count, (...); all by default.

    Raises:
        ValueError: If the images are smaller than the window, the range is not positive, or it is not the
            one that the convention fixes.

    Source: Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13 (2004), equation 13.
    """
    describe_convention(convention)
    rule = _RULES[convention]
    first = np.asarray(estimate, dtype=np.float64)
    second = as_truth(truth, first.shape).astype(np.float64)
    window = _gaussian(11, 1.5) if rule.gaussian else np.full(7, 1.0 / 7.0)
    if min(first.shape, default=0) < window.size:
        raise ValueError(
            f"expected images of at least {window.size} cells along every axis, got {first.shape}"
        )
    if not (np.isfinite(data_range) and data_range > 0.0):
        raise ValueError(f"expected a positive data_range, got {data_range!r}")
    if rule.data_range not in (None, data_range):
        raise ValueError(
            f"expected data_range {rule.data_range:g}, which {convention!r} fixes, got {data_range!r}"
        )
    # Scaled by the range: values in s^2/m^2 squared twice would leave the range of floats.
    first, second = ((image - rule.offset) / data_range for image in (first, second))
    similarity = _similarity(first, second, window, rule)
    margin = 0 if rule.border else window.size // 2
    inner = tuple(slice(margin, size - margin) for size in first.shape)
    mask = as_mask(as_mask(where, first.shape)[inner], similarity.shape)
    return Ssim(float(similarity[mask].mean()), convention, float(data_range))


def _similarity(first: Array, second: Array, window: Array, rule: _Rule) -> Array:
    """Similarity of every window."""
    cells = window.size**first.ndim
    unbiased = cells / (cells - 1.0) if rule.unbiased else 1.0
    if rule.border:
        first, second = (np.pad(image, window.size // 2, mode=rule.border) for image in (first, second))
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
