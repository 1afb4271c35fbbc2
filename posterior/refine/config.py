"""How a refinement runs: draws, shots, steps, solves; each method has defaults of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from posterior.config import require
from posterior.refine.draws import DrawKind, Encoding


@final
@dataclass(frozen=True, kw_only=True)
class RefineConfig:
    """Settings of a refinement."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    seed: int = 0
    iterations: int = 400
    optimiser: Literal["adam", "lbfgs"] = "adam"
    """"lbfgs" uses the same draws and all shots in every step; ``learning_rate``, ``tail``, ``rows`` and
    ``fixed`` have no part in it."""
    learning_rate: float = 0.1
    final_rate: float = 0.02
    """Learning rate at the end as a share of that at the start, with a cosine between them."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; 0 for none."""
    tail: float = 0.25
    """The result is the mean of the weights over this last share of the steps; 0 takes the last ones."""
    batch_size: int = 4
    """Draws a step."""
    draws: DrawKind = "antithetic"
    """Latents of the draws: see :func:`posterior.refine.draws.reference_latents`."""
    fixed: int = 0
    """Use this many draws again and again (common random numbers); 0 for new ones in every step."""
    encoding: Encoding = "shots"
    rows: int = 1
    """Experiments a draw and step, see :func:`posterior.refine.draws.encodings`; 0 for all shots."""
    budget: int | None = None
    """Solves, forward and adjoint ones, checks included, that may be spent; None for no limit."""
    check_draws: int = 8
    """Draws whose data are modelled before and after, all shots of each, for the report; 0 for none."""
    max_rejected: int = 5
    """Steps in a row with a value or gradient that is not finite after which the run stops with an error."""
    checkpoint_every: int = 50
    """Steps between two checkpoints."""

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "max_rejected", "checkpoint_every"):
            require(getattr(self, name) >= 1, f"refine.{name}", "at least 1", getattr(self, name))
        for name in ("clip_norm", "fixed", "rows", "check_draws"):
            require(getattr(self, name) >= 0, f"refine.{name}", "at least 0", getattr(self, name))
        require(self.learning_rate > 0.0, "refine.learning_rate", "a positive value", self.learning_rate)
        for name in ("tail", "final_rate"):
            require(0.0 <= getattr(self, name) <= 1.0, f"refine.{name}", "a share", getattr(self, name))
        require(self.budget is None or self.budget > 0, "refine.budget", "a positive number", self.budget)
        even = self.draws == "random" or (self.batch_size % 2 == 0 and self.fixed % 2 == 0)
        require(even, "refine.batch_size and fixed", f"even numbers for {self.draws} draws", self.batch_size)
