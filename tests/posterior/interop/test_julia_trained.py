"""A network that InvertibleNetworks.jl trained: its images, and its log-determinant as recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from posterior.interop.julia import load
from posterior.layers.conv1x1 import Conv1x1

FILE = "shared/data/invertiblenetworks_multiscale_hint.jld2"
TRAINED = [path for base in (Path.cwd(), Path(__file__).parents[3]) if (path := base.parent / FILE).exists()]
pytestmark = pytest.mark.skipif(not TRAINED, reason=f"needs {FILE} beside the project")


def as_read(network: nn.Module) -> None:
    pass


def kernels_not_flipped(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.flip(2, 3)


def reflectors_reversed(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, Conv1x1):
            layer.vectors.data = layer.vectors.data.flip(0)


@dataclass(frozen=True)
class Drawn:
    """What standard normal latents become, and what is known of the images that the network learned."""

    departure: float
    """Difference from the recorded log-determinant, in standard deviations of training batches."""
    clean: float
    """Share of cells within three noise levels of one of the two facies."""
    mismatch: float
    """Largest difference of the latents and those of the images."""


@torch.no_grad()
def drawn(change: Callable[[nn.Module], None] = as_read, **options: Any) -> Drawn:
    checkpoint = load(TRAINED[0], **options)
    change(checkpoint.network)
    z = torch.randn(64, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    images, _ = checkpoint.network.inverse(z)
    back, logdet = checkpoint.network(images)
    recorded = checkpoint.logdet[-1]
    low, high = 20.0, 120.0  # millidarcy
    noise = float(checkpoint.settings["noiseLev"]) * high
    distance = torch.minimum((images - low).abs(), (images - high).abs())
    return Drawn(
        departure=abs(logdet.mean().item() / z[0].numel() - recorded.mean()) / recorded.std(),
        clean=(distance < 3.0 * noise).float().mean().item(),
        mismatch=(back - z).abs().max().item(),
    )


def test_trained_network_draws_its_images_with_their_recorded_logdet() -> None:
    found = drawn()
    # 64 draws are a batch of nearly the training's size, 90, and the weights are those at the epoch's end:
    # two of the spreads between batches hold both.
    assert found.departure < 2.0
    assert found.clean > 0.92
    # Images of order 100 in float32, 36 steps of which each may double an error.
    assert found.mismatch < 1e-3


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (kernels_not_flipped, {}),
        (reflectors_reversed, {}),
        (as_read, {"squeeze": "haar"}),
    ],
    ids=["kernels not flipped", "reflectors reversed", "haar"],
)
def test_misread_networks_invert_as_well_but_give_other_numbers(
    change: Callable[[nn.Module], None], options: dict[str, Any]
) -> None:
    found = drawn(change, **options)
    assert found.mismatch < 1e-3
    assert found.departure > 3.0
    assert found.clean < 0.9


def test_trained_networks_record_is_there() -> None:
    checkpoint = load(TRAINED[0])
    assert (checkpoint.scales, checkpoint.steps, checkpoint.hidden) == (6, 6, 32)
    assert checkpoint.logdet.shape == checkpoint.square.shape == (50, 100)
    # The training drove |z|^2 a cell to that of a standard normal.
    assert checkpoint.square[-1].mean() == pytest.approx(1.0, abs=0.02)
    assert checkpoint.logdet[-1].mean() > checkpoint.logdet[0].mean()
