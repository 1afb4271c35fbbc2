"""Equal-tailed credible intervals, and one factor that makes them cover what they claim."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_levels, as_mask, as_samples, as_truth
from posterior.uq.moments import quantiles

Guarantee = Literal["expected", "conformal"]

# Factors are resolved on a logarithmic grid of 1.0017 a step, far finer than what any number of pairs can
# tell.
_GRID = np.geomspace(1.0 / 32.0, 32.0, 4097)


def credible_interval(samples: ArrayLike, level: float = 0.9) -> tuple[Array, Array]:
    """Equal-tailed interval per cell that a further draw falls into with probability ``level``.

    The truth of a calibrated posterior is exchangeable with the draws: its rank among S of them is uniform
    on 0..S. With the bounds at the order-statistic positions ``(1 -/+ level)/2 (S + 1)`` the expected
    coverage is exactly ``level`` wherever these are whole (19, 39, ... 199 draws for 90 %). Between, the
    bounds are interpolated, which errs to the wide side where the density falls outwards: by 0.01 at 24
    draws, by less than 0.001 at 200. Coverage counted from ranks
    (:class:`posterior.uq.calibration.Coverage`) is exact at every S.

    Args:
        samples: Posterior draws, (S, ...), with S >= 2/(1 - level) - 1.
        level: Probability the interval holds.

    Returns:
        Lower and upper bound, each (...).

    Raises:
        ValueError: With too few draws for the level.

    Example:
        >>> lower, upper = credible_interval(np.arange(1.0, 20.0), 0.9)
        >>> float(lower), float(upper)
        (1.0, 19.0)
    """
    as_levels(level)
    lower, upper = quantiles(samples, [0.5 * (1.0 - level), 0.5 * (1.0 + level)])
    return lower, upper


@final
@dataclass(frozen=True)
class IntervalRecalibration:
    """One factor on the half-widths of credible intervals about the median, fitted on calibration pairs."""

    factor: float
    """Factor on both half-widths; above 1 the network was overconfident."""
    level: float
    """Level at which it was fitted."""
    pairs: int
    """Calibration pairs it was fitted on."""
    guarantee: Guarantee
    """``expected``: unbiased; ``conformal``: covers at least the level on average over further pairs."""
    coverage_left_out: float
    """Mean coverage of a calibration pair under the factor fitted on the others, as for a new pair."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.factor) and self.factor > 0.0):
            raise ValueError(f"expected a positive interval factor, got {self.factor!r}")
        as_levels(self.level)

    def widen(self, samples: ArrayLike) -> Array:
        """Draws moved away from (or towards) their median by the factor: ``median + factor (x - median)``.

        Every interval of the widened draws is the recalibrated interval of the draws. This repairs marginal
        widths
        only: it adds no information on how cells vary together.

        Args:
            samples: Posterior draws, (S, ...).
        """
        draws = as_samples(samples)
        centre = np.median(draws, axis=0)
        return centre + self.factor * (draws - centre)

    def contract(self, samples: ArrayLike, truth: ArrayLike) -> Array:
        """The truth drawn towards the median, which the interval holds where the widened one holds the truth.

        Args:
            samples: Posterior draws, (S, ...).
            truth: True values, (...).
        """
        draws = as_samples(samples)
        centre = np.median(draws, axis=0)
        return centre + (as_truth(truth, draws.shape[1:]) - centre) / self.factor

    def to_json(self) -> str:
        """The recalibration as a JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> IntervalRecalibration:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: If the text is no JSON object with exactly these fields.
        """
        fields = json.loads(text)
        expected = sorted(cls.__dataclass_fields__)
        if not isinstance(fields, dict) or sorted(fields) != expected:
            raise ValueError(f"expected a JSON object with the fields {expected}, got {text[:200]!r}")
        return cls(**fields)


