"""Closed-form posteriors of images, right ones and wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]
WRONG = {"narrow": (0.6, 0.0), "wide": (1.6, 0.0), "shifted": (1.0, 0.7)}


def gaussian_pairs(
    pairs: int, *, draws: int = 100, shape: tuple[int, ...] = (8, 8), kind: str = "right", seed: int = 0
) -> Iterator[Pair]:
    """Draws of p(x | y) for y = x + s e, x and e standard normal, noise s growing across the image.

    The posterior is N(y / (1 + s^2), s^2 / (1 + s^2)), independent between cells. A wrong posterior has its
    std scaled and its mean shifted by a share of the std.
    """
    scale, shift = WRONG.get(kind, (1.0, 0.0))
    rng = np.random.default_rng(seed)
    noise = np.linspace(0.3, 1.5, int(np.prod(shape))).reshape(shape)
    std = noise / np.sqrt(1.0 + noise**2)
    for _ in range(pairs):
        truth = rng.standard_normal(shape)
        observed = truth + noise * rng.standard_normal(shape)
        centre = observed / (1.0 + noise**2) + shift * std
        yield centre + scale * std * rng.standard_normal((draws, *shape)), truth


@pytest.fixture
def gaussian() -> Callable[..., Iterator[Pair]]:
    return gaussian_pairs
