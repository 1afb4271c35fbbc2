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


Triple = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
FAULTS = {"narrow": (0.7, 0.0), "wide": (1.4, 0.0), "shifted": (1.0, 0.4)}
NOISE = 0.5


def correlated_pairs(pairs: int, *, draws: int = 60, kind: str = "right", seed: int = 0) -> Triple:
    """Truths (P, 5, 5), draws (P, S, 5, 5) and data (P, 5, 5) of y = x + e, x a smooth Gaussian field.

    The posterior is N(K y, S) with K = C (C + s^2 I)^-1, S = C - K C. A wrong one has its std scaled or its
    mean shifted by a share of the std, its cells drawn on their own (``miscorrelated``), or is the prior
    (``prior``).
    """
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(np.arange(5), np.arange(5), indexing="ij"), -1).reshape(25, 2)
    prior = np.exp(-0.5 * np.linalg.norm(place[:, None] - place, axis=2))
    gain = prior @ np.linalg.inv(prior + NOISE**2 * np.eye(25))
    truths = rng.standard_normal((pairs, 25)) @ np.linalg.cholesky(prior).T
    data = truths + NOISE * rng.standard_normal(truths.shape)
    covariance = prior if kind == "prior" else prior - gain @ prior
    std = np.sqrt(np.diag(covariance))
    root = np.diag(std) if kind == "miscorrelated" else np.linalg.cholesky(covariance)
    scale, shift = FAULTS.get(kind, (1.0, 0.0))
    centre = data @ gain.T * (kind != "prior") + shift * std
    samples = centre[:, None] + scale * rng.standard_normal((pairs, draws, 25)) @ root.T
    return truths.reshape(-1, 5, 5), samples.reshape(pairs, draws, 5, 5), data.reshape(-1, 5, 5)


@pytest.fixture
def correlated() -> Callable[..., Triple]:
    return correlated_pairs
