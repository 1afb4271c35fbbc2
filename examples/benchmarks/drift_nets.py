"""The networks of drift.py: their training, and the batches on which they are judged."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from core_nets import shaken
from torch import Tensor, nn

from physics.registry import load_model
from posterior import ConditionalGlow
from posterior.layers.elementwise import Affine
from posterior.reversible import Memory

SIZE, BATCH, HIDDEN = 32, 8, 32


@final
@dataclass(frozen=True)
class Setting:
    """How weights come about: bounds of the couplings' scales, training, iterations after which to judge."""

    bounds: tuple[float, float]
    rate: float
    noise: float
    stops: dict[int, str]


SETTINGS = (
    Setting((0.5, 1.5), 1e-3, 0.05, {0: "untrained", 150: "trained"}),
    # Layered models without noise have no density, and these bounds let a network follow them there.
    Setting(
        (0.05, 3.0),
        4e-3,
        0.0,
        {30: "ill-conditioned, early", 60: "ill-conditioned, half-way", 90: "ill-conditioned"},
    ),
)


class Case(NamedTuple):
    """One batch in one direction."""

    direction: str
    image: Tensor
    c: Tensor


@functools.cache
def velocity() -> Tensor:
    """The Marmousi model, every other cell, standardised."""
    model = torch.from_numpy(load_model("marmousi", quiet=True)[0][:1600:2, :400:2])
    return (model - model.mean()) / model.std()


def patches(generator: torch.Generator, noise: float, *, held_out: bool) -> tuple[Tensor, Tensor]:
    """Patches of the Marmousi model with their condition: a smooth version and a noisy one."""
    columns = (600, 800 - SIZE) if held_out else (0, 600 - SIZE)
    left = torch.randint(*columns, (BATCH,), generator=generator)
    top = torch.randint(200 - SIZE, (BATCH,), generator=generator)
    x = torch.stack([velocity()[i : i + SIZE, k : k + SIZE] for i, k in zip(left, top, strict=True)])[:, None]
    x = x + noise * torch.randn(x.shape, generator=generator)
    smooth = F.avg_pool2d(x, 9, 1, 4, count_include_pad=False)
    return x, torch.cat((smooth, x + 0.5 * torch.randn(x.shape, generator=generator)), 1)


def network(
    setting: Setting, depth: int, memory: Memory, dtype: torch.dtype | None = None
) -> ConditionalGlow:
    """A conditional Glow of one scale."""
    transform = Affine(setting.bounds)
    return ConditionalGlow(
        1, 2, hidden=HIDDEN, scales=1, steps=depth, memory=memory, dtype=dtype, transform=transform
    )


def loss(net: ConditionalGlow, case: Case) -> Tensor:
    """Negative log-likelihood a cell; backwards, that of the image under a standard normal."""
    out, logdet = (net if case.direction == "forward" else net.inverse)(case.image, case.c)
    return (0.5 * out.square().sum() - logdet.sum()) / out.numel()


def train(setting: Setting, depth: int) -> Iterator[tuple[str, ConditionalGlow]]:
    """Weights at the stops of a training."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    net = network(setting, depth, Memory("invert", keep=True, drift_tolerance=float("inf")))
    optimizer = torch.optim.Adam(net.parameters(), setting.rate)
    for iteration in range(1 + max(setting.stops)):
        objective = loss(net, Case("forward", *patches(generator, setting.noise, held_out=False)))
        if iteration in setting.stops:
            judged = copy.deepcopy(net)
            yield setting.stops[iteration], judged if iteration else shaken(judged)
        optimizer.zero_grad()
        objective.backward()
        if nn.utils.clip_grad_norm_(net.parameters(), 100.0).isfinite():
            optimizer.step()


def cases(setting: Setting, net: ConditionalGlow) -> list[Case]:
    """Held-out images, their latents, and latents drawn."""
    generator = torch.Generator().manual_seed(7)
    x, c = patches(generator, setting.noise, held_out=True)
    with torch.no_grad():
        z, _ = net.eval()(x, c)
    drawn = torch.randn(x.shape, generator=generator)
    return [Case("forward", x, c), Case("inverse", z, c), Case("inverse, drawn", drawn, c)]
