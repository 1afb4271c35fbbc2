"""Training of the network that a loop starts with by itself: it needs one migration a pair, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from posterior.config import ReconstructConfig
from posterior.dataset import TensorPairs
from posterior.files import writes_files
from posterior.layers.activations import Activation
from posterior.layers.gradient_update import to_eta, to_model, weighted
from posterior.networks.first_guess import FirstGuess
from posterior.networks.loop import LoopUnrolled
from posterior.progress import Progress
from posterior.training.distributed import World
from posterior.training.objective import Objective
from posterior.training.optimise import Outcome, optimise
from posterior.training.reconstruct import ImageLoss, Surveys, image_loss


@final
class FirstGuessLoss(nn.Module):
    """The loss of the image that a loop starts from.

    Args:
        network: The starting network.
        link: psi of the loop.
        loss: Of an image against the true one.
    """

    def __init__(self, network: FirstGuess, link: Activation | None, loss: ImageLoss) -> None:
        super().__init__()
        self.network, self.link, self.loss = network, link, loss

    def forward(self, x: Tensor, gradient: Tensor, context: Tensor | None) -> tuple[Tensor]:
        """Return the loss of each sample, (B,)."""
        eta = self.network(gradient, context)[:, : x.shape[1]]
        return (self.loss(to_model(eta, self.link), x),)


@final
class FirstGuesses(Objective):
    """Starting images against true ones.

    Args:
        config: The loss.
        link: psi of the loop.
    """

    terms = ("loss",)

    def __init__(self, config: ReconstructConfig, link: Activation | None) -> None:
        self._config, self._link = config, link

    def module(self, network: nn.Module) -> nn.Module:
        """The loss of a starting network."""
        assert isinstance(network, FirstGuess)
        return FirstGuessLoss(network, self._link, image_loss(self._config))

    def training_inputs(
        self, batch: Sequence[Tensor], positions: Sequence[int], *, iteration: int, world: World
    ) -> tuple[Any, ...]:
        """True images, gradients at zero and contexts."""
        return self.validation_inputs(batch, positions, world=world)

    def validation_inputs(
        self, batch: Sequence[Tensor], positions: Sequence[int], *, world: World
    ) -> tuple[Any, ...]:
        """True images, gradients at zero and contexts."""
        x, read = (values.to(world.device) for values in batch)
        gradient, context = read[:, : x.shape[1]], read[:, x.shape[1] :]
        return x, gradient, context if context.shape[1] else None

    def identity(self) -> dict[str, Any]:
        """The kind of training."""
        return {"objective": "first guess"}


def fit_first_guess(
    network: LoopUnrolled,
    train_set: Surveys,
    val_set: Surveys,
    config: ReconstructConfig,
    folder: str | Path,
    *,
    progress: bool = True,
) -> Outcome:
    """Train a loop's starting network by itself, for ``config.first_guess`` iterations.

    Each pair is migrated once, then no waves are needed; resumes as the training of the loop does.

    Args:
        network: A loop with start "network"; that part of it is trained in place.
        train_set: What to learn from.
        val_set: What chooses the best weights.
        config: Everything else.
        folder: Gets ``log.jsonl`` and ``checkpoints/``.
        progress: Show progress bars.

    Returns:
        How it went.

    Raises:
        ValueError: If the loop starts otherwise, or as :func:`posterior.training.optimise.optimise`.
    """
    if network.first_guess is None:
        raise ValueError('expected a loop with start "network", got one without')
    own = replace(
        config,
        iterations=config.first_guess,
        batch_size=config.first_guess_batch,
        learning_rate=config.first_guess_rate,
    )
    sets = tuple(_migrated(network, one, progress=progress) for one in (train_set, val_set))
    objective = FirstGuesses(own, network.link)
    return optimise(
        network.first_guess, (sets[0], sets[1]), own, folder, objective=objective, progress=progress
    )


def _migrated(network: LoopUnrolled, surveys: Surveys, *, progress: bool) -> TensorPairs:
    """Pairs of true images and what the starting network reads."""
    truths, reads = [], []
    bar = Progress("migrate", len(surveys.pairs), shown=progress and writes_files())
    for position in range(len(surveys.pairs)):
        x, data = (one[None] for one in surveys.pairs[position])
        problem = surveys.physics([position], data, None)
        eta = torch.zeros_like(x)
        gradient = to_eta(problem.misfit.gradient(to_model(eta, network.link), problem.d), eta, network.link)
        read = [weighted(gradient, problem.known.weight)]
        if problem.known.context is not None:
            read.append(problem.known.context)
        truths.append(x)
        reads.append(torch.cat(read, 1))
        bar.advance()
    bar.close()
    return TensorPairs(torch.cat(truths), torch.cat(reads))
