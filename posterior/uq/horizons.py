"""Where an interface lies: its depth in every draw, and the distribution of that depth along the section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_levels, as_samples

Kind = Literal["rise", "fall", "peak", "trough"]
_KINDS: tuple[Kind, ...] = ("rise", "fall", "peak", "trough")


@final
@dataclass(frozen=True)
class Picker:
    """What is taken for the interface on a trace, and between which depths it is sought.

    ``rise``: the first depth at which the value passes the threshold upwards, linearly between cells: top of
    salt in velocity. ``fall``: downwards. ``peak``: the largest value, if it is at least the threshold, at
    the vertex of the parabola through its neighbours: a reflector in an image. ``trough``: the smallest, if
    at most the threshold.

    Example:
        >>> picker = Picker("rise", threshold=3000.0, top=0.0, base=40.0)
        >>> picker.pick(np.array([[1500.0, 2500.0, 3500.0, 4500.0]]), depth=np.arange(4) * 10.0).tolist()
        [15.0]
    """

    kind: Kind
    """``rise``, ``fall``, ``peak`` or ``trough``."""
    threshold: float
    """In units of x."""
    top: ArrayLike
    """Upper end of the window [m]: a number, or one for each trace, (...)."""
    base: ArrayLike
    """Lower end of the window [m], as ``top``."""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"expected a kind among {sorted(_KINDS)}, got {self.kind!r}")
        if not np.isfinite(self.threshold):
            raise ValueError(f"expected a finite threshold, got {self.threshold!r}")

    def pick(self, samples: ArrayLike, depth: ArrayLike) -> Array:
        """Depth of the interface in each draw.

        Args:
            samples: Posterior draws, depth last, (S, ..., nz); a batch of them where they do not fit.
            depth: Depth of the cells, increasing, (nz,) [m].

        Returns:
            Depths [m], (S, ...); NaN where a draw has no such interface within the window.

        Raises:
            ValueError: If depths do not fit the draws or do not increase, or the window holds fewer than 2
                cells (3 for a peak) of a trace.
        """
        draws = as_samples(samples, least=1)
        levels = np.asarray(depth, dtype=np.float64)
        if draws.ndim < 2 or levels.shape != draws.shape[-1:]:
            raise ValueError(f"expected depths of shape {draws.shape[-1:]}, got {levels.shape}")
        if not (np.diff(levels) > 0.0).all():
            raise ValueError("expected depths that increase, got depths that do not")
        inside = self._window(levels, draws.shape[1:])
        sign = 1.0 if self.kind in ("rise", "peak") else -1.0
        values, threshold = sign * draws, sign * self.threshold
        choose = _crossing if self.kind in ("rise", "fall") else _extreme
        return choose(values, threshold, levels, inside)

    def _window(self, levels: Array, shape: tuple[int, ...]) -> Array:
        """Cells between top and base, (..., nz)."""
        top, base = (np.asarray(bound, dtype=np.float64)[..., None] for bound in (self.top, self.base))
        for bound in (top, base):
            if bound.shape[:-1] not in ((), shape[:-1]):
                raise ValueError(
                    f"expected a window as one number or of shape {shape[:-1]}, got {bound.shape[:-1]}"
                )
        inside = np.broadcast_to((levels >= top) & (levels <= base), shape)
        least = 2 if self.kind in ("rise", "fall") else 3
        fewest = int(inside.sum(axis=-1).min())
        if fewest < least:
            raise ValueError(f"expected a window of at least {least} cells on every trace, got {fewest}")
        return inside


@final
@dataclass(frozen=True)
class Horizon:
    """The distribution of an interface's depth on every trace.

    Batches of draws are picked one by one, and their picks joined: ``Horizon(np.concatenate(picks))``. A
    pick is one number a trace, so that picks fit where draws do not.
    """

    picks: Array
    """Depths [m], (S, ...); NaN where a draw has no interface."""

    def __post_init__(self) -> None:
        if self.picks.ndim < 1 or len(self.picks) < 2 or np.isinf(self.picks).any():
            raise ValueError(f"expected finite or NaN picks of at least 2 draws, got {self.picks.shape}")

    @property
    def presence(self) -> Array:
        """Probability that there is such an interface within the window, (...)."""
        return np.isfinite(self.picks).mean(axis=0)

    @property
    def mean(self) -> Array:
        """Mean depth where the interface is there [m], (...); NaN where it is in no draw."""
        there, total = self._sums(np.nan_to_num(self.picks))
        return np.divide(total, there, out=np.full(there.shape, np.nan), where=there > 0)

    @property
    def std(self) -> Array:
        """Standard deviation of depth where the interface is there [m], (...); NaN with fewer than 2."""
        there, total = self._sums(np.nan_to_num(self.picks - self.mean) ** 2)
        return np.sqrt(np.divide(total, there - 1, out=np.full(there.shape, np.nan), where=there > 1))

    def quantiles(self, probabilities: ArrayLike) -> Array:
        """Quantiles of depth given that the interface is there [m], (P..., ...).

        As :func:`posterior.uq.moments.quantiles`, from the n picks of each trace; NaN where these are too
        few, ``p < 1/(n + 1)`` or ``p > n/(n + 1)``.
        """
        levels = as_levels(probabilities)
        ordered = np.sort(self.picks, axis=0)  # NaN last
        there = np.isfinite(ordered).sum(axis=0)
        found = np.empty((levels.size, *there.shape))
        for number, level in enumerate(levels.ravel()):
            position = level * (there + 1)
            # The slack forgives rounding, as in posterior.uq.moments.require_draws.
            known = (position >= 1.0 - 1e-9) & (position <= there + 1e-9)
            below = np.clip(np.floor(position).astype(np.int64), 1, np.maximum(there, 1))
            above = np.minimum(below + 1, np.maximum(there, 1))
            low, high = (np.take_along_axis(ordered, at[None] - 1, axis=0)[0] for at in (below, above))
            found[number] = np.where(known, low + (position - below) * (high - low), np.nan)
        return found.reshape(*levels.shape, *there.shape)

    def density(self, edges: ArrayLike) -> Array:
        """Probability per metre of finding the interface in each bin of depth, (B, ...) [1/m].

        Sums, times the widths, to :attr:`presence` where the bins hold all picks: absence is not divided
        away.

        Args:
            edges: Increasing edges of the bins, (B + 1,) [m]; a bin holds its left edge, the last one both.
        """
        bounds = np.asarray(edges, dtype=np.float64)
        if bounds.ndim != 1 or bounds.size < 2 or not (np.diff(bounds) > 0.0).all():
            raise ValueError(f"expected increasing edges of shape (B + 1,), got {bounds.shape}")
        place = np.searchsorted(bounds, self.picks, side="right") - 1
        place = np.where(self.picks == bounds[-1], bounds.size - 2, place)
        counts = np.stack([np.count_nonzero(place == b, axis=0) for b in range(bounds.size - 1)])
        width = np.diff(bounds).reshape(-1, *[1] * (counts.ndim - 1))
        return counts / (len(self.picks) * width)

    def _sums(self, values: Array) -> tuple[Array, Array]:
        there = np.isfinite(self.picks)
        return there.sum(axis=0), np.where(there, values, 0.0).sum(axis=0)


def _crossing(values: Array, threshold: float, depth: Array, inside: Array) -> Array:
    """First passage from below the threshold to it or above, both cells within the window."""
    above = values >= threshold
    passes = ~above[..., :-1] & above[..., 1:] & inside[..., :-1] & inside[..., 1:]
    first = passes.argmax(axis=-1)[..., None]
    low, high = (
        np.take_along_axis(values, at, axis=-1)[..., 0].astype(np.float64) for at in (first, first + 1)
    )
    there = passes.any(axis=-1)
    share = np.divide(threshold - low, high - low, out=np.zeros(there.shape), where=there)
    start = depth[first[..., 0]]
    return np.where(there, start + share * (depth[first[..., 0] + 1] - start), np.nan)


def _extreme(values: Array, threshold: float, depth: Array, inside: Array) -> Array:
    """Vertex of the parabola through the largest value within the window and its neighbours there.

    A largest value at the end of its window is the flank of something outside: no interface.
    """
    masked = np.where(inside, values, -np.inf)
    place = masked.argmax(axis=-1)[..., None]
    beside = [np.clip(place + step, 0, depth.size - 1) for step in (-1, 0, 1)]
    left, middle, right = (np.take_along_axis(masked, at, axis=-1)[..., 0] for at in beside)
    there = np.isfinite(left) & np.isfinite(right) & (middle >= threshold)
    there &= (place[..., 0] > 0) & (place[..., 0] < depth.size - 1)
    left, middle, right = (np.where(there, value, 0.0).astype(np.float64) for value in (left, middle, right))
    before, at, after = (depth[where[..., 0]] for where in beside)
    rise, drop = (middle - left) * (after - at), (middle - right) * (at - before)
    bend = 2.0 * (rise + drop)
    # Newton's parabola on unequal steps; level tops (bend 0) stay at their cell.
    shift = np.divide(
        rise * (after - at) - drop * (at - before), bend, out=np.zeros(bend.shape), where=bend > 0.0
    )
    return np.where(there, at + shift, np.nan)
