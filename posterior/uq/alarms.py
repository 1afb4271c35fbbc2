"""Alarms before a posterior is trusted: is this survey like those the network was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_levels, as_samples

Tail = Literal["both", "upper", "lower"]


def latent_norm(latents: ArrayLike) -> Array:
    """Mean square of latents, ``|z|^2 / n``: 1 give or take ``sqrt(2 / n)`` for data like the training's.

    For alarms, z is the latent of the observation under the joint network (or of its summary).

    Args:
        latents: One latent for each survey, (B, ...).

    Returns:
        Mean squares, (B,).
    """
    z = as_samples(latents, least=1).astype(np.float64)
    return (z.reshape(len(z), -1) ** 2).mean(axis=1)


@final
@dataclass(frozen=True)
class Reference:
    """Scores of surveys from the training distribution, which a new survey's score is held against.

    The surveys must not be those the network was fitted to, whose scores are better than those of any new
    survey: held-out ones of the same distribution.
    """

    name: str
    scores: Array
    """One score for each held-out survey, (N,)."""
    tail: Tail = "both"
    """Where scores are suspicious: a latent norm or log-density on both sides, too likely is unlikely too."""

    def __post_init__(self) -> None:
        values = np.sort(as_samples(self.scores).astype(np.float64))
        if values.ndim != 1:
            raise ValueError(f"expected scores of {self.name!r} of shape (N,), got {values.shape}")
        if self.tail not in ("both", "upper", "lower"):
            raise ValueError(f"expected a tail 'both', 'upper' or 'lower', got {self.tail!r}")
        object.__setattr__(self, "scores", values)

    @property
    def sides(self) -> int:
        """Tails that are watched, 1 or 2."""
        return 2 if self.tail == "both" else 1

    def p_value(self, score: float) -> float:
        """Conformal p-value, ``(1 + number of scores as extreme) / (N + 1)``, twice the smaller of two tails.

        A survey of the training distribution gets one below a with probability at most a, whatever the
        network.

        Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), chapter 2.
        """
        count = len(self.scores)
        upper = (1 + count - np.searchsorted(self.scores, score, side="left")) / (count + 1)
        lower = (1 + np.searchsorted(self.scores, score, side="right")) / (count + 1)
        one_sided = {"both": 2.0 * min(upper, lower), "upper": upper, "lower": lower}[self.tail]
        return float(min(1.0, one_sided))

    def thresholds(self, rate: float) -> tuple[float, float]:
        """Lowest and highest score that raise no alarm at a false-alarm rate; infinite in a tail not watched.

        Raises:
            ValueError: If there are too few scores for the rate.
        """
        as_levels(rate)
        beyond = int(rate * (len(self.scores) + 1) / self.sides + 1e-9)
        if beyond < 1:
            needed = int(np.ceil(self.sides / rate - 1e-9)) - 1
            raise ValueError(
                f"expected at least {needed} held-out scores of {self.name!r} for a rate of {rate:.4g}, "
                f"got {len(self.scores)}"
            )
        low = -np.inf if self.tail == "upper" else float(self.scores[beyond - 1])
        high = np.inf if self.tail == "lower" else float(self.scores[-beyond])
        return low, high


@final
@dataclass(frozen=True)
class Reading:
    """One score of a survey against its reference."""

    name: str
    score: float
    low: float
    """Lowest score that raises no alarm."""
    high: float
    """Highest score that raises no alarm."""
    p_value: float

    @property
    def alarm(self) -> bool:
        """Whether the score lies outside the thresholds (or is not a number)."""
        return not self.low <= self.score <= self.high

    def __str__(self) -> str:
        """The score and its range in words."""
        where = "within" if self.low <= self.score <= self.high else "outside"
        return (
            f"{self.name} {self.score:.4g} {where} {self.low:.4g} .. {self.high:.4g} (p = {self.p_value:.2g})"
        )


@final
@dataclass(frozen=True)
class Verdict:
    """Whether a survey is like those of the training, in one word and in one sentence."""

    trusted: bool
    text: str
    readings: tuple[Reading, ...]

    def __bool__(self) -> bool:
        return self.trusted

    def __str__(self) -> str:
        return self.text


@final
class Alarms:
    """Holds a survey's scores against those of held-out training surveys and gives one verdict.

    The false-alarm rate is shared equally between the checks (Bonferroni), so that a survey of the training
    distribution is refused with at most this probability whatever the checks have in common.

    No alarm does not make a posterior right: an error that the network makes on its own training distribution
    is for calibration (coverage, ranks) to find.

    Args:
        references: What is watched, by its scores on held-out surveys: latent norm, log q(y), summary
            discrepancy (:class:`posterior.uq.mmd.SummaryMmd`), data chi-square
            (:class:`posterior.uq.predictive.Predictive`).
        rate: False-alarm rate of the verdict.

    Raises:
        ValueError: Without a reference, with a name twice, or with too few held-out scores for the rate.

    Example:
        >>> alarms = Alarms([Reference("latent norm", np.linspace(0.9, 1.1, 99))], rate=0.05)
        >>> print(alarms.verdict({"latent norm": 1.7}))
        Do not trust this posterior: latent norm 1.7 outside 0.902 .. 1.098 (p = 0.02).
    """

    def __init__(self, references: list[Reference] | tuple[Reference, ...], *, rate: float = 0.05) -> None:
        names = [reference.name for reference in references]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"expected references of different names, got {names}")
        as_levels(rate)
        self.rate = rate
        self._references = tuple(references)
        self._thresholds = [reference.thresholds(rate / len(names)) for reference in references]

    def verdict(self, scores: Mapping[str, float]) -> Verdict:
        """Judge one survey.

        Args:
            scores: Score by the name of its reference. A score that is not finite raises the alarm.

        Raises:
            ValueError: If the names are not those of the references.
        """
        names = [reference.name for reference in self._references]
        if set(scores) != set(names):
            raise ValueError(f"expected scores of {sorted(names)}, got {sorted(scores)}")
        readings = tuple(
            _read(reference, float(scores[reference.name]), *bounds)
            for reference, bounds in zip(self._references, self._thresholds, strict=True)
        )
        raised = [str(reading) for reading in readings if reading.alarm]
        if raised:
            text = f"Do not trust this posterior: {'; '.join(raised)}."
            return Verdict(trusted=False, text=text, readings=readings)
        smallest = min(readings, key=lambda reading: reading.p_value)
        text = f"No alarm in {len(readings)} checks at a rate of {self.rate:.2g}; nearest: {smallest}."
        return Verdict(trusted=True, text=text, readings=readings)


def _read(reference: Reference, score: float, low: float, high: float) -> Reading:
    # A network may overflow on data far from its own: that is an alarm, not an error.
    p_value = reference.p_value(score) if np.isfinite(score) else 1.0 / (len(reference.scores) + 1)
    if not np.isfinite(score):
        score = float("nan")
    return Reading(reference.name, score, low, high, p_value)
