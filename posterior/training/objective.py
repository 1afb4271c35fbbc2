"""What a training lowers: the part in which maximum likelihood and reconstruction differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from posterior.config import TrainConfig
from posterior.seeding import derive_seed, latents
from posterior.standardise import Standardiser
from posterior.training.batches import VALIDATION, noise_level, prepare
from posterior.training.distributed import World
from posterior.training.losses import NegativeLogLikelihood


class Objective(ABC):
    """How a batch of raw pairs becomes a loss. Nothing random is carried over: all is drawn from the seed.

    Attributes:
        terms: Names of the loss's terms in the log; the loss is their sum.
    """

    terms: tuple[str, ...]

    @abstractmethod
    def module(self, network: nn.Module) -> nn.Module:
        """The loss as a module: maps what the two methods below return to the terms of each sample, (B,)."""

    @abstractmethod
    def training_inputs(
        self, batch: Sequence[Tensor], positions: Sequence[int], *, iteration: int, world: World
    ) -> tuple[Any, ...]:
        """What the loss is given in an iteration, on the training device.

        Args:
            batch: x and y of the pairs, physical units.
            positions: Of these pairs in the training set.
            iteration: Number of the iteration, 0 for the first.
            world: This process.
        """

    @abstractmethod
    def validation_inputs(
        self, batch: Sequence[Tensor], positions: Sequence[int], *, world: World
    ) -> tuple[Any, ...]:
        """What the loss is given of validation pairs: always the same."""

    def progress(self, iteration: int) -> dict[str, float]:
        """More numbers for the log's line of an iteration."""
        return {}

    def identity(self) -> dict[str, Any]:
        """What makes a run this run besides settings, data and network, by dotted name."""
        return {}


@final
class Likelihood(Objective):
    """Negative log-likelihood per dimension of standardised, augmented pairs.

    Args:
        config: Augmentation and noise.
        standardiser: Between physical units and the network's.
        y_channels: Names of the channels of y.
    """

    terms = ("latent", "logdet")

    def __init__(self, config: TrainConfig, standardiser: Standardiser, y_channels: Sequence[str]) -> None:
        self._config, self._standardiser, self._y_channels = config, standardiser, y_channels

    def module(self, network: nn.Module) -> nn.Module:
        """The negative log-likelihood of a flow."""
        return NegativeLogLikelihood(network)

    def training_inputs(
        self, batch: Sequence[Tensor], positions: Sequence[int], *, iteration: int, world: World
    ) -> tuple[Any, ...]:
        """Augmented and standardised x, with noise, and y."""
        return prepare(
            batch,
            self._y_channels,
            self._standardiser,
            config=self._config,
            iteration=iteration,
            world=world,
        )

    def validation_inputs(
        self, batch: Sequence[Tensor], positions: Sequence[int], *, world: World
    ) -> tuple[Any, ...]:
        """Standardised x, with the final noise, and y; no augmentation."""
        x, y = (values.to(world.device) for values in batch)
        seed = derive_seed(self._config.seed, VALIDATION)
        noise = torch.cat([latents(seed, one, one + 1, tuple(x.shape[1:])) for one in positions]).to(x)
        x = self._standardiser.standardise_x(x).add(noise, alpha=self._config.noise_end)
        return x, self._standardiser.standardise_y(y)

    def progress(self, iteration: int) -> dict[str, float]:
        """The standard deviation of the noise."""
        return {"noise": noise_level(self._config, iteration)}
