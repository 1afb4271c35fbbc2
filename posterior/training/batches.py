"""Which pairs an iteration sees, and what is done to them: pure functions of (seed, iteration)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from posterior.config import LoopConfig, TrainConfig
from posterior.dataset import Pairs
from posterior.seeding import generator
from posterior.standardise import Standardiser
from posterior.training.augment import augment
from posterior.training.distributed import World

ORDER, CHANGE, DROPOUT, VALIDATION = range(4)
"""Keys of the run's random streams."""


@lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, count: int) -> tuple[int, ...]:
    return tuple(torch.randperm(count, generator=generator(seed, ORDER, epoch)).tolist())


def batch_positions(seed: int, iteration: int, batch_size: int, count: int) -> list[int]:
    """Positions of the pairs in an iteration's batch.

    Epochs of independent shuffles follow each other without a gap, so every pair is seen equally often and a
    batch is always full.

    Args:
        seed: the run's seed.
        iteration: 0 for the first.
        batch_size: pairs a batch, over all processes.
        count: pairs in the dataset.
    """
    places = range(iteration * batch_size, (iteration + 1) * batch_size)
    return [_epoch(seed, place // count, count)[place % count] for place in places]


@final
class IterationSampler(Sampler[list[int]]):
    """One process's share of the batches from one iteration to the last.

    Args:
        config: seed, batch size and number of iterations.
        count: pairs in the dataset.
        start: first iteration.
        rank, size: this process and the number of processes; each takes every size-th pair.

    Raises:
        ValueError: the batch does not divide among the processes.
    """

    def __init__(self, config: LoopConfig, count: int, *, start: int, rank: int = 0, size: int = 1) -> None:
        if config.batch_size % size:
            raise ValueError(
                f"train.batch_size: expected a multiple of {size} processes, got {config.batch_size}"
            )
        self._config, self._count, self._start = config, count, start
        self._rank, self._size = rank, size

    def __len__(self) -> int:
        return self._config.iterations - self._start

    def __iter__(self) -> Iterator[list[int]]:
        """Positions of each batch in turn."""
        config = self._config
        for iteration in range(self._start, config.iterations):
            positions = batch_positions(config.seed, iteration, config.batch_size, self._count)
            yield positions[self._rank :: self._size]


def training_loader(
    pairs: Pairs, config: LoopConfig, start: int, world: World
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of raw pairs, physical units, on the CPU, from an iteration on."""
    sampler = IterationSampler(config, len(pairs), start=start, rank=world.rank, size=world.size)
    return DataLoader(
        pairs,  # type: ignore[arg-type]  # any map-style dataset will do
        batch_sampler=sampler,
        num_workers=config.workers,
        pin_memory=world.device.type == "cuda",
        generator=torch.Generator(),  # its own: the loader must not draw from the training's stream
    )


def noise_level(config: TrainConfig, iteration: int) -> float:
    """Standard deviation of the noise on standardised x: geometric from start to end, linear if one is 0."""
    share = iteration / max(config.iterations - 1, 1)
    start, end = config.noise_start, config.noise_end
    if start == 0.0 or end == 0.0:
        return start + (end - start) * share
    return start * (end / start) ** share


def prepare(
    batch: Sequence[Tensor],
    y_channels: Sequence[str],
    standardiser: Standardiser,
    *,
    config: TrainConfig,
    iteration: int,
    world: World,
) -> tuple[Tensor, Tensor]:
    """Augment, standardise and blur a raw batch with noise: what the network is trained on.

    Returns:
        x and y on the training device.
    """
    x, y = (values.to(world.device, non_blocking=True) for values in batch)
    draws = generator(config.seed, CHANGE, iteration, world.rank, device=world.device)
    x, y = augment(x, y, y_channels, config, draws)
    x, y = standardiser.standardise_x(x), standardiser.standardise_y(y)
    noise = torch.randn(x.shape, generator=draws, device=x.device, dtype=x.dtype)
    return x.add(noise, alpha=noise_level(config, iteration)), y
