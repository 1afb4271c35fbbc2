"""Ranks of any functional of the image, the transform to uniform values, and a map of both its faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.calibration import rank
from posterior.uq.checks import Array, as_samples, as_truth
from posterior.uq.functionals import Functional
from posterior.uq.sbc import RankTest, rank_test


def pit(ranks: ArrayLike, num_samples: int, *, seed: int = 0) -> Array:
    """Probability integral transform from ranks, ``(rank + v) / (S + 1)`` with v uniform on [0, 1).

    Exactly uniform on [0, 1) for a calibrated posterior, at every S; ``rank / S`` is not.

    Args:
        ranks: Ranks 0..S, any shape.
        num_samples: Number of draws S.
        seed: Seed of v.

    Raises:
        ValueError: If a rank is not in 0..S.

    Source: Talts et al., arXiv:1804.06788; randomised as Czado, Gneiting and Held, Biometrics 65 (2009).
    """
    values = np.asarray(ranks)
    if values.size and not (values.min() >= 0 and values.max() <= num_samples):
        raise ValueError(f"expected ranks in 0..{num_samples}, got {values.min()} .. {values.max()}")
    # Not the stream that breaks the ties of a rank with the same seed.
    v = np.random.default_rng((seed, 1)).random(values.shape)
    return (values + v) / (num_samples + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values of many tests adjusted so that none of them is below a level by chance with that probability.

    Sorted, ``max_(j <= i) min(1, (m - j + 1) p_(j))``. Holds whatever the tests have in common: functionals
    of one image are far from independent.

    Example:
        >>> holm({"mean": 0.01, "energy": 0.04})
        {'mean': 0.02, 'energy': 0.04}

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    names = sorted(p_values, key=lambda name: p_values[name])
    factors = np.arange(len(names), 0, -1)
    raised = np.minimum(1.0, factors * np.array([p_values[name] for name in names], dtype=np.float64))
    adjusted = dict(zip(names, np.maximum.accumulate(raised).tolist(), strict=True))
    return {name: adjusted[name] for name in p_values}


@final
class FunctionalRanks:
    """Streams pairs into the ranks of functionals of the truth among those of the draws.

    Args:
        functionals: Name to functional.
        seed: Seed of ties in rank.

    Power at the 5 % level of the smallest p-value after :func:`holm`, seven functionals of which one is the
    data misfit, 60 pairs: a std 15 % too small or 30 % too large, a shift by 0.3 std, wrong correlations and
    ignored data are found always. The misfit is the only one that sees a posterior which ignores the data.

    Example:
        >>> from posterior.uq.functionals import cell
        >>> ranks = FunctionalRanks({"middle": cell(1)})
        >>> ranks.update(np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 2.0]]), np.array([9.0, 2.0, 9.0]))
        >>> ranks.ranks()["middle"].tolist()
        [1]

    Source: Talts et al., arXiv:1804.06788; functionals of x and y: Modrák et al., Bayesian Analysis 20
    (2025).
    """

    def __init__(self, functionals: Mapping[str, Functional], *, seed: int = 0) -> None:
        if not functionals:
            raise ValueError("expected at least 1 functional, got 0")
        self.functionals = dict(functionals)
        self.num_samples = 0
        self._seed = seed
        self._ranks: dict[str, list[int]] = {name: [] for name in functionals}
        self._pairs = 0

    def update(self, samples: ArrayLike, truth: ArrayLike, observed: Any = None) -> None:
        """Take in one pair.

        Args:
            samples: Posterior draws, (S, ...), the same S in every pair.
            truth: True values, (...).
            observed: The observation, as the functionals want it.

        Raises:
            ValueError: If S changes from one pair to the next, or a functional returns another shape.
        """
        draws = as_samples(samples)
        target = as_truth(truth, draws.shape[1:])
        if self._pairs and len(draws) != self.num_samples:
            raise ValueError(f"expected {self.num_samples} draws, as in the pairs before, got {len(draws)}")
        placed = {}
        for name, functional in self.functionals.items():
            drawn, true = (np.asarray(functional(stack, observed)) for stack in (draws, target[None]))
            if drawn.shape != (len(draws),) or true.shape != (1,):
                raise ValueError(
                    f"expected one number an image from {name!r}, got {drawn.shape} for {len(draws)} images"
                )
            placed[name] = int(rank(drawn, true[0], seed=self._seed + self._pairs))
        self.num_samples = len(draws)
        self._pairs += 1
        for name, value in placed.items():
            self._ranks[name].append(value)

    def ranks(self) -> dict[str, Array]:
        """Functional to its rank in each pair, int64, (P,)."""
        if not self._pairs:
            raise ValueError("expected at least 1 pair for ranks, got 0")
        return {name: np.array(values) for name, values in self._ranks.items()}

    def tests(self, *, cumulative: bool = True, level: float = 0.95) -> dict[str, RankTest]:
        """Functional to the test of its ranks, each with a band that holds simultaneously over bins.

        Across functionals pass the p-values through :func:`holm`.
        """
        return {
            name: rank_test(values, self.num_samples, cumulative=cumulative, level=level)
            for name, values in self.ranks().items()
        }


@final
class PitMap:
    """Streams pairs into two maps over cells: is the posterior off centre there, is it too narrow there.

    With u the transform of :func:`pit` and P pairs, ``bias = sqrt(12 P) mean(u - 1/2)`` and ``width =
    sqrt(180 P) mean((u - 1/2)^2 - 1/12)`` are standard normal in every cell of a calibrated posterior. Keeps
    two images.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.pairs = 0
        self._seed = seed
        self._first: Array = np.zeros(())
        self._second: Array = np.zeros(())

    def update(self, samples: ArrayLike, truth: ArrayLike) -> None:
        """Take in one pair: draws (S, ...) and truth (...)."""
        draws = as_samples(samples)
        ranks = rank(draws, truth, seed=self._seed + self.pairs)
        if self.pairs and ranks.shape != self._first.shape:
            raise ValueError(
                f"expected pairs of shape {self._first.shape}, like those before, got {ranks.shape}"
            )
        offset = pit(ranks, len(draws), seed=self._seed + self.pairs) - 0.5
        self._first = self._first + offset
        self._second = self._second + (offset**2 - 1.0 / 12.0)
        self.pairs += 1

    @property
    def bias(self) -> Array:
        """Standard scores, (...): above 0 where truths lie above the draws."""
        return np.sqrt(12.0 / self._count()) * self._first

    @property
    def width(self) -> Array:
        """Standard scores, (...): above 0 where the posterior is too narrow (or off centre)."""
        return np.sqrt(180.0 / self._count()) * self._second

    def _count(self) -> int:
        if not self.pairs:
            raise ValueError("expected at least 1 pair for a map of ranks, got 0")
        return self.pairs
