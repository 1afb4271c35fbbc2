"""A network trained by InvertibleNetworks.jl: its draws, and its training's figures measured again.

Run: OMP_NUM_THREADS=2 python examples/benchmarks/julia_checkpoint.py [FILE]

FILE is ``data/NFtrain/K=6_L=6_...jld2`` of github.com/slimgroup/FNO4CO2; by default, that in ../shared/data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from record import record
from torch import Tensor, nn

from posterior.interop.julia import JuliaCheckpoint, load
from posterior.layers.conv1x1 import Conv1x1
from posterior.networks.multiscale import MultiScale
from posterior.plots.image_axes import ImageAxes
from posterior.plots.style import ESTIMATE, MAGNITUDE, NEUTRAL, RAW, new_figure, save, styled

PROJECT = Path(__file__).resolve().parents[2]
FILE = PROJECT.parent / "shared" / "data" / "invertiblenetworks_multiscale_hint.jld2"
ROCK, CHANNEL = 20.0, 120.0
"""Permeabilities of the two facies [mD]."""
SIZE, SPACING = 64, 15.0
BATCH, BATCHES = 90, 10
"""The training's batch, and how many of them are measured."""


def training_images(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Images (count, 1, depth, x) as the network's training drew them, without their noise.

    A layer of high permeability whose top and bottom are Gaussian random lines, as scripts/gen_perm.jl of
    FNO4CO2 describes them.
    """
    x = 4.0 * np.arange(SIZE)
    covariance = 5.0 * (np.exp(-(((x[:, None] - x) / 25.0) ** 2)) + 1e-5 * np.eye(SIZE))
    root = np.linalg.cholesky(covariance)
    mean = np.round(SIZE * (np.array([[0.37], [0.55]]) + 0.05 * rng.random((count, 2, 1))))
    top, bottom = np.moveaxis(np.round(mean + rng.standard_normal((count, 2, SIZE)) @ root.T), 1, 0)
    depth = np.arange(SIZE)[:, None]
    inside = (depth >= top[:, None]) & (depth < bottom[:, None])
    return np.where(inside, CHANNEL, ROCK).astype(np.float32)[:, None]


def as_read(network: nn.Module) -> None:
    """Leave the network as it was read."""


def kernels_not_flipped(network: nn.Module) -> None:
    """Take Julia's convolutions for correlations."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.flip(2, 3)


def reflectors_reversed(network: nn.Module) -> None:
    """Apply the reflections in the other order."""
    for layer in network.modules():
        if isinstance(layer, Conv1x1):
            layer.vectors.data = layer.vectors.data.flip(0)


READINGS: dict[str, tuple[Callable[[nn.Module], None], dict[str, Any]]] = {
    "as read": (as_read, {}),
    "kernels not flipped": (kernels_not_flipped, {}),
    "Haar squeeze": (as_read, {"squeeze": "haar"}),
    "reflectors reversed": (reflectors_reversed, {}),
}


def sample(network: MultiScale) -> tuple[Tensor, Tensor]:
    """Standard normal latents, the same at every call, and the images that they become."""
    z = torch.randn(BATCH * BATCHES, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return z, torch.cat([network.inverse(batch)[0] for batch in z.split(BATCH)])


@torch.no_grad()
def measured(network: MultiScale, images: Tensor) -> dict[str, Any]:
    """Log-determinant and |z|^2 a cell of images, batch by batch."""
    found = []
    for batch in images.split(BATCH):
        z, logdet = network(batch)
        found.append((float(logdet.mean()) / z[0].numel(), float(z.square().mean())))
    logdets, squares = np.array(found).T
    return summary(logdets, squares)


def summary(logdets: NDArray[np.floating], squares: NDArray[np.floating]) -> dict[str, Any]:
    """Means over batches, and their spread from batch to batch."""
    values = {"logdet_a_cell": logdets, "square_of_z_a_cell": squares}
    return {name: {"mean": float(v.mean()), "std_of_batches": float(v.std())} for name, v in values.items()}


def figures(path: Path, change: Callable[[nn.Module], None], options: dict[str, Any]) -> dict[str, Any]:
    """Figures of draws, and of images like those of the training, under one reading of the file."""
    checkpoint = load(path, **options)
    network = checkpoint.network
    change(network)
    z, draws = sample(network)
    level = float(checkpoint.settings["noiseLev"]) * CHANNEL
    noise = level * torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    truth = torch.from_numpy(training_images(len(z), np.random.default_rng(0)))
    distance = torch.minimum((draws - ROCK).abs(), (draws - CHANNEL).abs())
    with torch.no_grad():
        back, _ = network(draws[:BATCH])
    return {
        "draws": measured(network, draws),
        "draws_with_the_trainings_noise_again": measured(network, draws + noise),
        "images_like_the_trainings": measured(network, truth + noise),
        "cells_of_draws_within_three_noise_levels_of_a_facies": float((distance < 3 * level).float().mean()),
        "largest_error_of_latents_after_a_round_trip": float((back - z[:BATCH]).abs().max()),
    }


@styled
def draw(checkpoint: JuliaCheckpoint, images: NDArray[np.floating], found: dict[str, Any]) -> Figure:
    """Sixteen draws, the recorded log-determinant beside ours, and how well each reading fits the images."""
    figure = new_figure("double", 7.9)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.2, 1.0))[0]
    sections(left, images)
    upper, lower = right.subplots(2, 1, height_ratios=(1.3, 1.0))
    curve(upper, checkpoint.logdet, found)
    squares = [v["images_like_the_trainings"]["square_of_z_a_cell"]["mean"] for v in found.values()]
    lower.axvline(checkpoint.square[-1].mean(), color=NEUTRAL, label="recorded")
    lower.scatter(squares, range(len(found)), s=16, color=[ESTIMATE, *[RAW] * (len(found) - 1)], zorder=3)
    lower.set(xscale="log", xlabel="|z|² a cell, images like the training's", ylim=(len(found) - 0.5, -0.5))
    lower.set_yticks(range(len(found)), list(found))
    lower.legend(loc="lower left", bbox_to_anchor=(0.03, 0.0))
    return figure


