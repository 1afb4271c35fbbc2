"""Maximum mean discrepancy of network summaries: do these surveys look like those of the training."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_samples


def mmd_squared(first: ArrayLike, second: ArrayLike, *, bandwidth: float) -> float:
    """Squared maximum mean discrepancy of two samples under a Gaussian kernel, unbiased.

    ``mean_(i != j) k(a_i, a_j) + mean_(i != j) k(b_i, b_j) - 2 mean k(a_i, b_j)``, ``k = exp(-|a - b|^2 / (2
    h^2))``; about 0 (of either sign) when both come from one distribution.

    Args:
        first: Vectors a, (n, m), n >= 2.
        second: Vectors b, (n', m), n' >= 2.
        bandwidth: Width h of the kernel, in units of the vectors.

    Source: Gretton et al., JMLR 13 (2012), equation 3.
    """
    a, b = _vectors(first), _vectors(second)
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"expected two samples of at least 2 vectors of one size, got {a.shape} and {b.shape}"
        )
    within = [(_kernel(v, v, bandwidth).sum() - len(v)) / (len(v) * (len(v) - 1)) for v in (a, b)]
    return float(sum(within) - 2.0 * _kernel(a, b, bandwidth).mean())


@final
class SummaryMmd:
    """Distance of surveys from held-out training surveys, in the space of network summaries.

    Summaries are standardised by feature; the kernel's width is the median distance between two of them. The
    score of one survey is its part of the discrepancy, ``-2 mean_i k(h, h_i)`` less the same constant for
    all.

    Args:
        summaries: Summaries of surveys from the training distribution that the network was not trained on,
            (N, m).

    Source: Schmitt et al., GCPR 2023, arXiv:2112.08866 (summary-space discrepancy as a sign of
    misspecification).
    """

    def __init__(self, summaries: ArrayLike) -> None:
        known = _vectors(summaries)
        if len(known) < 8:
            raise ValueError(f"expected at least 8 summaries to compare with, got {len(known)}")
        spread = known.std(axis=0, ddof=1)
        self._centre, self._scale = known.mean(axis=0), np.where(spread > 0.0, spread, 1.0)
        self._known = (known - self._centre) / self._scale
        squares = _squares(self._known, self._known)[np.triu_indices(len(known), 1)]
        self.bandwidth = float(np.sqrt(np.median(squares))) or 1.0
        self._gram = _kernel(self._known, self._known, self.bandwidth)

    def score(self, summaries: ArrayLike) -> Array:
        """Score of each survey on its own, (n,): larger is farther away.

        Args:
            summaries: (n, m).
        """
        return -2.0 * _kernel(self._standardised(summaries), self._known, self.bandwidth).mean(axis=1)

    def known_scores(self) -> Array:
        """Score of each known survey against the others, (N,): what to hold :meth:`score` against."""
        count = len(self._known)
        return -2.0 * (self._gram.sum(axis=1) - 1.0) / (count - 1)

    def test(self, summaries: ArrayLike, *, trials: int = 999, seed: int = 0) -> tuple[float, float]:
        """Discrepancy of a set of surveys, and its p-value by permutation of new and known ones.

        Args:
            summaries: (n, m), n >= 2.
            trials: Permutations.
            seed: Of the permutations.

        Returns:
            Squared discrepancy and p-value; exact whatever n.
        """
        fresh = self._standardised(summaries)
        both = np.concatenate([fresh, self._known])
        gram = _kernel(both, both, self.bandwidth)
        rng = np.random.default_rng(seed)
        member = np.zeros((1 + trials, len(both)))
        for row in range(1 + trials):
            order = np.arange(len(both)) if row == 0 else rng.permutation(len(both))
            member[row, order[: len(fresh)]] = 1.0
        values = _discrepancies(gram, member)
        # The slack keeps permutations that are the same split from losing to rounding.
        return float(values[0]), float(np.count_nonzero(values >= values[0] - 1e-12) / (1 + trials))

    def _standardised(self, summaries: ArrayLike) -> Array:
        fresh = _vectors(summaries)
        if fresh.shape[1] != self._known.shape[1]:
            raise ValueError(f"expected summaries of shape (n, {self._known.shape[1]}), got {fresh.shape}")
        return (fresh - self._centre) / self._scale


def _discrepancies(gram: Array, member: Array) -> Array:
    """Squared discrepancy of each split of one set in two, rows of ``member`` 1 for the first part."""
    first, total = member.sum(axis=1), gram.shape[0]
    if first[0] < 2.0:
        raise ValueError(f"expected at least 2 summaries for a test, got {int(first[0])}: see score")
    second = total - first
    reach = member @ gram
    within = (reach * member).sum(axis=1)
    across = reach.sum(axis=1) - within
    rest = gram.sum() - within - 2.0 * across
    inner = (within - first) / (first * (first - 1.0)) + (rest - second) / (second * (second - 1.0))
    return inner - 2.0 * across / (first * second)


def _kernel(first: Array, second: Array, bandwidth: float) -> Array:
    return np.exp(-0.5 * _squares(first, second) / bandwidth**2)


def _squares(first: Array, second: Array) -> Array:
    norms = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    return np.maximum(norms - 2.0 * first @ second.T, 0.0)


def _vectors(values: ArrayLike) -> Array:
    array = as_samples(values, least=1).astype(np.float64)
    if array.ndim != 2:
        raise ValueError(f"expected summaries of shape (n, m), got {array.shape}")
    return array
