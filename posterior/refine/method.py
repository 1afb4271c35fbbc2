"""What a refinement method is: settings, defaults, a run, and a way to make its result again from tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from torch import Tensor

from posterior.refine.config import RefineConfig
from posterior.refine.laws import Law
from posterior.refine.run import Run
from posterior.refine.target import Observed


@final
@dataclass(frozen=True)
class Found:
    """What a method hands back.

    Args:
        law: The distribution.
        numbers: Figures of the method's own for the report, by name.
        doubts: Reasons not to trust the law, in words.
        history: Loss a dimension, misfit, prior and volume of every step.
    """

    law: Law
    numbers: dict[str, float] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    history: list[list[float]] = field(default_factory=list)


class Method(ABC):
    """A way to correct an amortized posterior. To add one, write a file with one, and name it in METHODS.

    It asks ``run`` before it spends solves (:meth:`~posterior.refine.run.Run.afford`), tells it of every
    step, and goes on from ``run.resumed``.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def defaults(self) -> RefineConfig:
        """Settings of the run that suit the method."""

    @abstractmethod
    def refine(self, run: Run) -> Found:
        """Approximate the target of the run."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Settings of the method as plain values."""

    @property
    def fingerprint(self) -> str:
        """Identity of what the method starts from besides the amortized posterior."""
        return ""

    @classmethod
    @abstractmethod
    def restore(cls, settings: Mapping[str, Any], base: Observed, tensors: Mapping[str, Tensor]) -> Law:
        """Make the law again from the settings and its tensors."""
