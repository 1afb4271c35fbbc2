"""The distributions that refinements end with: a transport, a point, weighted draws of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, final

import torch
from torch import Tensor

from posterior.refine.transport import Transport
from posterior.seeding import generator, latents

_RESAMPLE = 7
"""Stream of the resampling."""


class Law(Protocol):
    """A distribution of models u in the network's units."""

    def draw(self, seed: int, numbers: Sequence[int]) -> Tensor:
        """Draws of these numbers, each a function of (seed, its number), (n, C, ...)."""
        ...

    def log_density(self, u: Tensor) -> Tensor | None:
        """Log-density of u, (B,) float64; None where there is none in closed form."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Tensors that, with the method's settings, make it again."""
        ...


@final
class TransportLaw:
    """Draws that a transport makes of standard normal latents.

    Args:
        transport: The map; frozen here.
        shape: Shape (C, ...) of a sample.
        device: Where it is.
    """

    def __init__(self, transport: Transport, shape: tuple[int, ...], device: torch.device) -> None:
        self.transport = transport.eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
        self._shape, self._device = shape, device

    @torch.no_grad()
    def draw(self, seed: int, numbers: Sequence[int]) -> Tensor:
        """Decode the latents of these numbers."""
        z = torch.cat([latents(seed, number, number + 1, self._shape) for number in numbers])
        return self.transport.decode(z.to(self._device))[0]

    @torch.no_grad()
    def log_density(self, u: Tensor) -> Tensor:
        """By the transport's inverse."""
        return self.transport.log_density(u)

    def state(self) -> dict[str, Tensor]:
        """The transport's weights."""
        return self.transport.state_dict()


@final
class PointLaw:
    """One model: every draw is the same, and there is no density.

    Args:
        u: The model (C, ...).
    """

    def __init__(self, u: Tensor) -> None:
        self._u = u.detach()

    def draw(self, seed: int, numbers: Sequence[int]) -> Tensor:
        """The model, repeated."""
        return self._u.expand(len(numbers), *self._u.shape)

    def log_density(self, u: Tensor) -> None:
        """None."""

    def state(self) -> dict[str, Tensor]:
        """The model."""
        return {"u": self._u}


@final
class WeightedLaw:
    """Draws of a proposal, drawn again in proportion to weights (sampling importance resampling).

    Args:
        proposal: Where the draws come from.
        seed: Of the proposal's draws that were weighted.
        log_weights: Log-weight of each of them, (S,) float64; normalised here.
    """

    def __init__(self, proposal: Law, seed: int, log_weights: Tensor) -> None:
        self._proposal, self._seed = proposal, seed
        self.log_weights = (log_weights.double() - log_weights.double().logsumexp(0)).cpu()
        self._cumulative = self.log_weights.exp().cumsum(0)

    @property
    def weights(self) -> Tensor:
        """Weights that sum to one, (S,)."""
        return self.log_weights.exp()

    def draw(self, seed: int, numbers: Sequence[int]) -> Tensor:
        """Weighted draws, each picked by a uniform number of its own; at most S different ones."""
        places = [self._pick(seed, number) for number in numbers]
        distinct = sorted(set(places))
        drawn = self._proposal.draw(self._seed, distinct)
        return drawn[[distinct.index(place) for place in places]]

    def log_density(self, u: Tensor) -> None:
        """None: the resampled law has no density in closed form."""

    def state(self) -> dict[str, Tensor]:
        """The weights, beside the proposal's own state."""
        proposal = {f"proposal.{name}": value for name, value in self._proposal.state().items()}
        return proposal | {"log_weights": self.log_weights, "seed": torch.tensor(self._seed)}

    def _pick(self, seed: int, number: int) -> int:
        uniform = torch.rand((), generator=generator(seed, _RESAMPLE, number), dtype=torch.float64)
        place = int(torch.searchsorted(self._cumulative, uniform * self._cumulative[-1]))
        return min(place, len(self._cumulative) - 1)


def stored(values: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
