"""Numbers of an image that a posterior can be tested on: each a callable of images and their observation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask
from posterior.uq.modes import Modes

Functional = Callable[[Array, Any], Array]
"""Takes images (n, *grid) and the observation they were inferred from, returns one number each, (n,).

A log-density ``log q(x | y)`` is one as it is: ranked, it tests the highest-density regions of q
(expected coverage).
"""


def cell(*index: int) -> Functional:
    """Value of one cell.

    Example:
        >>> float(cell(0, 1)(np.array([[[3.0, 4.0]]]), None)[0])
        4.0
    """
    place: tuple[Any, ...] = (..., *index)
    return lambda images, observed: images[place]


def block_mean(block: ArrayLike) -> Functional:
    """Mean over the cells of a block: feels how cells vary together.

    Args:
        block: Cells of the block, (*grid).
    """
    mask = as_mask(block, np.shape(block))
    return lambda images, observed: images[:, mask].mean(axis=1, dtype=np.float64)


def energy(where: ArrayLike) -> Functional:
    """Mean square over the cells that count: feels missing amplitude.

    Args:
        where: Cells that count, (*grid).
    """
    mask = as_mask(where, np.shape(where))
    return lambda images, observed: (images[:, mask].astype(np.float64) ** 2).mean(axis=1)


def data_misfit(forward: Callable[[Array], ArrayLike], noise_std: ArrayLike = 1.0) -> Functional:
    """Data misfit ``|(F(x) - d) / sigma|^2 / n``: feels what the data see of the image, and the data itself.

    Args:
        forward: Modelling F, images (n, *grid) to data (n, *data).
        noise_std: Standard deviation sigma of the noise, in units of the data, a number or (*data).

    Source: data-dependent test quantities, Modrák et al., Bayesian Analysis 20 (2025), section 3.
    """

    def misfit(images: Array, observed: Any) -> Array:
        residual = (np.asarray(forward(images)) - np.asarray(observed)) / noise_std
        return (residual.reshape(len(images), -1).astype(np.float64) ** 2).mean(axis=1)

    return misfit


def principal_scores(modes: Modes) -> dict[str, Functional]:
    """Score of an image on each of some principal modes, by name.

    Args:
        modes: Modes of training images (:func:`posterior.uq.modes.principal_modes`), never of the pairs
            under test.
    """
    return {f"principal score {mode}": _score(modes, mode) for mode in range(len(modes.images))}


def _score(modes: Modes, mode: int) -> Functional:
    return lambda images, observed: modes.scores(images)[:, mode]
