"""Uncertainty calibration error: ours, zero for a right posterior, and the published ones by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask, as_samples, as_truth
from posterior.uq.coverage import sign_flip_test

ErrorConvention = Literal["slim", "laves", "ence"]

_DESCRIPTIONS: dict[str, str] = {
    "slim": "|mean std - mean absolute error|, equal-width bins, empty ones count as 0, unweighted",
    "laves": "|mean variance - mean squared error|, equal-width bins, weighted by cells",
    "ence": "|RMV - RMSE| / RMV, bins of equally many cells, unweighted",
}
# Four bins of std an octave over 2^-100 .. 2^60, so that any unit fits.
_PER_OCTAVE, _LOWEST, _BINS = 4, -400, 640


@final
@dataclass(frozen=True)
class PublishedError:
    """A calibration error in a published convention, which always stands beside it."""

    value: float
    convention: ErrorConvention
    bins: int
    limits: tuple[float, float]
    """Range of std that was split into bins."""

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        low, high = self.limits
        described = _DESCRIPTIONS[self.convention]
        bins = f"{self.bins} bins of std {low:.4g}..{high:.4g}"
        return f"{self.value:.4g} ({self.convention}: {described}; {bins})"


def published_calibration_error(
    std: ArrayLike,
    error: ArrayLike,
    convention: ErrorConvention,
    *,
    bins: int,
    limits: tuple[float, float] | None = None,
) -> PublishedError:
    """Calibration error of cells in one of the conventions that papers quote, for comparison only.

    None of them is zero for a right posterior of finitely many cells. ``slim`` is not even then: the mean
    absolute error of a Gaussian is 0.798 std, so it asks for a std that is 20 % too small.

    Args:
        std: Posterior std of the cells of all pairs, any shape.
        error: Posterior mean less truth, the same shape.
        convention: ``slim``, ``laves`` or ``ence``.
        bins: Number of bins; slim's own are 64.
        limits: Range of std that is split into bins, cells outside left out; that of the cells by default.
            slim's own is 0 .. 1 km/s.

    Raises:
        ValueError: If shapes differ, no cell lies in the range, or the convention is unknown.

    Source: slim: Uncertainty-Analysis (published code); laves: Laves et al., MIDL 2020; ence:
    Levi et al., Sensors 22 (2022).
    """
    if convention not in _DESCRIPTIONS:
        raise ValueError(f"expected a convention among {sorted(_DESCRIPTIONS)}, got {convention!r}")
    if bins < 1:
        raise ValueError(f"expected at least 1 bin, got {bins}")
    sigma, miss = as_cells(std, error)
    low, high = (float(sigma.min()), float(sigma.max())) if limits is None else limits
    kept = (sigma >= low) & (sigma <= high)
    if not (high >= low and kept.any()):
        raise ValueError(
            f"expected std within {low:.4g}..{high:.4g}, got {sigma.min():.4g}..{sigma.max():.4g}"
        )
    sigma, miss = sigma[kept], miss[kept]
    if convention == "ence":
        order = np.argsort(sigma, kind="stable")
        place = np.empty(sigma.size, dtype=np.int64)
        place[order] = np.arange(sigma.size) * bins // sigma.size
    else:
        width = (high - low) / bins
        place = (
            np.clip(((sigma - low) / width).astype(np.int64), 0, bins - 1)
            if width
            else np.zeros(sigma.size, int)
        )
    return PublishedError(_by_convention(convention, sigma, miss, place, bins), convention, bins, (low, high))


def _by_convention(convention: str, sigma: Array, miss: Array, place: Array, bins: int) -> float:
    counts = np.bincount(place, minlength=bins)
    used = counts > 0

    def binned(values: Array) -> Array:
        return np.bincount(place, values, minlength=bins)[used] / counts[used]

    if convention == "slim":
        return float(np.abs(binned(sigma) - binned(np.abs(miss))).sum() / bins)
    var, square = binned(sigma**2), binned(miss**2)
    if convention == "laves":
        return float((counts[used] / counts.sum()) @ np.abs(square - var))
    rmv = np.sqrt(var)
    return float((np.abs(rmv - np.sqrt(square)) / rmv).mean())


@final
@dataclass(frozen=True)
class CalibrationError:
    """Error of the posterior std by its size, free of the floor that finitely many cells would leave."""

    std: Array
    """Root mean posterior variance of each bin, (B,), increasing."""
    ratio: Array
    """RMSE over std of each bin, (B,): above 1 where the posterior is too narrow."""
    ratio_error: Array
    """Its standard error over pairs, (B,)."""
    counts: Array
    """Cells of each bin, (B,)."""
    p_value: float
    """Of the hypothesis that the ratio is 1 in every bin; signs are drawn by pair."""

    @property
    def value(self) -> float:
        """Relative error of the std, ``sqrt(max(0, sum_b w_b ((ratio_b - 1)^2 - se_b^2)))``, w by cells.

        The squares are unbiased: the mean of ``(ratio - 1)^2`` of a right posterior is ``se^2``. A std that
        is 30 % too small gives 0.43.
        """
        return float(np.sqrt(max(0.0, self._weights @ ((self.ratio - 1.0) ** 2 - self.ratio_error**2))))

    @property
    def floor(self) -> float:
        """What a right posterior would show on these pairs without the correction."""
        return float(np.sqrt(self._weights @ self.ratio_error**2))

    @property
    def _weights(self) -> Array:
        return self.counts / self.counts.sum()


@final
class CalibrationErrorFit:
    """Streams pairs into the error of the posterior std by its size.

    Cells are sorted into bins by the std of the first half of the draws and judged on the second. Binned on
    the same draws, a bin of large std would hold cells whose std came out large by chance, and show an error
    where there is none. With S' draws of mean m and variance v in the second half, ``E (m - x)^2 = E v (1 +
    1/S')`` in every bin, exactly, whatever the posterior.

    Source: bins as Laves et al., MIDL 2020; the split of draws and the correction are ours.
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[Array, Array]] = []

    def update(self, samples: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> None:
        """Take in one pair.

        Args:
            samples: Posterior draws, independent of one another, (S, ...), S >= 4.
            truth: True values, (...).
            where: Cells that count, (...); all by default.
        """
        draws = as_samples(samples, least=4)
        target = as_truth(truth, draws.shape[1:])
        selected = draws[:, as_mask(where, target.shape)].astype(np.float64)
        sorting, judging = selected[: len(draws) // 2], selected[len(draws) // 2 :]
        std = sorting.std(axis=0, ddof=1)
        octave = np.log2(std, out=np.full(std.shape, -np.inf), where=std > 0.0)
        place = np.clip(np.floor(octave * _PER_OCTAVE) - _LOWEST, 0, _BINS - 1).astype(np.int64)
        miss = judging.mean(axis=0) - target[as_mask(where, target.shape)]
        values = (np.ones_like(std), judging.var(axis=0, ddof=1), miss**2 / (1.0 + 1.0 / len(judging)))
        used = np.unique(place)
        self._pairs.append((used, np.stack([np.bincount(place, v, _BINS)[used] for v in values])))

    def result(self, bins: int = 8) -> CalibrationError:
        """The error in at most ``bins`` bins of about equally many cells.

        Raises:
            ValueError: With fewer than eight pairs, or where draws do not vary.
        """
        if len(self._pairs) < 8:
            raise ValueError(f"expected at least 8 pairs for a calibration error, got {len(self._pairs)}")
        group = self._groups(bins)
        sums = np.zeros((3, len(self._pairs), group.max() + 1))
        for row, (used, values) in enumerate(self._pairs):
            np.add.at(sums[:, row].T, group[used], values.T)
        counts, var, square = (part.sum(axis=0) for part in sums)
        if not (var > 0.0).all():
            raise ValueError("expected draws that vary from one another, got equal ones")
        ratio = square / var
        pairs = len(self._pairs)
        scatter = ((sums[2] - ratio * sums[1]) ** 2).sum(axis=0) * pairs / (pairs - 1)
        root = np.sqrt(ratio)
        error = np.divide(
            0.5 * np.sqrt(scatter) / var, root, out=np.full_like(root, np.inf), where=root > 0.0
        )
        p_value = sign_flip_test(sums[2] - sums[1])
        return CalibrationError(np.sqrt(var / counts), root, error, counts, p_value)

    def _groups(self, bins: int) -> Array:
        """Number of the bin that each fine bin falls into, (_BINS,)."""
        counts = np.zeros(_BINS)
        for used, values in self._pairs:
            counts[used] += values[0]
        middle = np.cumsum(counts) - 0.5 * counts
        group = np.minimum((middle * bins / counts.sum()).astype(np.int64), bins - 1)
        filled = np.unique(group[counts > 0.0])
        return np.clip(np.searchsorted(filled, group), 0, len(filled) - 1)


def as_cells(std: ArrayLike, error: ArrayLike) -> tuple[Array, Array]:
    """Std and error of cells as flat finite float64 arrays."""
    sigma, miss = np.asarray(std, dtype=np.float64), np.asarray(error, dtype=np.float64)
    if sigma.shape != miss.shape or not sigma.size:
        raise ValueError(f"expected std and error of one shape, got {sigma.shape} and {miss.shape}")
    if not (np.isfinite(sigma).all() and np.isfinite(miss).all() and (sigma >= 0.0).all()):
        raise ValueError("expected finite errors and finite std >= 0")
    return sigma.ravel(), miss.ravel()
