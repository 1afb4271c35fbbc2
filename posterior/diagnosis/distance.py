"""How far a vector of features lies from those of known surveys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

# Directions in which known surveys hardly vary: their variance is mostly noise of its estimate.
_LEAST = 1e-3


@final
@dataclass(frozen=True)
class Distance:
    r"""Mean square of the principal coordinates of standardised features, each over its own std.

    .. math:: \frac1k \sum_{j=1}^{k} \Big( \frac{v_j^T (f - \mu)/s}{\lambda_j} \Big)^2

    About 1 for a known kind of survey: the squared Mahalanobis distance over the number of directions,
    without the directions in which known surveys vary by less than a thousandth of the leading one.

    Source: Mahalanobis, Proc. National Institute of Sciences of India 2 (1936); as an alarm in the space of a
    network's features: Lee et al., NeurIPS 2018.
    """

    mean: Array
    """Mean of the features, (m,)."""
    axes: Array
    """Rows are principal directions over standard deviations, (k, m)."""

    @classmethod
    def fit(cls, features: ArrayLike) -> Distance:
        """Learn centre and spread.

        Args:
            features: Features of known surveys, (N, m).

        Raises:
            ValueError: If they are not finite, too few, or all the same.
        """
        known = np.asarray(features, dtype=np.float64)
        if known.ndim != 2 or len(known) < 8 or not np.isfinite(known).all():
            raise ValueError(f"expected finite features (N, m) of at least 8 surveys, got {known.shape}")
        spread = known.std(axis=0, ddof=1)
        scale = np.where(spread > 0.0, spread, np.inf)
        _, size, directions = np.linalg.svd((known - known.mean(axis=0)) / scale, full_matrices=False)
        std = size / np.sqrt(len(known) - 1)
        kept = std > _LEAST * std[0]
        if not kept.any():
            raise ValueError("expected features that vary from survey to survey, got equal ones")
        # Fewer surveys than directions would let every new survey look far off.
        count = min(int(kept.sum()), max(1, len(known) // 4))
        return cls(known.mean(axis=0), directions[:count] / std[:count, None] / scale)

    def __call__(self, features: ArrayLike) -> float:
        """Distance of one survey; NaN (an alarm) where its features are not finite.

        Args:
            features: (m,).
        """
        offset = np.asarray(features, dtype=np.float64) - self.mean
        return float(np.mean((self.axes @ offset) ** 2)) if np.isfinite(offset).all() else float("nan")
