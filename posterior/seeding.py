"""Random streams as pure functions of (seed, keys): nothing random is carried from one step to the next."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def derive_seed(seed: int, *keys: int) -> int:
    """A seed of its own for every tuple of keys, for example (iteration, rank).

    Args:
        seed: the run's seed, >= 0.
        keys: what the stream belongs to, each >= 0.

    Returns:
        An integer in [0, 2**63).
    """
    words = np.random.SeedSequence([seed, *keys]).generate_state(2, np.uint32)
    return (int(words[0]) << 32 | int(words[1])) >> 1


def generator(seed: int, *keys: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator that stands at the beginning of the stream of (seed, keys)."""
    return torch.Generator(device).manual_seed(derive_seed(seed, *keys))


def latents(seed: int, start: int, stop: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal latents of the draws start .. stop-1; each is a function of (seed, its number) alone.

    Always drawn on the CPU, so a draw is the same on every device and in every chunk it may fall into.

    Returns:
        Tensor (stop - start, *shape), float32.
    """
    draws = [torch.randn(shape, generator=generator(seed, number)) for number in range(start, stop)]
    return torch.stack(draws) if draws else torch.empty((0, *shape))
