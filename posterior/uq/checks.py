"""What every function of this package asks of its arrays, said once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def as_samples(samples: ArrayLike, *, least: int = 2) -> Array:
    """Posterior draws as an array (S, ...): at least ``least`` of them, all finite.

    Args:
        samples: Draws of one posterior, axis 0 counts them, (S, ...).
        least: Smallest number of draws the caller can work with.

    Raises:
        ValueError: With fewer draws, or with values that are not finite.
    """
    array = np.asarray(samples)
    if array.ndim == 0 or array.shape[0] < least:
        raise ValueError(f"expected samples of shape (S, ...) with S >= {least} draws, got {array.shape}")
    if not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise ValueError(
            f"expected finite samples, got {bad} of {array.size} values that are NaN or infinite"
        )
    return array


def as_truth(truth: ArrayLike, shape: tuple[int, ...]) -> Array:
    """The truth as a finite array of exactly the shape of one draw.

    Raises:
        ValueError: If the shape differs (nothing is broadcast) or a value is not finite.
    """
    array = np.asarray(truth)
    if array.shape != shape:
        raise ValueError(f"expected truth of shape {shape}, like one draw, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("expected a finite truth, got values that are NaN or infinite")
    return array


def as_mask(where: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    """The cells that count as a boolean array of ``shape``; all of them for None.

    Raises:
        ValueError: If the shape differs or no cell is left.
    """
    mask = np.ones(shape, dtype=bool) if where is None else np.asarray(where).astype(bool)
    if mask.shape != shape:
        raise ValueError(f"expected a mask of shape {shape}, got {mask.shape}")
    if not mask.any():
        raise ValueError("expected a mask with at least one cell that counts, got none")
    return mask


def as_levels(levels: ArrayLike) -> Array:
    """Probabilities strictly between 0 and 1 as a float64 array.

    Raises:
        ValueError: If one of them is not a probability in (0, 1).
    """
    array = np.asarray(levels, dtype=np.float64)
    if not ((array > 0.0) & (array < 1.0)).all():
        raise ValueError(f"expected levels in (0, 1), got {array.tolist()}")
    return array
