"""One step of an optimiser on a noisy loss (Adam) or a deterministic one (L-BFGS)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, final

import torch
from torch import Tensor, nn

from posterior.refine.config import RefineConfig


class Evaluation(NamedTuple):
    """Loss of one evaluation, nats a dimension, and the means of its terms; gradients lie in ``.grad``."""

    loss: float
    misfit: float
    prior: float
    volume: float


Evaluate = Callable[[], Evaluation | None]
"""Evaluates at the present weights; None where something was not finite."""


class Stepper(Protocol):
    """Changes weights by one step."""

    def step(self, evaluate: Evaluate, iteration: int) -> Evaluation | None:
        """One step; None, and nothing changed, if it was rejected."""
        ...

    @property
    def finished(self) -> bool:
        """Whether no further step can lower the loss."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Plain state for a checkpoint."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where :meth:`state_dict` was taken."""
        ...


@final
class AdamStepper:
    """Adam with a cosine from ``learning_rate`` to ``final_rate`` of it.

    Args:
        parameters: What is optimised.
        config: Rates, number of iterations, clipping.
    """

    finished = False

    def __init__(self, parameters: list[nn.Parameter], config: RefineConfig) -> None:
        self._parameters, self._config = parameters, config
        self._adam = torch.optim.Adam(parameters, lr=config.learning_rate)

    def step(self, evaluate: Evaluate, iteration: int) -> Evaluation | None:
        """One evaluation, one update."""
        found = evaluate()
        if found is None:
            return None
        config = self._config
        share = 0.5 * (1.0 + math.cos(math.pi * iteration / config.iterations))
        rate = config.learning_rate * (config.final_rate + (1.0 - config.final_rate) * share)
        self._adam.param_groups[0]["lr"] = rate
        if config.clip_norm:
            nn.utils.clip_grad_norm_(self._parameters, config.clip_norm)
        self._adam.step()
        return found

    def state_dict(self) -> dict[str, Any]:
        """That of Adam."""
        return self._adam.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """That of Adam."""
        self._adam.load_state_dict(dict(state))


@final
class LBFGSStepper:
    """Limited-memory BFGS with a backtracking line search; a trial that is not finite is one too long.

    Args:
        parameters: What is optimised.
        memory: Pairs of steps and changes of the gradient that are kept.

    Source:
        Nocedal and Wright, Numerical optimization, 2006, algorithm 7.4; sufficient decrease: (3.6a).
    """

    _DECREASE, _TRIALS, _FLAT = 1e-4, 20, 1e-7

    def __init__(self, parameters: list[nn.Parameter], memory: int = 20) -> None:
        self._parameters, self._memory = parameters, memory
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._here: Evaluation | None = None
        self._gradient = torch.empty(0)
        self.finished = False

    def step(self, evaluate: Evaluate, iteration: int) -> Evaluation | None:
        """One step along the quasi-Newton direction, as long as the loss falls enough."""
        if self._here is None:
            self._here = evaluate()
            if self._here is None:
                return None
            self._gradient = self._flat_gradient()
        here, gradient, start = self._here, self._gradient, self._flat()
        direction = self._direction()
        slope = float(gradient @ direction)
        if slope >= 0.0:  # the pairs are worn out by rounding
            self._pairs.clear()
            direction, slope = -gradient, -float(gradient @ gradient)
        length = 1.0 if self._pairs else min(1.0, 1.0 / max(float(gradient.norm()), 1e-12))
        try:
            for _ in range(self._TRIALS):
                self._move(start + length * direction)
                found = evaluate()
                if found is not None and found.loss <= here.loss + self._DECREASE * length * slope:
                    self._accept(length * direction, found)
                    return found
                length *= 0.5 if found is not None else 0.1
        except BaseException:  # the budget ran out, or a wave solver refused: stand where the step began
            self._move(start)
            raise
        self._move(start)
        self.finished = True  # no decrease that rounding does not hide
        return here

    def state_dict(self) -> dict[str, Any]:
        """Pairs, the present gradient and loss."""
        here = None if self._here is None else list(self._here)
        pairs = [list(pair) for pair in self._pairs]
        return {"pairs": pairs, "here": here, "gradient": self._gradient, "finished": self.finished}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The same."""
        device = self._parameters[0].device
        self._pairs = [(pair[0].to(device), pair[1].to(device)) for pair in state["pairs"]]
        self._here = None if state["here"] is None else Evaluation(*state["here"])
        self._gradient, self.finished = state["gradient"].to(device), state["finished"]

    def _accept(self, moved: Tensor, found: Evaluation) -> None:
        assert self._here is not None  # set before the first trial
        gradient = self._flat_gradient()
        change = gradient - self._gradient
        if float(change @ moved) > 1e-10 * float(change.norm() * moved.norm()):
            self._pairs = [*self._pairs, (moved, change)][-self._memory :]
        self.finished = self._here.loss - found.loss <= self._FLAT * max(1.0, abs(found.loss))
        self._here, self._gradient = found, gradient

    def _direction(self) -> Tensor:
        """Minus the inverse Hessian's estimate times the gradient: the two-loop recursion."""
        direction, factors = -self._gradient, []
        for moved, change in reversed(self._pairs):
            factor = (moved @ direction) / (change @ moved)
            direction = direction - factor * change
            factors.append(factor)
        if self._pairs:
            moved, change = self._pairs[-1]
            direction = direction * ((moved @ change) / (change @ change))
        for (moved, change), factor in zip(self._pairs, reversed(factors), strict=True):
            direction = direction + (factor - (change @ direction) / (change @ moved)) * moved
        return direction

    def _flat(self) -> Tensor:
        return torch.cat([parameter.detach().flatten().double() for parameter in self._parameters])

    def _flat_gradient(self) -> Tensor:
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        return torch.cat([gradient.flatten().double() for gradient in found])

    @torch.no_grad()
    def _move(self, flat: Tensor) -> None:
        first = 0
        for parameter in self._parameters:
            values = flat[first : first + parameter.numel()]
            parameter.copy_(values.view(parameter.shape))
            first += parameter.numel()
