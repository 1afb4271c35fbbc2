"""Statistics of an image and of a background in which foreign structure shows: no network is asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_BANDS, _SECTORS = 6, 4
_HIGHEST = 0.45
"""Wavenumber of the last band's upper edge [cycles a cell]."""
_FLOOR = 1e-12
_PARTS = 3
"""Intervals of depth that are looked at by themselves."""
_LAGS = (1, 2, 3, 4, 6, 8)
_LEAST = 1e-60
"""Mean square of an image of zeros, whose square must be a number too."""
_SMALL = 1e-6
"""Of the image's mean square: what a part that is muted counts as."""


def spectrum(image: Array) -> Array:
    """Log energy of an image, and the log share of it in bands of wavenumber and sectors of dip.

    Args:
        image: Depth is the last axis.
    """
    window = np.ones(())
    for size in image.shape:
        window = np.multiply.outer(window, np.hanning(size + 2)[1:-1])
    power = np.abs(np.fft.fftn(image * window)) ** 2
    waves = np.meshgrid(*(np.fft.fftfreq(size) for size in image.shape), indexing="ij")
    wavenumber, across = np.sqrt(sum(k**2 for k in waves)), np.sqrt(sum(k**2 for k in waves[:-1]))
    band = np.minimum((wavenumber / _HIGHEST * _BANDS).astype(int), _BANDS - 1)
    dip = np.arctan2(across, np.abs(waves[-1])) / (0.5 * np.pi)
    part = band * _SECTORS + np.minimum((dip * _SECTORS).astype(int), _SECTORS - 1)
    energy = np.bincount(part.ravel(), power.ravel(), _BANDS * _SECTORS)
    total = float(power.sum())
    share = energy / total if total > 0.0 else np.zeros_like(energy)
    return np.log(np.concatenate([[max(total, _LEAST)], share + _FLOOR]))


def structure(image: Array) -> Array:
    """What tells structure of one kind from that of another, in the whole image and by depth.

    Spectra, kurtosis and other ratios of moments of the image and of its differences, and correlations of
    neighbours: noise is alike in all directions and has Gaussian amplitudes, geology has neither.

    Args:
        image: Depth is the last axis.
    """
    image = image.astype(np.float64)
    size = image.shape[-1]
    half = max(2, size * 3 // 8)
    windows = [image[..., start : start + half] for start in np.linspace(0, size - half, _PARTS).astype(int)]
    edges = np.linspace(0, size, _PARTS + 1).astype(int)
    parts = [image[..., first:last] for first, last in pairwise(edges)]
    level = max(float(np.mean(image**2)), _LEAST)
    found = [spectrum(image), *(spectrum(window) for window in windows)]
    found += [_moments(part, level) for part in parts] + [_neighbours(part, level) for part in parts]
    return np.concatenate(found)


def background_shape(background: Array) -> Array:
    """Level by depth, contrast and roughness of a background model: how smooth it is, and along which axis.

    Args:
        background: Depth is the last axis; smooth.
    """
    model = background.astype(np.float64)
    level = max(float(np.abs(model).mean()), _LEAST)
    edges = np.linspace(0, model.shape[-1], _PARTS + 2).astype(int)
    found = [model[..., first:last].mean() / level for first, last in pairwise(edges)]
    across = model - model.mean(axis=tuple(range(model.ndim - 1)), keepdims=True)
    rough = [np.mean(across**2)]
    for axis in range(model.ndim):
        slope = np.diff(model, axis=axis)
        rough += [np.mean(np.diff(model, n=order, axis=axis) ** 2) for order in (1, 2, 3)]
        rough.append(np.max(np.diff(slope, axis=axis) ** 2))
    logs = np.log(np.array(rough) / level**2 + _FLOOR)
    return np.concatenate([[np.log(level)], found, logs])


def _moments(part: Array, level: float) -> Array:
    """Log mean square, kurtosis, and how peaked amplitudes are, of a part and of its differences."""
    *across, depth = range(part.ndim)
    found = [_amplitudes(one, level) for one in (part, np.diff(part, axis=depth))]
    slopes = [np.diff(part, axis=axis) for axis in across]
    mixed = [np.diff(slope, axis=depth) for slope in slopes]
    found += [np.mean([_amplitudes(one, level) for one in some], axis=0) for some in (slopes, mixed)]
    return np.concatenate(found)


def _amplitudes(values: Array, level: float) -> Array:
    size = np.abs(values)
    square = float(np.mean(size**2)) + _SMALL * level
    low = np.quantile(size, 0.25) ** 2
    ratios = [square / level, np.mean(size**4) / square**2, np.mean(size) ** 2 / square, low / square]
    return np.log(np.array(ratios) + _SMALL)


def _neighbours(part: Array, level: float) -> Array:
    """Log of one less the correlation with what lies some cells further, across and along depth."""
    square = float(np.mean(part**2)) + _SMALL * level
    return np.array([np.log(max(1.0 - value / square, _SMALL)) for value in _products(part)])


def _products(part: Array) -> Iterator[float]:
    *across, depth = range(part.ndim)
    for axes in (across, [depth]):
        for lag in _LAGS:
            if lag < min(part.shape[axis] for axis in axes):
                found = [np.mean(_cut(part, axis, lag) * _cut(part, axis, -lag)) for axis in axes]
                yield float(np.mean(found))


def _cut(part: Array, axis: int, lag: int) -> Array:
    whole = [slice(None)] * part.ndim
    whole[axis] = slice(lag, None) if lag > 0 else slice(None, lag)
    return part[tuple(whole)]
