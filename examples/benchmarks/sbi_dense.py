"""An amortized posterior of a simulator's parameters by :class:`~posterior.networks.dense.DenseFlow`."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import final

import torch
from sbibm_tasks import Task
from torch import Tensor, nn

from posterior.flow import ConditionalFlow
from posterior.layers.spline import RationalQuadraticSpline
from posterior.networks.dense import DenseFlow
from posterior.training.ema import averaged_copy, update_average


@final
@dataclass(frozen=True)
class Recipe:
    """Architecture and training, the same for every task; chosen by held-out log-densities.

    The couplings permute the parameters but never rotate them: marginals with edges stay along the axes.
    """

    hidden: int = 64
    steps: int = 6
    layers: int = 1
    bins: int = 8
    bound: float = 5.0
    summary: int = 32
    summary_hidden: int = 128
    dropout: float = 0.1
    batch: int = 256
    learning_rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 1e-2
    ema_decay: float = 0.99
    clip_norm: float = 5.0
    patience: int = 5
    halvings: int = 5
    max_epochs: int = 400
    validation: float = 0.1


@final
class Coordinates:
    r"""Where the flow works: u = L^{-1} (v(theta) - A (1, c)), with c = (x - mean(x)) / std(x).

    v is theta itself, or for a prior uniform on a box its normal score, \Phi^{-1}((theta / w + 1) / 2) with
    half-width w, so that no sample leaves the box. A is the least-squares regression of v on (1, c), L the
    Cholesky factor of the residual covariance: u is what a linear-Gaussian posterior leaves unexplained.

    Args:
        theta, x: the training pairs, (B, P) and (B, D).
        half_width: w, or None where there is no box.
    """

    def __init__(self, theta: Tensor, x: Tensor, half_width: float | None) -> None:
        self.half_width = half_width
        self.x_mean, self.x_std = x.mean(0), x.std(0)
        v, _ = self._unbounded(theta)
        design = _with_ones(self.condition(x))
        self.regression = torch.linalg.lstsq(design.double(), v.double()).solution.float()
        self.factor = torch.linalg.cholesky((v - design @ self.regression).T.cov())

    def condition(self, x: Tensor) -> Tensor:
        """Return c (B, D)."""
        return (x - self.x_mean) / self.x_std

    def forward(self, theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return u (B, P) and log|det du/dtheta|, shape (B,)."""
        v, logdet = self._unbounded(theta)
        residual = v - _with_ones(self.condition(x)) @ self.regression
        u = torch.linalg.solve_triangular(self.factor, residual.T, upper=False).T
        return u, logdet - self.factor.diagonal().log().sum()

    def inverse(self, u: Tensor, x: Tensor) -> Tensor:
        """Return theta (B, P)."""
        v = u @ self.factor.T + _with_ones(self.condition(x)) @ self.regression
        return v if self.half_width is None else self.half_width * (v / math.sqrt(2.0)).erf()

    def _unbounded(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        if self.half_width is None:
            return theta, theta.new_zeros(len(theta))
        share = (theta / self.half_width).clamp(
            -1.0 + 1e-6, 1.0 - 1e-6
        )  # the scores of the edges are infinite
        v = math.sqrt(2.0) * share.erfinv()
        constant = 0.5 * math.log(2.0 * math.pi) - math.log(2.0 * self.half_width)
        return v, (0.5 * v.square() + constant).sum(1)


@final
@dataclass(frozen=True)
class DensePosterior:
    """A trained flow in its coordinates."""

    flow: ConditionalFlow
    coordinates: Coordinates
    epochs: int

    def log_prob(self, theta: Tensor, x: Tensor) -> Tensor:
        """Return log q(theta | x), shape (B,); all of q's mass lies inside the prior's support."""
        u, logdet = self.coordinates.forward(theta, x)
        return self.flow.log_prob(u, self.coordinates.condition(x)) + logdet

    def sample(self, num: int, x: Tensor) -> Tensor:
        """Draw theta (num, P) given x (1, D)."""
        return self.coordinates.inverse(self.flow.sample(num, self.coordinates.condition(x)[0]), x)


def fit_dense(task: Task, theta: Tensor, x: Tensor, recipe: Recipe) -> DensePosterior:
    """Learn q(theta | x) from pairs; a part of them only tells when to stop."""
    held_out = int(recipe.validation * len(theta))
    order = torch.randperm(len(theta))
    validation, training = order[:held_out], order[held_out:]
    coordinates = Coordinates(theta[training], x[training], task.half_width)
    u, c = coordinates.forward(theta, x)[0], coordinates.condition(x)
    run = _Training(_flow(theta.shape[1], x.shape[1], recipe), (u[training], c[training]), recipe)
    epochs = _train(run, (u[validation], c[validation]), recipe)
    return DensePosterior(run.average, coordinates, epochs)


def _flow(parameters: int, data: int, recipe: Recipe) -> ConditionalFlow:
    network = DenseFlow(
        parameters,
        recipe.summary,
        hidden=recipe.hidden,
        steps=recipe.steps,
        layers=recipe.layers,
        transform=RationalQuadraticSpline(bins=recipe.bins, bound=recipe.bound),
        mixing="permutation",
        memory="store",  # a few numbers a sample: nothing to save
        dropout=recipe.dropout,
    )
    width = recipe.summary_hidden
    summary = nn.Sequential(
        nn.Linear(data, width),
        nn.SiLU(),
        nn.Linear(width, width),
        nn.SiLU(),
        nn.Linear(width, recipe.summary),
    )
    return ConditionalFlow(network, summary)


@final
class _Training:
    """AdamW on batches, and the moving average of the weights, which is what is kept.

    Args:
        flow: with fresh weights.
        pairs: u (B, P) and c (B, D).
        recipe: how to train.
    """

    def __init__(self, flow: ConditionalFlow, pairs: tuple[Tensor, Tensor], recipe: Recipe) -> None:
        self.flow, self.pairs, self.recipe, self.updates = flow, pairs, recipe, 0
        weights = [parameter for parameter in flow.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in flow.parameters() if parameter.ndim <= 1]
        groups = [
            {"params": weights, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups)
        with torch.no_grad():
            flow.log_prob(*(values[: recipe.batch] for values in pairs))  # initialises the ActNorms
        self.average = averaged_copy(flow)

    def epoch(self, rate: float) -> None:
        """One pass over the pairs; what is left of them after whole batches waits for another shuffle."""
        u, c = self.pairs
        self.flow.train()
        whole = len(u) - len(u) % self.recipe.batch
        for batch in torch.randperm(len(u))[:whole].split(self.recipe.batch):
            for group in self.optimizer.param_groups:
                group["lr"] = rate * min(1.0, (self.updates + 1) / self.recipe.warmup)
            self.optimizer.zero_grad()
            (-self.flow.log_prob(u[batch], c[batch]).mean()).backward()
            nn.utils.clip_grad_norm_(self.flow.parameters(), self.recipe.clip_norm)
            self.optimizer.step()
            update_average(self.average, self.flow, decay=self.recipe.ema_decay, step=self.updates)
            self.updates += 1

    def restart(self, state: dict[str, Tensor]) -> None:
        """Go on from these weights."""
        self.flow.load_state_dict(state)
        self.average.load_state_dict(state)


def _train(training: _Training, validation: tuple[Tensor, Tensor], recipe: Recipe) -> int:
    """Train until nothing improves: back to the best weights at half the rate, a few times. Epochs taken."""
    best, state = math.inf, copy.deepcopy(training.average.state_dict())
    waited = halved = epoch = 0
    while epoch < recipe.max_epochs and halved <= recipe.halvings:
        training.epoch(recipe.learning_rate * 0.5**halved)
        with torch.no_grad():
            loss = -training.average.log_prob(*validation).mean().item()
        epoch, waited = epoch + 1, waited + 1
        if loss < best:
            best, state, waited = loss, copy.deepcopy(training.average.state_dict()), 0
        elif waited == recipe.patience:
            halved, waited = halved + 1, 0
            training.restart(state)
    training.restart(state)
    return epoch


def _with_ones(c: Tensor) -> Tensor:
    return torch.cat((torch.ones(len(c), 1), c), 1)
