"""A correlated Gaussian image posterior in closed form, and flaws to put into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from posterior import uq
from posterior.diagnosis.judge import Judge, Judgement
from posterior.diagnosis.prior import Prior
from posterior.report.evaluate import PairDraws

SHAPE, DRAWS, NOISE = (10, 8), 59, 0.7
SCORED = np.ones(SHAPE, dtype=bool)
SCORED[:, 0] = False


@dataclass
class Problem:
    """y = x + noise, x of correlation length two cells: x | y is Gaussian in closed form."""

    def __post_init__(self) -> None:
        places = np.argwhere(np.ones(SHAPE))
        squares = ((places[:, None] - places) ** 2).sum(axis=-1)
        prior = np.exp(-squares / 8.0) + 1e-6 * np.eye(len(places))
        self.prior_root = np.linalg.cholesky(prior)
        self.gain = prior @ np.linalg.inv(prior + NOISE**2 * np.eye(len(places)))
        self.covariance = prior - self.gain @ prior
        self.root = np.linalg.cholesky(self.covariance + 1e-9 * np.eye(len(places)))
        self.std = np.sqrt(np.diag(self.covariance))

    def pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Truth and image."""
        truth = self.prior_root @ rng.standard_normal(len(self.std))
        return truth, truth + NOISE * rng.standard_normal(len(self.std))

    def draws(self, image: np.ndarray, rng: np.random.Generator, flaw: str) -> np.ndarray:
        """Posterior draws, right or with a flaw."""
        noise = rng.standard_normal((DRAWS, len(self.std)))
        mean, spread = self.gain @ image, noise @ self.root.T
        return {
            "right": lambda: mean + spread,
            "too narrow": lambda: mean + 0.7 * spread,
            "too wide": lambda: mean + 1.4 * spread,
            "shifted": lambda: mean + 0.5 * self.std + spread,
            "cells independent": lambda: mean + self.std * noise,
            "ignores the data": lambda: noise @ self.prior_root.T,
        }[flaw]()

    def prior(self, rng: np.random.Generator, count: int = 200) -> Prior:
        """What training pairs would say."""
        truths, images = (
            np.stack(part).reshape(count, *SHAPE)
            for part in zip(*(self.pair(rng) for _ in range(count)), strict=True)
        )
        scale = float((images * truths)[:, SCORED].sum() / (images[:, SCORED] ** 2).sum())
        modes = [uq.principal_modes(stack, 3, SCORED) for stack in (truths, images)]
        return Prior(truths, truths.var(axis=0, ddof=1), *modes, scale)

    def judge(self, flaw: str, *, pairs: int = 60, seed: int = 0) -> Judgement:
        """Judge a posterior on fresh pairs."""
        rng = np.random.default_rng((seed, 7))
        judge = Judge(SCORED, self.prior(rng), pairs, seed=seed)
        for index in range(pairs):
            truth, image = self.pair(rng)
            drawn = self.draws(image, rng, flaw).reshape(DRAWS, *SHAPE)
            pair = PairDraws(index, truth.reshape(SHAPE), image.reshape(SHAPE), drawn)
            judge.update(pair, drawn)
        return judge.result()


@pytest.fixture(scope="session")
def problem() -> Problem:
    return Problem()
