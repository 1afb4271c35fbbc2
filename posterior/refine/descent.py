"""Minimise a loss over the weights of a map: the loop of all variational methods, resumable to the bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from posterior.refine.draws import encodings, reference_latents
from posterior.refine.likelihood import Batch
from posterior.refine.run import OutOfBudgetError, Run
from posterior.refine.steppers import AdamStepper, Evaluation, LBFGSStepper, Stepper
from posterior.refine.target import Target, Terms

_FALLING = 0.05
"""Nats a dimension by which a loss may still fall from one quarter of the steps to the next."""

_NOISY = 0.03
"""Standard error of that fall above which it tells nothing."""


class Objective(Protocol):
    """A module whose weights minimise the mean of misfit + prior - volume over draws."""

    @property
    def takes_draws(self) -> bool:
        """Whether the loss is a mean over latents; if not, it is evaluated for one model alone."""
        ...

    def terms(self, z: Tensor, target: Target, batch: Batch) -> Terms:
        """Terms of the loss for latents z (B, C, ...) and experiments of a batch."""
        ...


@final
class Descent:
    """One minimisation.

    Args:
        run: Settings, solves and checkpoints.
        module: An :class:`Objective` that is a module; its weights are changed in place.
    """

    def __init__(self, run: Run, module: nn.Module) -> None:
        self._run, self._module = run, module
        self._objective: Objective = module  # type: ignore[assignment]  # a module says nothing of its methods
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        deterministic = run.config.optimiser == "lbfgs"
        self._stepper: Stepper = (
            LBFGSStepper(self._parameters) if deterministic else AdamStepper(self._parameters, run.config)
        )
        self._deterministic = deterministic
        self._tail, self._in_tail = [torch.zeros_like(p, dtype=torch.float64) for p in self._parameters], 0
        self.history: list[list[float]] = []
        """Loss a dimension, misfit, prior and volume of every step; nan where it was rejected."""

    def minimise(self, name: str) -> None:
        """Step to the end, or until the budget is spent; leaves the averaged weights in the module."""
        run = self._run
        if run.resumed is not None:
            self._load(run.resumed)
        with run.progress(name, run.config.iterations) as bar:
            while run.counters.iteration < run.config.iterations and not self._stepper.finished:
                try:
                    found = self._stepper.step(self._evaluate, run.counters.iteration)
                except OutOfBudgetError:
                    run.stopped = "budget"
                    break
                self.history.append([math.nan] * 4 if found is None else list(found))
                self._average()
                run.after_step(self._state)
                bar.advance(loss=self.history[-1][0], solves=run.solves.total, rejected=run.counters.rejected)
        run.save(self._state())
        self._take_average()

    @property
    def still_falling(self) -> float:
        """Nats a dimension by which the loss fell over the last quarter, or 0; inf if noise hides it."""
        losses = torch.tensor([row[0] for row in self.history if math.isfinite(row[0])], dtype=torch.float64)
        quarter = len(losses) // 4
        if self._stepper.finished or quarter < 2:
            return 0.0 if self._stepper.finished else math.inf
        before, after = losses[-2 * quarter : -quarter], losses[-quarter:]
        drop = float(before.mean() - after.mean())
        error = float(((before.var() + after.var()) / quarter).sqrt())
        if drop > max(3.0 * error, _FALLING):
            return drop
        return math.inf if error > _NOISY else 0.0

    def _evaluate(self) -> Evaluation | None:
        """Loss and gradients at the present weights; None if something is not finite."""
        run, target, config = self._run, self._run.target, self._run.config
        step = 0 if self._deterministic else run.counters.iteration
        samples = config.batch_size if self._objective.takes_draws else 1
        rows, sources = 0 if self._deterministic else config.rows, target.likelihood.num_sources
        run.afford(samples * (rows or sources), gradient=True)
        batch = encodings(config.encoding, rows, sources, seed=config.seed, step=step, samples=samples)
        terms = self._objective.terms(self._latents(step, samples), target, batch)
        means = torch.stack([term.mean() for term in terms])
        loss = (means[0] + means[1] - means[2]) / math.prod(target.base.shape)
        for parameter in self._parameters:
            parameter.grad = None
        if not bool(loss.isfinite()):
            run.reject("value or gradient of the likelihood, or the loss,")
            return None
        loss.backward()
        if not all(bool(p.grad.isfinite().all()) for p in self._parameters if p.grad is not None):
            run.reject("gradient of the weights")
            return None
        run.counters.in_a_row = 0
        return Evaluation(loss.item(), *means.tolist())

    def _latents(self, step: int, samples: int) -> Tensor:
        config, base = self._run.config, self._run.target.base
        first = step * samples % config.fixed if config.fixed else step * samples
        numbers = range(first, first + samples)
        parts = [reference_latents(config.draws, config.seed, first, first + samples, base.shape)]
        if config.fixed and numbers.stop > config.fixed:  # around the end of the fixed set
            parts = [
                reference_latents(
                    config.draws, config.seed, n % config.fixed, n % config.fixed + 1, base.shape
                )
                for n in numbers
            ]
        return torch.cat(parts).to(base.device)

    @torch.no_grad()
    def _average(self) -> None:
        config = self._run.config
        begin = config.iterations * (1.0 - config.tail)
        if not self._deterministic and self._run.counters.iteration >= begin:
            self._in_tail += 1
            for total, parameter in zip(self._tail, self._parameters, strict=True):
                total += parameter

    @torch.no_grad()
    def _take_average(self) -> None:
        if self._in_tail:
            for total, parameter in zip(self._tail, self._parameters, strict=True):
                parameter.copy_(total / self._in_tail)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"module": self._module.state_dict(), "stepper": self._stepper.state_dict()}
        return state | {"tail": self._tail, "in_tail": self._in_tail, "history": self.history}

    def _load(self, state: Mapping[str, Any]) -> None:
        self._module.load_state_dict(state["module"])
        self._stepper.load_state_dict(state["stepper"])
        self._tail = [total.to(p.device) for total, p in zip(state["tail"], self._parameters, strict=True)]
        self._in_tail, self.history = state["in_tail"], list(state["history"])
