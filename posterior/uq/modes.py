"""Principal modes of posterior draws: the images along which the posterior varies most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask, as_samples

# Values converted to double precision at once: draws may be a file mapped into memory.
_BLOCK = 1 << 22


@final
@dataclass(frozen=True)
class Modes:
    """The leading principal modes of a set of draws, in falling order of variance."""

    mean: Array
    """Mean of the draws, (...)."""
    images: Array
    """Orthonormal modes, (k, ...); 0 on cells that do not count. The largest value of each is positive."""
    variance: Array
    """Variance of the draws along each mode, (k,), in squared units of x."""
    total_variance: float
    """Variance of the draws summed over all cells that count."""
    where: Array
    """Cells that count, (...)."""

    @property
    def explained(self) -> Array:
        """Share of the total variance of *these* draws in each mode, (k,).

        Fitted to the draws it is measured on, and so too high where draws are few: S draws of noise
        without any structure show shares of at least ``1/(S - 1)``. :meth:`explains` on further draws is
        unbiased.
        """
        return self.variance / self.total_variance

    def scores(self, samples: ArrayLike) -> Array:
        """Coordinates of draws along the modes, ``<x_s - mean, mode>``, (S, k), in units of x.

        Args:
            samples: Draws of any posterior on this grid, (S, ...).
        """
        draws = as_samples(samples, least=1)
        if draws.shape[1:] != self.mean.shape:
            raise ValueError(f"expected samples of shape (S, *{self.mean.shape}), got {draws.shape}")
        images, centre = self.images[:, self.where], self.mean[self.where]
        result = np.zeros((len(draws), len(images)))
        for cells in _blocks(draws, self.where):
            result += _select(draws, self.where, cells, centre) @ images[:, cells].T
        return result

    def explains(self, samples: ArrayLike) -> Array:
        """Share of the variance of *other* draws that lies along each mode, (k,).

        Args:
            samples: Draws that the modes were not fitted to, (S, ...), S >= 2.
        """
        draws = as_samples(samples)
        scores = self.scores(draws)
        total = 0.0
        for cells in _blocks(draws, self.where):
            total += float(_select(draws, self.where, cells).var(axis=0, ddof=1).sum())
        if total == 0.0:
            raise ValueError("expected draws that vary, got draws that are all the same")
        return scores.var(axis=0, ddof=1) / total


def principal_modes(samples: ArrayLike, count: int = 8, where: ArrayLike | None = None) -> Modes:
    r"""Leading modes of the draws' sample covariance.

    With ``A = (x - mean)/sqrt(S - 1)``, (S, n), the covariance ``A^T A`` of n cells has the nonzero
    eigenvalues of ``A A^T``, which is only (S, S): ``A A^T u = s^2 u`` gives the mode ``A^T u / s``; with
    more draws than cells, ``A^T A`` itself is taken. Exact, not randomised; draws are read in blocks of
    cells. Modes below 1e-7 of the first in std are lost to the squaring.

    Args:
        samples: Posterior draws, (S, ...).
        count: Number of modes k, at most min(S - 1, n).
        where: Cells that count, (...); all by default.

    Raises:
        ValueError: If the draws have fewer than ``count`` directions of variance.

    Source: method of snapshots, Sirovich, Quart. Appl. Math. 45 (1987).

    Example:
        >>> amplitude = np.random.default_rng(0).standard_normal((50, 1))
        >>> modes = principal_modes(amplitude * np.array([0.6, 0.8]), 1)
        >>> modes.images.round(3).tolist(), float(modes.explained[0].round(3))
        ([[0.6, 0.8]], 1.0)
    """
    draws = as_samples(samples)
    mask = as_mask(where, draws.shape[1:])
    num, cells = len(draws), int(np.count_nonzero(mask))
    most = min(num - 1, cells)
    if not 1 <= count <= most:
        raise ValueError(
            f"expected between 1 and {most} modes from {num} draws of {cells} cells, got {count}"
        )
    mean = np.zeros(mask.shape)
    mean[...] = draws.mean(axis=0, dtype=np.float64)
    values, flat, total = (_by_cells if cells < num else _by_draws)(draws, mask, mean[mask], count)
    if values[-1] <= 1e-14 * values[0] or values[0] == 0.0:
        raise ValueError(f"expected draws that vary in at least {count} directions, got fewer")
    images = np.zeros((count, *mask.shape))
    largest = np.take_along_axis(flat, np.abs(flat).argmax(axis=1)[:, None], axis=1)
    images[:, mask] = flat * np.sign(largest)
    return Modes(mean, images, values, total, mask)


def _by_cells(draws: Array, mask: Array, centre: Array, count: int) -> tuple[Array, Array, float]:
    """Variances, modes (k, n) and total variance from the covariance of few cells."""
    block = _select(draws, mask, slice(None), centre)
    covariance = block.T @ block / (len(draws) - 1)
    values, vectors = np.linalg.eigh(covariance)
    return values[::-1][:count], vectors[:, ::-1][:, :count].T, float(np.trace(covariance))


def _by_draws(draws: Array, mask: Array, centre: Array, count: int) -> tuple[Array, Array, float]:
    """The same from the products of few draws."""
    gram = np.zeros((len(draws), len(draws)))
    for cells in _blocks(draws, mask):
        block = _select(draws, mask, cells, centre)
        gram += block @ block.T
    values, vectors = np.linalg.eigh(gram / (len(draws) - 1))
    leading = vectors[:, ::-1][:, :count].T
    flat = np.empty((count, centre.size))
    for cells in _blocks(draws, mask):
        flat[:, cells] = leading @ _select(draws, mask, cells, centre)
    # A mode without variance has no direction: its norm of 0 is left for the caller to refuse.
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = np.divide(flat, norm, out=flat, where=norm > 0.0)
    return values[::-1][:count], flat, float(np.trace(gram) / (len(draws) - 1))


def _blocks(draws: Array, mask: Array) -> Iterator[slice]:
    """Slices of the cells that count, each of a bounded number of values."""
    cells, step = int(np.count_nonzero(mask)), max(1, _BLOCK // len(draws))
    for start in range(0, cells, step):
        yield slice(start, min(start + step, cells))


def _select(draws: Array, mask: Array, cells: slice, centre: Array | None = None) -> Array:
    """Some of the cells that count in double precision, (S, m), less their centre."""
    places = np.flatnonzero(mask)[cells]
    block = draws.reshape(len(draws), -1)[:, places].astype(np.float64)
    return block if centre is None else block - centre[cells]
