"""Does the standard deviation tell the size of the error: RMSE over bins of std."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask, as_samples, as_truth

# Fine bins of std: 32 an octave over 2^-100 .. 2^60, so that any unit fits and memory does not grow with
# the cells.
_PER_OCTAVE = 32
_LOWEST = -100 * _PER_OCTAVE
_BINS = 160 * _PER_OCTAVE


@final
@dataclass(frozen=True)
class StdRmse:
    """RMSE of the posterior mean over bins of the posterior std that hold about equally many cells."""

    std: Array
    """Root mean posterior variance of each bin, (B,), increasing."""
    rmse: Array
    """Root mean squared error of each bin, (B,), less the part that stems from the mean of S draws."""
    counts: Array
    """Cells of each bin, (B,)."""

    @property
    def slope(self) -> float:
        """Weighted least-squares slope through the origin, ``sum n s r / sum n s^2``.

        1 is right, above 1 the posterior is overconfident. Through the origin, since a calibrated posterior
        has RMSE = std in every bin, and since the sampling error of std flattens a free line where std
        varies little. That error lowers this slope too, by at most ``1 / (4 (S - 1))``: a tenth of a
        percent at S = 200.
        """
        return float((self.counts * self.std * self.rmse).sum() / (self.counts * self.std**2).sum())

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept of the weighted least-squares line with a free intercept; (1, 0) is right.

        A slope well below 1 beside a good :attr:`slope` says that the std is right on average but tells good
        cells from bad ones poorly.

        Raises:
            ValueError: With fewer than two bins.
        """
        if len(self.std) < 2:
            raise ValueError(f"expected at least 2 bins for a line, got {len(self.std)}")
        weight = self.counts / self.counts.sum()
        centre, level = weight @ self.std, weight @ self.rmse
        slope = float(
            (weight * (self.std - centre)) @ (self.rmse - level) / (weight @ (self.std - centre) ** 2)
        )
        return slope, float(level - slope * centre)

    def scaled(self, factor: float) -> StdRmse:
        """The same cells with every std multiplied by ``factor``."""
        return StdRmse(self.std * factor, self.rmse, self.counts)


@final
class StdRmseFit:
    """Streams pairs into RMSE against std.

    A calibrated posterior has ``E[(mean - x)^2 | std] = std^2 (1 + 1/S)``, the second term because the mean
    is that of S draws; it is divided out.

    Source: Laves et al., MIDL 2020 (error over bins of variance); Levi et al., Sensors 22 (2022).
    """

    def __init__(self) -> None:
        self._sums = np.zeros((3, _BINS))

    def update(self, samples: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> None:
        """Take in one pair.

        Args:
            samples: Posterior draws, (S, ...).
            truth: True values, (...).
            where: Cells that count, (...); all by default.
        """
        draws = as_samples(samples)
        target = as_truth(truth, draws.shape[1:])
        mask = as_mask(where, target.shape)
        selected = draws[:, mask]
        var = selected.var(axis=0, ddof=1, dtype=np.float64)
        error = (selected.mean(axis=0, dtype=np.float64) - target[mask]) ** 2 / (1.0 + 1.0 / len(draws))
        octave = np.log2(np.sqrt(var), out=np.full(var.shape, -np.inf), where=var > 0.0)
        place = np.clip(np.floor(octave * _PER_OCTAVE) - _LOWEST, 0, _BINS - 1).astype(np.int64)
        for row, values in enumerate((np.ones_like(var), var, error)):
            self._sums[row] += np.bincount(place, values, minlength=_BINS)

    def result(self, bins: int = 20) -> StdRmse:
        """RMSE against std in at most ``bins`` bins; fewer where many cells share one std.

        Raises:
            ValueError: If no pair was seen.
        """
        counts, var, error = self._sums[:, self._sums[0] > 0.0]
        if not len(counts):
            raise ValueError("expected at least 1 pair for RMSE against std, got 0")
        middle = np.cumsum(counts) - 0.5 * counts
        group = np.minimum((middle * bins / counts.sum()).astype(np.int64), bins - 1)
        _, group = np.unique(group, return_inverse=True)
        counts, var, error = (np.bincount(group, values) for values in (counts, var, error))
        return StdRmse(np.sqrt(var / counts), np.sqrt(error / counts), counts)
