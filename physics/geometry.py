"""Where sources and receivers stand, which traces are live, and how the records are sampled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from physics.errors import GeometryError, check_inside, check_sampling
from physics.positions import as_live, as_positions, as_receivers, check_distinct, edge_to_edge, middles


@final
@dataclass(frozen=True, eq=False)
class Acquisition:
    """A survey: sources, the receivers of each, live traces, sampling. Frozen; equal and hashed by content.

    There is one form of each survey: receivers that do not move are kept as (nrec, ndim) and traces that all
    live as None, however they were given.

    Args:
        sources: Positions, shape (nsrc, ndim) [m], anywhere in the model, off-grid too.
        receivers: Positions [m], shape (nrec, ndim) if every receiver records every source, or
            (nsrc, nrec, ndim) if they move with the source, as streamers and rolling spreads do.
        dt: Sampling interval of the records [s].
        nt: Samples of a record; the first is at time zero.
        live: Which traces recorded, shape (nsrc, nrec); by default all. A dead trace is zero; it still has a
            position inside the model. Shots with fewer traces than others are filled up with dead ones.

    Raises:
        ValueError: If positions are no finite arrays of these shapes, if two live receivers of a shot share a
            place, if a shot has no live receiver, or if ``dt`` looks like milliseconds.

    Example:
        >>> survey = Acquisition([[100.0, 20.0]], [[0.0, 9.0], [50.0, 9.0]], dt=0.004, nt=376)
        >>> survey.record_shape
        (1, 376, 2)
    """

    sources: NDArray[np.float64]
    receivers: NDArray[np.float64]
    dt: float
    nt: int
    live: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        check_sampling(self.dt, self.nt)
        sources = as_positions(self.sources, "sources")
        receivers = as_receivers(self.receivers, len(sources))
        if sources.shape[-1] != receivers.shape[-1]:
            raise GeometryError(
                f"expected sources and receivers in the same number of dimensions, "
                f"got shapes {sources.shape} and {receivers.shape}"
            )
        live = as_live(self.live, (len(sources), receivers.shape[-2]))
        for name, value in (("sources", sources), ("receivers", receivers), ("live", live)):
            if value is not None:
                value.flags.writeable = False
            object.__setattr__(self, name, value)
        self._check_duplicates()

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
        intervals, moved sideways by a uniform random ``jitter``. `physics.surveys` builds other surveys.

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
        x = middles(num_sources, width)
        if rng is not None and jitter > 0.0:
            x = np.clip(x + rng.uniform(-jitter, jitter, num_sources), 0.0, width)
        spread = edge_to_edge(num_receivers, width)
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
        """Number of receivers of a shot, dead ones included."""
        return int(self.receivers.shape[-2])

    @property
    def record_shape(self) -> tuple[int, int, int]:
        """Shape (nsrc, nt, nrec) of the records."""
        return (self.num_sources, self.nt, self.num_receivers)

    @property
    def moves(self) -> bool:
        """Whether receivers move with the source."""
        return self.receivers.ndim == 3

    def receivers_of(self, index: int) -> NDArray[np.float64]:
        """Receivers (nrec, ndim) of a shot [m], dead ones included."""
        return self.receivers[index] if self.moves else self.receivers

    def distances(self, *, horizontal: bool = False) -> NDArray[np.float64]:
        """Distance of each receiver from the source, shape (nsrc, nrec) [m]; ``horizontal``: the offset."""
        axes = slice(-1) if horizontal else slice(None)
        return np.linalg.norm((self.receivers - self.sources[:, None, :])[..., axes], axis=-1)

    def select(self, indices: Any) -> Acquisition:
        """The survey of some shots: indices, a slice or a boolean mask, in the order given."""
        try:
            chosen = np.atleast_1d(np.arange(self.num_sources)[indices])
        except IndexError as error:
            raise GeometryError(
                f"expected indices of shots from 0 to {self.num_sources - 1}, got {indices!r}: {error}"
            ) from None
        receivers = self.receivers[chosen] if self.moves else self.receivers
        live = None if self.live is None else self.live[chosen]
        return Acquisition(self.sources[chosen], receivers, self.dt, self.nt, live)

    def check_inside(self, lower: tuple[float, ...], upper: tuple[float, ...]) -> None:
        """Raise a GeometryError if a position is outside the box from ``lower`` to ``upper`` [m]."""
        check_inside(self.sources, "sources", lower=lower, upper=upper)
        for name, receivers in self._spreads():
            check_inside(receivers, name, lower=lower, upper=upper)

    def _spreads(self) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Each distinct spread, with its name for a message."""
        if not self.moves:
            yield "receivers", self.receivers
            return
        for index, receivers in enumerate(self.receivers):
            yield f"receivers of shot {index}", receivers

    def _check_duplicates(self) -> None:
        """Refuse two live receivers of a shot at one place: a migration would count their trace twice."""
        if self.live is None:
            for name, receivers in self._spreads():
                check_distinct(receivers, np.arange(self.num_receivers), name)
            return
        for index, live in enumerate(self.live):
            check_distinct(self.receivers_of(index), np.flatnonzero(live), f"receivers of shot {index}")

    def _key(self) -> tuple[object, ...]:
        live = None if self.live is None else self.live.tobytes()
        arrays = (self.sources, self.receivers)
        return (*(a.shape for a in arrays), *(a.tobytes() for a in arrays), self.dt, self.nt, live)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Acquisition) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())