@final
class RecalibrationFit:
    """Streams calibration pairs and chooses the interval factor.

    For each cell the score is the smallest factor at which the interval [l, u] about the median q, scaled,
    holds the
    truth: ``max((x - q)/(u - q), (q - x)/(q - l))``. Only a histogram of the scores of each pair is kept.

    Args:
        level: Level of the intervals to repair.

    Source: scores as in normalised split-conformal prediction (Lei et al., JASA 113, 2018); the conformal
    choice is conformal risk control (Angelopoulos et al., ICLR 2024) with the share of uncovered cells of a
    pair as loss.
    """

    def __init__(self, level: float = 0.9) -> None:
        as_levels(level)
        self.level = level
        self._curves: list[Array] = []

    def update(self, samples: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> None:
        """Take in one calibration pair.

        Args:
            samples: Posterior draws, (S, ...).
            truth: True values, (...).
            where: Cells that count, (...); all by default.
        """
        draws = as_samples(samples)
        target = as_truth(truth, draws.shape[1:])
        mask = as_mask(where, target.shape)
        scores = interval_scores(draws[:, mask], target[mask], self.level)
        self._curves.append(np.searchsorted(np.sort(scores), _GRID, side="right") / scores.size)

    def fit(self, guarantee: Guarantee = "expected") -> IntervalRecalibration:
        """Choose the factor from the pairs seen so far.

        ``expected`` solves *mean coverage over the calibration pairs = level*: unbiased to first order, and
        the choice to make when coverage is to be near the level. ``conformal`` asks for ``(n coverage)/(n +
        1) >= level``, which guarantees at least ``level`` on average over exchangeable pairs and overshoots
        by up to ``2/(n + 1)``.

        Raises:
            ValueError: With fewer than two pairs; if no factor up to 32 reaches the level; if ``conformal``
                has too few pairs.
        """
        count = len(self._curves)
        # A conformal target must stay below 1 with a pair left out; the slack forgives rounding in 0.9 / 0.1.
        odds = self.level / (1.0 - self.level)
        needed = 2 if guarantee == "expected" else int(odds + 1e-9) + 2
        if count < needed:
            raise ValueError(f"expected at least {needed} pairs for the choice {guarantee!r}, got {count}")
        curves = np.stack(self._curves)
        left_out = []
        for pair in range(count):
            rest = (curves.sum(axis=0) - curves[pair]) / (count - 1)
            left_out.append(np.interp(_solve(rest, self._target(count - 1, guarantee)), _GRID, curves[pair]))
        factor = _solve(curves.mean(axis=0), self._target(count, guarantee))
        return IntervalRecalibration(factor, self.level, count, guarantee, float(np.mean(left_out)))

    def _target(self, count: int, guarantee: Guarantee) -> float:
        return self.level if guarantee == "expected" else self.level * (count + 1) / count


def interval_scores(samples: ArrayLike, truth: ArrayLike, level: float) -> Array:
    """Smallest factor on the interval's half-widths about the median at which it holds the truth, per cell.

    Args:
        samples: Posterior draws, (S, ...).
        truth: True values, (...).
        level: Level of the interval.
    """
    lower, centre, upper = quantiles(samples, [0.5 * (1.0 - level), 0.5, 0.5 * (1.0 + level)])
    offset = as_truth(truth, centre.shape) - centre
    width = np.where(offset >= 0.0, upper - centre, centre - lower)
    # A side without width holds nothing but the median itself, whatever the factor.
    unreachable = np.where(offset == 0.0, 0.0, np.inf)
    return np.divide(np.abs(offset), width, out=unreachable, where=width > 0.0)


def _solve(curve: Array, target: float) -> float:
    """Smallest factor at which the nondecreasing coverage ``curve`` over the grid reaches ``target``."""
    if curve[-1] < target:
        raise ValueError(
            f"expected intervals that cover {target:.3f} of the cells within a factor of {_GRID[-1]:.0f}, "
            f"got {curve[-1]:.3f}: the draws do not vary where the truth does"
        )
    after = int(np.searchsorted(curve, target))
    if after == 0 or curve[after] == curve[after - 1]:
        return float(_GRID[after])
    share = (target - curve[after - 1]) / (curve[after] - curve[after - 1])
    return float(_GRID[after - 1] + share * (_GRID[after] - _GRID[after - 1]))
