"""How the checks of a watch are learnt: which surveys serve for what, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from posterior.diagnosis.distance import Distance
from posterior.diagnosis.exposure import Exposure
from posterior.diagnosis.features import Check, Posterior
from posterior.diagnosis.foreign import Foreign
from posterior.diagnosis.options import WatchConfig
from posterior.progress import Progress

Array = NDArray[Any]
Scorer = Distance | Exposure
_ASIDE = 3
"""One known survey of so many is kept aside for thresholds."""


class Surveys(Protocol):
    """Pairs of which only y is read, such as :class:`posterior.dataset.PairDataset`."""

    @property
    def fingerprint(self) -> str:
        """A digest of the content."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]: ...


@final
@dataclass(frozen=True)
class Part:
    """Some surveys of a dataset; read when asked for."""

    surveys: Surveys
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    def y(self, position: int) -> Tensor:
        """Data of one of them."""
        return self.surveys[self.places[position]][1]


@final
@dataclass(frozen=True)
class Parts:
    """Which surveys serve for what."""

    held: Part
    """For thresholds of every check."""
    usual: Part
    """What is usual."""
    aside: Part
    """For thresholds of checks that do not ask the network."""
    extra: Mapping[str, Array]
    """Scores handed in, of ``held``."""


def divide(pairs: Surveys, known: Surveys | None, extra: Mapping[str, ArrayLike], *, most: int) -> Parts:
    """Divide held-out and known surveys.

    Args:
        pairs: Held-out surveys.
        known: Known ones; without them every other of ``pairs`` serves as one.
        extra: Scores of ``pairs`` by name.
        most: Known surveys that are used at most.

    Raises:
        ValueError: If both are the same, or scores are of another number.
    """
    further = {name: np.asarray(values, dtype=np.float64) for name, values in extra.items()}
    for name, values in further.items():
        if values.shape != (len(pairs),):
            raise ValueError(f"expected scores of {name!r} of shape ({len(pairs)},), got {values.shape}")
    if known is None:
        held, usual = (Part(pairs, tuple(range(first, len(pairs), 2))) for first in (0, 1))
        return Parts(held, usual, Part(pairs, ()), {name: values[::2] for name, values in further.items()})
    if known.fingerprint == pairs.fingerprint:
        raise ValueError("expected known surveys other than the held-out ones, got the same dataset")
    places = np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int).tolist()
    aside = tuple(places[_ASIDE - 1 :: _ASIDE])
    usual = Part(known, tuple(place for number, place in enumerate(places) if (number + 1) % _ASIDE))
    return Parts(Part(pairs, tuple(range(len(pairs)))), usual, Part(known, aside), further)


def learn(
    posterior: Posterior, checks: Mapping[str, Check], parts: Parts, config: WatchConfig
) -> tuple[dict[str, Scorer], dict[str, Array]]:
    """Learn checks, and score the surveys that give their thresholds.

    Args:
        posterior: The trained posterior.
        checks: Checks by name.
        parts: Which surveys serve for what.
        config: Seed, and how many foreign surveys are made.
    """
    quick = {name: check for name, check in checks.items() if not check.network}
    taught = min(config.taught, len(parts.usual))
    kinds = sum(len(check.foreign) for check in checks.values())
    total = len(parts.usual) + len(parts.held) + len(parts.aside) * bool(quick) + taught * kinds
    bar = Progress("watch", total, shown=config.progress)
    usual, held = (_table(posterior, checks, part, bar) for part in (parts.usual, parts.held))
    aside = _table(posterior, quick, parts.aside, bar) if quick else {}
    scorers: dict[str, Scorer] = {}
    for name, check in checks.items():
        if check.foreign:
            foreign = [
                _foreign(posterior, check, place, parts.usual, config, bar)
                for place in range(len(check.foreign))
            ]
            scorers[name] = Exposure.fit(np.stack(usual[name]), foreign, seed=config.seed)
        else:
            scorers[name] = Distance.fit(np.stack(usual[name]))
    bar.close()
    scores = {
        name: np.array([scorers[name](row) for row in [*held[name], *aside.get(name, [])]]) for name in checks
    }
    return scorers, scores


def _table(
    posterior: Posterior, checks: Mapping[str, Check], part: Part, bar: Progress
) -> dict[str, list[Array]]:
    table: dict[str, list[Array]] = {name: [] for name in checks}
    for position in range(len(part)):
        y = part.y(position)
        for name, check in checks.items():
            table[name].append(check.feature(posterior, y))
        bar.advance()
    return table


def _foreign(
    posterior: Posterior, check: Check, kind: int, usual: Part, config: WatchConfig, bar: Progress
) -> Array:
    """Features of foreign surveys of a kind, made of usual ones that are spread evenly."""
    make, rng = check.foreign[kind], np.random.default_rng((config.seed, kind))
    rows = []
    for position in np.linspace(0, len(usual) - 1, min(config.taught, len(usual))).round().astype(int):
        rows.append(check.feature(posterior, _made(usual.y(int(position)), check, make, usual, rng)))
        bar.advance()
    return np.stack(rows)


def _made(y: Tensor, check: Check, make: Foreign, usual: Part, rng: np.random.Generator) -> Tensor:
    made = y.clone()
    for channel in check.channels:

        def other(channel: int = channel) -> Array:
            return _array(usual.y(int(rng.integers(len(usual)))), channel)

        made[channel] = torch.as_tensor(make(_array(y, channel), other, rng), dtype=y.dtype)
    return made


def _array(y: Tensor, channel: int) -> Array:
    return y[channel].double().cpu().numpy()
