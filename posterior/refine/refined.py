"""What a refinement hands back: a posterior to sample, and a report on how it came about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from posterior.model_folder import CONFIG, load_model, save_model
from posterior.refine.laws import Law, stored
from posterior.refine.methods import METHODS
from posterior.refine.run import Solves, Stopped
from posterior.refine.target import Observed
from posterior.refine.verdict import Calibration, Fit
from posterior.sample import AmortizedPosterior, ModelInfo
from posterior.uq.moments import Moments

Floats = NDArray[np.float32]


@final
@dataclass(frozen=True, kw_only=True)
class Report:
    """How a refinement went."""

    method: str
    settings: dict[str, Any]
    """Of the method."""
    config: dict[str, Any]
    """Settings of the run."""
    target: str
    """The density that was approximated: "q(x|y) p(d|x)", or "p(x) p(d|x)" with a prior."""
    stopped: Stopped
    """"finished", or "budget" when the solves ran out: then the result is partial."""
    steps: int
    rejected: int
    """Evaluations that were not finite."""
    solves: Solves
    """All of them, checks included."""
    before: Fit | None
    """Of the amortized posterior."""
    after: Fit | None
    numbers: dict[str, float]
    """The method's own: divergence from the amortized posterior, effective share, Pareto k and the like."""
    doubts: tuple[str, ...]
    """Why not to trust the result; empty when nothing speaks against it."""

    @property
    def trusted(self) -> bool:
        """Whether there is no doubt."""
        return not self.doubts

    def __str__(self) -> str:
        """A few lines to print."""
        lines = [f"{self.method}, towards {self.target}: {self.stopped} after {self.steps} steps"]
        lines.append(f"solves: {self.solves.forward} forward, {self.solves.adjoint} adjoint")
        for name, state in (("before", self.before), ("after", self.after)):
            if state is not None:
                lines.append(f"{name}: {state}")
        lines += [f"{name}: {value:.4g}" for name, value in sorted(self.numbers.items())]
        lines += [f"do not trust: {doubt}" for doubt in self.doubts] or ["nothing speaks against it"]
        return "\n".join(lines)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Inverse of ``dataclasses.asdict`` and JSON."""
        fits = {name: cls.fit_from_json(values[name]) for name in ("before", "after")}
        more = {"solves": Solves(*values["solves"]), "doubts": tuple(values["doubts"])}
        return cls(**(values | fits | more))

    @staticmethod
    def fit_from_json(values: dict[str, Any] | None) -> Fit | None:
        """A fit from plain values."""
        if values is None:
            return None
        known = values["calibration"]
        return Fit(**(values | {"calibration": None if known is None else Calibration(**known)}))


@final
class Refined:
    """A posterior corrected by its own data, for one observation, in physical units.

    Args:
        posterior: The amortized posterior.
        y: The observation (K, ...), physical units.
        law: The corrected distribution.
        report: How it was found.

    Attributes:
        history: Loss a dimension [nats], misfit, prior and volume of every step; not saved.

    Example::

        refined = refine(posterior, y, likelihood, method="latent")
        print(refined.report)
        mean, std = refined.mean_std(num_samples=1000)
    """

    def __init__(
        self,
        posterior: AmortizedPosterior,
        y: ArrayLike | Tensor,
        law: Law,
        report: Report,
        history: Sequence[Sequence[float]] = (),
    ) -> None:
        self._base = Observed(posterior, y)
        self._y = torch.as_tensor(y).detach().cpu().to(torch.float32)
        self.law, self.report, self.history = law, report, history

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.report.method

    @property
    def settings(self) -> dict[str, Any]:
        """The method's settings."""
        return self.report.settings

    @property
    def info(self) -> ModelInfo:
        """Shapes, channels, units and grid of the model."""
        return self._base.posterior.info

    def sample(self, num_samples: int, *, seed: int = 0, batch_size: int = 50) -> Floats:
        """Draw models; draw i is a function of (seed, i), up to rounding.

        Args:
            num_samples: Number of draws S.
            seed: Of the draws.
            batch_size: Draws evaluated together.

        Returns:
            (S, C, ...) float32, physical units.
        """
        return np.concatenate(list(self._chunks(num_samples, seed, batch_size)))

    def mean_std(self, num_samples: int, *, seed: int = 0, batch_size: int = 50) -> tuple[Floats, Floats]:
        """Mean and standard deviation of each cell over the draws of :meth:`sample`, streamed.

        Args:
            num_samples: Number of draws, at least 2.
            seed: Of the draws.
            batch_size: Draws evaluated together.

        Returns:
            Mean and standard deviation (S - 1 in the denominator), (C, ...) each, float32.
        """
        if num_samples < 2:
            raise ValueError(f"expected at least 2 samples for a standard deviation, got {num_samples}")
        moments = Moments()
        for chunk in self._chunks(num_samples, seed, batch_size):
            moments.update(chunk)
        return moments.mean.astype(np.float32), moments.std.astype(np.float32)

    def log_prob(self, x: ArrayLike | Tensor) -> NDArray[np.float64]:
        """Natural logarithm of the corrected density per physical unit of x.

        Args:
            x: one model (C, ...) or several (B, C, ...), physical units.

        Returns:
            (B,) float64; B = 1 for one model.

        Raises:
            ValueError: The law has no density (a point, weighted draws), or x is of another shape.
        """
        models = torch.as_tensor(x).to(self._base.device, torch.float32)
        models = models[None] if tuple(models.shape) == self._base.shape else models
        if tuple(models.shape[1:]) != self._base.shape or not models.isfinite().all():
            raise ValueError(f"expected finite x of shape {self._base.shape}, got {tuple(models.shape)}")
        density = self.law.log_density(self._base.posterior.standardiser.standardise_x(models))
        if density is None:
            raise ValueError(f"expected a law with a density, got that of method {self.method!r}")
        return (density + self._base.log_volume).cpu().numpy()

    def save(self, folder: str | Path) -> None:
        """Write a folder, as a whole: safetensors, JSON and checksums; it needs the amortized posterior."""
        about = {
            "amortized": self._base.posterior.sha256,
            "report": asdict(self.report),
        }
        tensors = {f"law.{name}": value for name, value in self.law.state().items()}
        save_model(folder, about, tensors | {"y": self._y})

    @classmethod
    def load(cls, folder: str | Path, posterior: AmortizedPosterior) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            folder: Where.
            posterior: The amortized posterior that was corrected.

        Raises:
            FileNotFoundError: Nothing there.
            ValueError: Damaged, something else, or of another amortized posterior.
        """
        config, tensors = load_model(folder)
        where = Path(folder) / CONFIG
        try:
            report, sha256 = Report.from_json(config["report"]), config["amortized"]
            method = METHODS[report.method]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{where}: expected a refined posterior, got {error!r}") from None
        if sha256 != posterior.sha256:
            raise ValueError(f"{where}: expected the amortized posterior {sha256}, got {posterior.sha256}")
        law = method.restore(report.settings, Observed(posterior, tensors["y"]), stored(tensors, "law."))
        return cls(posterior, tensors["y"], law, report)

    def _chunks(self, num_samples: int, seed: int, batch_size: int) -> Iterator[Floats]:
        if num_samples < 1 or batch_size < 1:
            raise ValueError(
                f"expected at least 1 sample and a batch of 1, got {num_samples} and {batch_size}"
            )
        for start in range(0, num_samples, batch_size):
            stop = min(start + batch_size, num_samples)
            yield self._base.restore(self.law.draw(seed, range(start, stop))).cpu().numpy()
