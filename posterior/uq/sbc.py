"""Simulation-based calibration on functionals of images, with bands and p-values that hold simultaneously."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.calibration import rank
from posterior.uq.checks import Array, as_levels, as_mask, as_samples, as_truth


def image_functionals(images: ArrayLike, where: ArrayLike, *, blocks: int = 2) -> dict[str, Array]:
    """Numbers drawn from images, whose ranks test more than single cells.

    ``mean`` and ``energy`` (mean square) over the cells that count, the middle one of those cells, and the
    means over ``blocks`` equal parts of every axis. Mean and block means feel how cells vary together;
    energy feels missing amplitude.

    Args:
        images: One image or a stack, (..., *grid).
        where: Cells that count, (*grid).
        blocks: Parts of each axis.

    Returns:
        Name to values, each (...); blocks without a cell that counts are left out.

    Raises:
        ValueError: If the last axes of the images are not the grid.
    """
    grid = np.asarray(where).shape
    mask = as_mask(where, grid)
    stack = np.asarray(images, dtype=np.float64)
    if stack.ndim < len(grid) or stack.shape[stack.ndim - len(grid) :] != grid:
        raise ValueError(f"expected images of shape (..., {', '.join(map(str, grid))}), got {stack.shape}")
    cells = stack[..., mask]
    values = {"mean": cells.mean(axis=-1), "energy": (cells**2).mean(axis=-1)}
    values["middle cell"] = cells[..., cells.shape[-1] // 2]
    edges = [np.linspace(0, size, blocks + 1).astype(int) for size in grid]
    for corner in product(range(blocks), repeat=len(grid)):
        part = tuple(slice(edges[axis][i], edges[axis][i + 1]) for axis, i in enumerate(corner))
        block = np.zeros(grid, dtype=bool)
        block[part] = mask[part]
        if block.any():
            values[f"block {corner}"] = stack[..., block].mean(axis=-1)
    return values


@final
class SbcRanks:
    """Streams pairs into the ranks of the functionals of the truth among those of the draws.

    Args:
        blocks: Parts of each axis for the block means.
        seed: Seed of ties in rank.

    Source: Talts et al., arXiv:1804.06788; functionals as Modrák et al., Bayesian Analysis 20 (2025).
    """

    def __init__(self, *, blocks: int = 2, seed: int = 0) -> None:
        self.blocks = blocks
        self.num_samples = 0
        self._seed = seed
        self._ranks: list[dict[str, int]] = []

    def update(self, samples: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> None:
        """Take in one pair.

        Args:
            samples: Posterior draws, (S, ...), the same S in every pair.
            truth: True values, (...).
            where: Cells that count, (...), the same in every pair; all by default.

        Raises:
            ValueError: If S or the functionals change from one pair to the next.
        """
        draws = as_samples(samples)
        target = as_truth(truth, draws.shape[1:])
        mask = as_mask(where, target.shape)
        drawn, true = (image_functionals(a, mask, blocks=self.blocks) for a in (draws, target))
        if self._ranks and (len(draws) != self.num_samples or drawn.keys() != self._ranks[0].keys()):
            raise ValueError(
                f"expected {self.num_samples} draws and the cells of the pairs before, got {len(draws)} draws"
            )
        self.num_samples = len(draws)
        seed = self._seed + len(self._ranks)
        self._ranks.append({name: int(rank(drawn[name], true[name], seed=seed)) for name in drawn})

    def ranks(self) -> dict[str, Array]:
        """Functional to its rank in each pair, int64, (P,)."""
        if not self._ranks:
            raise ValueError("expected at least 1 pair for ranks, got 0")
        return {name: np.array([pair[name] for pair in self._ranks]) for name in self._ranks[0]}


@final
@dataclass(frozen=True)
class RankTest:
    """Counts of ranks by bin with the band that all counts of a calibrated posterior keep to at once."""

    edges: Array
    """Edges of the bins as fractions of the S + 1 ranks, (B + 1,)."""
    counts: Array
    """Ranks in each bin, or up to its right edge if ``cumulative``, (B,) or (B - 1,)."""
    expected: Array
    """Expected counts under uniform ranks."""
    lower: Array
    """Smallest counts within the band."""
    upper: Array
    """Largest counts within the band."""
    level: float
    """Probability that the counts of a calibrated posterior lie within the band, all of them."""
    p_value: float
    """Share of calibrated posteriors that depart from uniform at least as far."""
    cumulative: bool
    """Whether counts are cumulative (ECDF) or by bin (histogram)."""

    @property
    def outside(self) -> int:
        """Number of counts outside the band."""
        return int(np.count_nonzero((self.counts < self.lower) | (self.counts > self.upper)))


def rank_test(
    ranks: ArrayLike,
    num_samples: int,
    *,
    cumulative: bool = False,
    bins: int | None = None,
    level: float = 0.95,
) -> RankTest:
    """Test ranks for uniformity, by histogram or by ECDF, with a simultaneous band.

    Each count is binomial. Its two-sided tail probability says how extreme it is; the statistic is the
    smallest one over the bins. Its distribution under uniform ranks is simulated (9999 draws, fixed seed),
    which gives the p-value and the pointwise level at which the band holds for all bins at once. The ECDF
    has more power against narrow, wide or shifted posteriors; the histogram shows the shape.

    Power of the ECDF at the 5 % level, 200 draws: a std 30 % too small is found in 73 % of trials with 60
    pairs and in all with 300; one 15 % too small in 22 % and 71 %; a shift by half a std in 91 % and all.

    Args:
        ranks: Ranks 0..S of independent pairs, (P,).
        num_samples: Number of draws S.
        cumulative: Test the ECDF instead of the histogram.
        bins: Number of bins; about five ranks a bin, between 4 and 20, by default; 50 for the ECDF.
        level: Probability of the band.

    Raises:
        ValueError: If a rank is not in 0..S or there are more bins than ranks to tell apart.

    Source: Säilynoja, Bürkner and Vehtari, Statistics and Computing 32 (2022) (simultaneous bands by
    simulation).
    """
    as_levels(level)
    values = np.asarray(ranks)
    if values.ndim != 1 or not values.size or values.min() < 0 or values.max() > num_samples:
        raise ValueError(
            f"expected ranks of shape (P,) within 0..{num_samples}, got {values.tolist()[:8]} ..."
        )
    if bins is None:
        bins = (
            min(50, num_samples + 1)
            if cumulative
            else min(max(4, min(20, values.size // 5)), num_samples + 1)
        )
    if not 2 <= bins <= num_samples + 1:
        raise ValueError(f"expected between 2 and {num_samples + 1} bins for {num_samples} draws, got {bins}")
    slots = np.linspace(0, num_samples + 1, bins + 1).round().astype(int)
    share, tails, extreme = _under_uniform(values.size, tuple(slots.tolist()), cumulative)
    counts = np.histogram(values, bins=slots - 0.5)[0]
    if cumulative:
        counts = np.cumsum(counts)[:-1]
    threshold = np.quantile(extreme, 1.0 - level, method="lower")
    inside = tails >= threshold
    return RankTest(
        edges=slots / (num_samples + 1),
        counts=counts,
        expected=values.size * share,
        lower=inside.argmax(axis=1),
        upper=values.size - inside[:, ::-1].argmax(axis=1),
        level=level,
        p_value=float(
            (1 + np.count_nonzero(extreme <= tails[np.arange(share.size), counts].min())) / (1 + extreme.size)
        ),
        cumulative=cumulative,
    )


@lru_cache(maxsize=16)
def _under_uniform(num: int, slots: tuple[int, ...], cumulative: bool) -> tuple[Array, Array, Array]:
    """Share of ranks in each bin, tail probability of every count, and simulated values of the statistic."""
    share = np.diff(slots) / slots[-1]
    simulated = np.random.default_rng(0).multinomial(num, share, size=9999)
    if cumulative:
        share, simulated = np.cumsum(share)[:-1], np.cumsum(simulated, axis=1)[:, :-1]
    tails = _two_sided(num, share)
    return share, tails, tails[np.arange(share.size), simulated].min(axis=1)


def _two_sided(num: int, share: Array) -> Array:
    """Two-sided tail probability of every count of Binomial(num, share), (bins, num + 1)."""
    count = np.arange(num + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, num + 1)))])
    choose = log_factorial[num] - log_factorial - log_factorial[::-1]
    pmf = np.exp(choose + count * np.log(share)[:, None] + (num - count) * np.log1p(-share)[:, None])
    below = np.cumsum(pmf, axis=1)
    above = np.cumsum(pmf[:, ::-1], axis=1)[:, ::-1]
    # Rounded, so that tails that are equal by symmetry compare equal.
    return np.minimum(1.0, 2.0 * np.minimum(below, above)).round(12)


def ks_uniform(values: ArrayLike) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance to the uniform distribution on [0, 1], and its p-value.

    Args:
        values: Independent values in [0, 1], (N,): for ranks ``(rank + v) / (S + 1)`` with v uniform.

    Returns:
        Distance and p-value (Kolmogorov's series with Stephens' argument, good to about 1 % from N = 5 on).

    Raises:
        ValueError: If a value is not in [0, 1].

    Source: Stephens, JRSS B 32 (1970).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if not ordered.size or not (ordered[0] >= 0.0 and ordered[-1] <= 1.0):
        raise ValueError(f"expected values in [0, 1], got {ordered.size} in {ordered[:1]} .. {ordered[-1:]}")
    num = ordered.size
    step = np.arange(num + 1) / num
    distance = float(max((step[1:] - ordered).max(), (ordered - step[:-1]).max()))
    argument = distance * (np.sqrt(num) + 0.12 + 0.11 / np.sqrt(num))
    if argument < 0.2:  # the series converges slowly there, and its sum is 1 to ten digits
        return distance, 1.0
    k = np.arange(1, 101)
    p_value = 2.0 * np.sum((-1.0) ** (k - 1) * np.exp(-2.0 * (k * argument) ** 2))
    return distance, float(np.clip(p_value, 0.0, 1.0))
