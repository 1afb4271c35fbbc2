"""Training of a loop-unrolled reconstruction, with the physics in the loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import torch
from torch import Tensor, nn

from posterior.config import ReconstructConfig
from posterior.dataset import Pairs
from posterior.misfit import Misfit, NonFiniteGradientError
from posterior.networks.loop import Known, LoopUnrolled
from posterior.seeding import derive_seed
from posterior.training.distributed import World
from posterior.training.image_losses import dissimilarity, mean_squared_error, negative_snr
from posterior.training.objective import Objective
from posterior.training.optimise import Outcome, optimise
from posterior.training.tracking import Tracker

_ENCODING = 4
"""Key of the stream that encodings are drawn from; training's own are 0 to 3."""

_NOTHING = Known()

ImageLoss = Callable[[Tensor, Tensor], Tensor]
"""Maps an estimate and the truth, (B, C, ...), to a loss for each sample, (B,)."""


@final
@dataclass(frozen=True)
class Problem:
    """What a reconstruction is given.

    Args:
        misfit: Phi for the samples of a batch.
        d: Their data, as the misfit takes them.
        known: What else is known of them.
    """

    misfit: Misfit
    d: Tensor
    known: Known = _NOTHING


class Physics(Protocol):
    """The physics of chosen pairs of a set."""

    def __call__(self, positions: Sequence[int], data: Tensor, rng: np.random.Generator | None) -> Problem:
        """Return the misfit of the pairs at these positions, and their data as it takes them.

        With ``rng`` operator and data may be encoded anew in every iteration, by random source encodings say;
        None asks for what is always the same.
        """
        ...


@final
@dataclass(frozen=True)
class Surveys:
    """Images to be reconstructed from data, and the physics between.

    Args:
        pairs: True images x and data d as y, any shape (K, ...).
        physics: Operators of the pairs, by their position.
    """

    pairs: Pairs
    physics: Physics


@final
class ReconstructionLoss(nn.Module):
    """The loss of a reconstruction; nan, with a warning, where a gradient of the physics was not finite.

    Args:
        network: The network.
        loss: Of an image against the true one.
    """

    def __init__(self, network: LoopUnrolled, loss: ImageLoss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, x: Tensor, problem: Problem) -> tuple[Tensor]:
        """Return the loss of each sample, (B,)."""
        try:
            image = self.network.reconstruct(problem.d, problem.misfit, known=problem.known)
            return (self.loss(image, x),)
        except NonFiniteGradientError as error:
            warnings.warn(f"{error}; the step is skipped", RuntimeWarning, stacklevel=2)
            # Of every weight, so that processes which train together still meet.
            nothing = torch.stack([weight.sum() for weight in self.network.parameters()]).sum() * torch.nan
            return (nothing.expand(len(x)),)


@final
class Reconstruction(Objective):
    """A loss between reconstructed and true images.

    Args:
        config: The loss, and the seed of encodings.
        train_physics: Operators of the training pairs.
        val_physics: Operators of the validation pairs.
    """

    terms = ("loss",)

    def __init__(self, config: ReconstructConfig, train_physics: Physics, val_physics: Physics) -> None:
        self._config, self._train_physics, self._val_physics = config, train_physics, val_physics

    def module(self, network: nn.Module) -> nn.Module:
        """The loss of a network."""
        assert isinstance(network, LoopUnrolled)
        return ReconstructionLoss(network, image_loss(self._config))

    def training_inputs(
        self, batch: Sequence[Tensor], positions: Sequence[int], *, iteration: int, world: World
    ) -> tuple[Any, ...]:
        """True images, data and misfit, encoded for this iteration."""
        rng = np.random.default_rng(derive_seed(self._config.seed, _ENCODING, iteration, world.rank))
        return self._inputs(self._train_physics, batch, positions, rng, world)

    def validation_inputs(
        self, batch: Sequence[Tensor], positions: Sequence[int], *, world: World
    ) -> tuple[Any, ...]:
        """True images, data and misfit, not encoded at random."""
        return self._inputs(self._val_physics, batch, positions, None, world)

    def identity(self) -> dict[str, Any]:
        """The kind of training."""
        return {"objective": "reconstruction"}

    def _inputs(
        self,
        physics: Physics,
        batch: Sequence[Tensor],
        positions: Sequence[int],
        rng: np.random.Generator | None,
        world: World,
    ) -> tuple[Any, ...]:
        x, data = (values.to(world.device) for values in batch)
        return x, physics(positions, data, rng)


def image_loss(config: ReconstructConfig) -> ImageLoss:
    """The loss of an image that a configuration names."""
    scaled: dict[str, ImageLoss] = {
        "snr": negative_snr,
        "ssim": partial(dissimilarity, data_range=config.data_range),
        "mse": partial(mean_squared_error, data_range=config.data_range),
    }
    return scaled[config.loss]


def fit_reconstruction(
    network: LoopUnrolled,
    train_set: Surveys,
    val_set: Surveys,
    config: ReconstructConfig,
    folder: str | Path,
    *,
    tracker: Tracker | None = None,
    progress: bool = True,
    resume: bool = True,
) -> Outcome:
    r"""Train a network to reconstruct images from data; goes on where it was stopped, to the last bit.

    .. math:: \min_\theta \; \mathbb E_{(x, d)} \; \ell(x_\theta(d), x)

    Before the first step the physics of the first training and validation pairs pass a dot test. A step
    whose gradient is not finite, of the physics or of the loss, is skipped and logged.

    Args:
        network: Trained in place; in the end it has the averaged weights of the best validation, in
            evaluation mode.
        train_set: What to learn from.
        val_set: What chooses the best weights.
        config: Everything else.
        folder: Gets ``log.jsonl`` and ``checkpoints/``.
        tracker: Also receives every line of the log.
        progress: Show a progress bar.
        resume: Go on from the folder's checkpoint; False refuses a folder that has one.

    Returns:
        How it went.

    Raises:
        AdjointError: If an operator's adjoint fails the dot test; the message names the figure.
        ValueError: As :func:`posterior.training.optimise.optimise`, and if shapes do not fit.
    """
    for surveys in (train_set, val_set):
        _check_physics(surveys, config)
    outcome = optimise(
        network,
        (train_set.pairs, val_set.pairs),
        config,
        folder,
        objective=Reconstruction(config, train_set.physics, val_set.physics),
        tracker=tracker,
        progress=progress,
        resume=resume,
    )
    network.eval()
    return outcome


def _check_physics(surveys: Surveys, config: ReconstructConfig) -> None:
    """The dot test at the first pairs, and the shape of their images."""
    positions = range(min(config.batch_size, len(surveys.pairs)))
    x, data = (torch.stack(values) for values in zip(*(surveys.pairs[one] for one in positions), strict=True))
    problem = surveys.physics(positions, data, None)
    problem.misfit.check_shape("x of a pair", x)
    problem.misfit.check(x, problem.d, rtol=config.adjoint_rtol)
