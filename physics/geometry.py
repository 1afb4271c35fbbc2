"""Where sources and receivers stand, and how their records are sampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics.errors import GeometryError, check_inside, check_sampling


@dataclass(frozen=True, eq=False)
class Acquisition:
    """A survey: every receiver records every source. Frozen; equal and hashed by content.

    Args:
        sources: Positions, shape (nsrc, ndim) [m], anywhere in the model, off-grid too.
        receivers: Positions, shape (nrec, ndim) [m].
        dt: Sampling interval of the records [s].
        nt: Samples of a record; the first is at time zero.

    Raises:
        ValueError: If positions are no finite (n, ndim) array, or if ``dt`` looks like milliseconds.

    Example:
        >>> survey = Acquisition(sources=[[100.0, 20.0]], receivers=[[0.0, 9.0], [50.0, 9.0]], dt=0.004,
        nt=376) >>> survey.record_shape
        (1, 376, 2)
    """

    sources: NDArray[np.float64]
    receivers: NDArray[np.float64]
    dt: float
    nt: int

    def __post_init__(self) -> None:
        check_sampling(self.dt, self.nt)
        for name in ("sources", "receivers"):
            object.__setattr__(self, name, _positions(getattr(self, name), name))
        if self.sources.shape[1] != self.receivers.shape[1]:
            raise GeometryError(
                f"expected sources and receivers in the same number of dimensions, "
                f"got shapes {self.sources.shape} and {self.receivers.shape}"
            )

    @classmethod
    def surface(
        cls,
        extent: tuple[float, float],
        num_sources: int,
        num_receivers: int,
        *,
        source_depth: float,
        receiver_depth: float,
        dt: float,
        nt: int,
        jitter: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> Acquisition:
        """A fixed spread over a 2-D model whose corner is at (0, 0), symmetric about its middle.

        Receivers reach from edge to edge. A source stands in the middle of each of ``num_sources`` equal
        intervals, moved sideways by a uniform random ``jitter``.

        Args:
            extent: Width and depth of the model [m].
            num_sources: Number of sources.
            num_receivers: Number of receivers.
            source_depth: Depth of the sources [m].
            receiver_depth: Depth of the receivers [m].
            dt: Sampling interval of the records [s].
            nt: Samples of a record.
            jitter: Largest horizontal departure of a source from its regular position [m].
            rng: Random generator; needed for a jitter.
        """
        if min(num_sources, num_receivers) < 1:
            raise GeometryError(
                f"expected at least 1 source and 1 receiver, got {num_sources} and {num_receivers}"
            )
        if jitter > 0.0 and rng is None:
            raise GeometryError(f"expected a random generator rng for a jitter of {jitter:g} m, got None")
        width = extent[0]
        x = (np.arange(num_sources) + 0.5) * width / num_sources
        if rng is not None and jitter > 0.0:
            x = np.clip(x + rng.uniform(-jitter, jitter, num_sources), 0.0, width)
        spread = np.linspace(0.0, width, num_receivers) if num_receivers > 1 else np.array([width / 2])
        return cls(
            sources=np.column_stack([x, np.full(num_sources, source_depth)]),
            receivers=np.column_stack([spread, np.full(num_receivers, receiver_depth)]),
            dt=dt,
            nt=nt,
        )

    @property
    def ndim(self) -> int:
        """Number of space dimensions."""
        return int(self.sources.shape[1])

    @property
    def num_sources(self) -> int:
        """Number of sources."""
        return len(self.sources)

    @property
    def num_receivers(self) -> int:
        """Number of receivers."""
        return len(self.receivers)

    @property
    def record_shape(self) -> tuple[int, int, int]:
        """Shape (nsrc, nt, nrec) of the records."""
        return (self.num_sources, self.nt, self.num_receivers)

    def check_inside(self, lower: tuple[float, ...], upper: tuple[float, ...]) -> None:
        """Raise a GeometryError if a position is outside the box from ``lower`` to ``upper`` [m]."""
        check_inside(self.sources, "sources", lower=lower, upper=upper)
        check_inside(self.receivers, "receivers", lower=lower, upper=upper)

    def _key(self) -> tuple[object, ...]:
        return (self.sources.shape, self.sources.tobytes(), self.receivers.tobytes(), self.dt, self.nt)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Acquisition) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def _positions(value: ArrayLike, name: str) -> NDArray[np.float64]:
    """A read-only float64 copy of finite positions (n, ndim)."""
    array = np.array(value, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] not in (2, 3):
        raise GeometryError(f"expected {name} of shape (n, 2) or (n, 3) in metres, got {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise GeometryError(
            f"expected finite {name}, got NaN or infinite positions at indices {bad.tolist()}"
        )
    array.flags.writeable = False
    return array