def sections(figure: SubFigure, images: NDArray[np.floating]) -> None:
    """A square of draws (depth, x) on one colour scale."""
    axes, side = ImageAxes(spacing=(SPACING, SPACING)), round(len(images) ** 0.5)
    grid = figure.subplots(side, side, sharex=True, sharey=True)
    for number, (ax, image) in enumerate(zip(grid.ravel(), images, strict=True)):
        labels = ("x" if number == side * (side - 1) else "") + ("z" if number == side * (side - 1) else "")
        drawn = axes.show(ax, image.T, limits=(0.0, 140.0), cmap=MAGNITUDE, labels=labels)
        ax.locator_params(nbins=3)
    figure.colorbar(drawn, ax=grid, label="Permeability (mD)", extend="both", aspect=40)


def curve(ax: Axes, recorded: NDArray[np.floating], found: dict[str, Any]) -> None:
    """The recorded log-determinant of the later epochs, and ours of the network at their end."""
    epochs = 1 + np.arange(len(recorded))
    mean, spread = recorded.mean(1), recorded.std(1)
    ax.fill_between(epochs, mean - spread, mean + spread, color=NEUTRAL, alpha=0.3, lw=0)
    ax.plot(epochs, mean, color=NEUTRAL, label="recorded, and spread of batches")
    for name, colour in (("as read", ESTIMATE), ("kernels not flipped", RAW)):
        own = found[name]["draws"]["logdet_a_cell"]
        ax.errorbar(
            epochs[-1],
            own["mean"],
            own["std_of_batches"],
            fmt="o",
            ms=3,
            color=colour,
            label=f"draws, {name}",
        )
    ax.set(xlim=(32, epochs[-1] + 1), ylim=(-1.07, -1.0), xlabel="Epoch", ylabel="log|det| a cell (nats)")
    ax.legend(loc="upper left")


def main() -> None:
    """Measure every reading, record the figures and draw."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    checkpoint = load(path)
    found = {name: figures(path, *reading) for name, reading in READINGS.items()}
    sixteen = sample(checkpoint.network)[1][:16, 0].numpy()
    save(
        draw(checkpoint, sixteen, found),
        PROJECT / "examples" / "gallery" / "julia_checkpoint",
        formats=("png",),
    )
    last = summary(checkpoint.logdet[-1], checkpoint.square[-1])
    record("julia_checkpoint", {"recorded_in_the_last_epoch": last, "measured": found})


if __name__ == "__main__":
    main()
