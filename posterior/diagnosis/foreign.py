"""Surveys of no known kind, made of known ones: what a check is taught to tell from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Draw = Callable[[], Array]
"""Another survey's image or background, at random."""
Foreign = Callable[[Array, Draw, np.random.Generator], Array]
"""Takes an image or background of a survey, other ones and a generator."""

_EXPONENT = 0.7
_WIDTH = 0.8
"""Of the Gaussian that an image is sharpened against [cells]."""
_LEAST = 0.02
"""Amplitude of the weakest depths that are levelled out, over the strongest."""


def incoherent(image: Array, other: Draw, rng: np.random.Generator) -> Array:
    """The image's spectrum and its amplitude by depth, with random phases: no structure at all."""
    del other
    across = tuple(range(image.ndim - 1))
    depth = np.sqrt(np.mean(image**2, axis=across, keepdims=True))
    profile = np.maximum(depth, max(_LEAST * float(depth.max()), 1e-30))
    phases = np.fft.fftn(rng.standard_normal(image.shape))
    spectrum = np.abs(np.fft.fftn(image / profile)) * phases / np.maximum(np.abs(phases), 1e-30)
    return _as_strong(np.fft.ifftn(spectrum).real * depth, image)


def with_incoherent(image: Array, other: Draw, rng: np.random.Generator) -> Array:
    """The image with half as strong an incoherent one."""
    return image + 0.5 * _as_strong(incoherent(other(), other, rng), image)


def superposed(count: int) -> Foreign:
    """As many images laid over one another: amplitudes near Gaussian ones."""

    def make(image: Array, other: Draw, rng: np.random.Generator) -> Array:
        del rng
        images = [image, *(other() for _ in range(count - 1))]
        return _as_strong(np.sum([one / max(_rms(one), 1e-30) for one in images], axis=0), image)

    return make


def compressed(image: Array, other: Draw, rng: np.random.Generator) -> Array:
    """Weak amplitudes raised."""
    del other, rng
    return _as_strong(np.sign(image) * np.abs(image / max(_rms(image), 1e-30)) ** _EXPONENT, image)


def sharpened(image: Array, other: Draw, rng: np.random.Generator) -> Array:
    """High wavenumbers raised."""
    del other, rng
    waves = np.meshgrid(*(np.fft.fftfreq(size) for size in image.shape), indexing="ij")
    smooth = np.exp(-0.5 * (2.0 * np.pi * _WIDTH) ** 2 * sum(k**2 for k in waves))
    return _as_strong(np.fft.ifftn(np.fft.fftn(image) * (2.0 - smooth)).real, image)


def spliced(background: Array, other: Draw, rng: np.random.Generator) -> Array:
    """One half of this, the other half of another: an edge."""
    found, axis = background.copy(), int(rng.integers(background.ndim - 1))
    half = [slice(None)] * background.ndim
    half[axis] = slice(background.shape[axis] // 2, None)
    found[tuple(half)] = other()[tuple(half)]
    return found


IMAGES: tuple[Foreign, ...] = (
    incoherent,
    with_incoherent,
    superposed(2),
    superposed(4),
    compressed,
    sharpened,
)
BACKGROUNDS: tuple[Foreign, ...] = (spliced,)


def _rms(image: Array) -> float:
    return float(np.sqrt(np.mean(image**2)))


def _as_strong(made: Array, image: Array) -> Array:
    return made * (_rms(image) / max(_rms(made), 1e-30))
