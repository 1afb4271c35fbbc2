"""The surroundings of a call, kept so that a second evaluation repeats it: random numbers, autocast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

GeneratorState = tuple[Tensor, ...]
"""State of the CPU's generator, then that of the accelerator where one is used."""


def generator_state(device: torch.device) -> GeneratorState:
    """States of the default generators that a layer on ``device`` may draw from."""
    state = torch.get_rng_state()
    if device.type == "cpu":
        return (state,)
    return state, torch.get_device_module(device).get_rng_state(device)


def same_state(first: GeneratorState, second: GeneratorState) -> bool:
    """Whether nothing was drawn between two states."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@contextmanager
def replayed(state: GeneratorState, device: torch.device) -> Iterator[None]:
    """Draw again what was drawn from ``state`` on, then leave the generators as they were; (): no-op."""
    if not state:
        yield
        return
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type):
        restore(state, device)
        yield


def restore(state: GeneratorState, device: torch.device) -> None:
    """Put the default generators that a layer on ``device`` may draw from back to a state."""
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.get_device_module(device).set_rng_state(state[1], device)


def autocast_like_now(device: torch.device) -> torch.autocast:
    """A context that re-enters the present autocast state of ``device``, on or off.

    Its cache is off: it would keep the cast weights of all layers until the outermost context ends.
    """
    kind = device.type
    return torch.autocast(
        kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), cache_enabled=False
    )


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """A context without autocast: the arithmetic of the state keeps its precision."""
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
