"""Correct the posterior of one survey by its own shots: latent correction, then a warm start of all weights.

The data are modelled again for every step (Born, Devito). Both targets take the amortized posterior as prior,
whose image was made from the same shots: see :class:`posterior.refine.target.Target` for the other way.

Run after `make demo`: python examples/08_refine.py [run folder, runs/demo] [pair of its test split, 0]
On the command line: seispost refine RUN.toml --pair 0 --method latent
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from physics.likelihood import BornShots
from physics.pairs import Draw, PairSimulator
from posterior import plots, uq
from posterior.cli.config import load
from posterior.cli.refine import born_likelihood, exact, linearised, settings_of
from posterior.dataset import PairDataset
from posterior.plots.image_axes import symmetric_limits
from posterior.plots.style import MAGNITUDE, SIGNED, new_figure, styled
from posterior.refine import refine
from posterior.sample import AmortizedPosterior

GALLERY = Path(__file__).parent / "gallery"
DRAWS, SHOT = 200, 3
PASSES = {"Latent correction": ("latent", 10), "Warm start": ("preconditioned", 40)}
"""Method, and how often it goes through the shots: all weights take longer than two numbers a cell."""
Image = NDArray[np.floating]


@final
@dataclass(frozen=True)
class Column:
    """One posterior: its mean and std (nx, nz), and what a shot leaves unexplained (nt, nrec)."""

    name: str
    mean: Image
    std: Image
    residual: Image


def main(run: Path, number: int) -> None:
    """Refine a pair twice, print both reports, draw."""
    posterior = AmortizedPosterior.load(run / "model")
    pairs = PairDataset(run / "data" / "test")
    x, y = pairs[list(pairs.index).index(number)]
    simulator = PairSimulator(exact(load(run / "config.toml", []).pairs("test")))
    draw = simulator.draw(number)

    columns = [column("Amortized", posterior.mean_std(y, DRAWS, seed=1, batch_size=100), simulator, draw)]
    for name, (method, passes) in PASSES.items():
        likelihood = born_likelihood(simulator, draw)
        config = settings_of(method, likelihood.num_sources, passes)
        refined = refine(posterior, y, likelihood, method=method, config=config, truth=x.numpy())
        print(f"{refined.report}\n")
        moments = refined.mean_std(DRAWS, seed=1, batch_size=100)
        columns.append(column(name, moments, simulator, draw))

    spacing = (pairs.spacing[0], pairs.spacing[1])
    figure = page(x[0].numpy(), draw.records[SHOT], columns, plots.ImageAxes(spacing), pairs.scored)
    path = plots.save(figure, GALLERY / "refine_marmousi", formats=("png",), dpi=64)[0]
    print(path, f"{path.stat().st_size / 1e3:.0f} kB")


def column(name: str, moments: tuple[Image, Image], simulator: PairSimulator, draw: Draw) -> Column:
    """What the page shows of one posterior."""
    mean, std = moments
    shots = BornShots(linearised(simulator, draw), draw.survey)
    weights = torch.eye(draw.survey.num_sources)[None, [SHOT]]
    predicted = shots(torch.from_numpy(mean)[None], weights)[0, 0].numpy()
    return Column(name, mean[0], std[0], draw.records[SHOT] - predicted)


@styled
def page(
    truth: Image, record: Image, columns: list[Column], axes: plots.ImageAxes, scored: NDArray[np.bool_]
) -> Figure:
    """Rows: mean, std, |error|, residual of a shot; first the truth and the shot itself."""
    figure = new_figure("double", 18.0)
    grid = figure.subplots(4, len(columns) + 1)
    grey = symmetric_limits(truth)
    errors = [np.abs(one.mean - truth) for one in columns]
    widest = (0.0, float(np.percentile(errors[0], 98.0)))
    loudest = float(np.percentile(np.abs(record), 99.0))
    rows = [
        ("Mean", [one.mean for one in columns], grey, SIGNED),
        ("Std", [one.std for one in columns], widest, MAGNITUDE),
        ("|Error|", errors, widest, MAGNITUDE),
    ]
    axes.show(grid[0, 0], truth, limits=grey, labels="xz")
    grid[0, 0].set_title("Truth")
    for row, (title, images, limits, cmap) in zip(grid, rows, strict=False):
        for ax, one, image in zip(row[1:], columns, images, strict=True):
            drawn = axes.show(ax, image, limits=limits, cmap=cmap, labels="")
            ax.set_title(f"{one.name}: {title.lower()}")
        bar = figure.colorbar(drawn, ax=list(row), aspect=16, pad=0.01, extend="both", label="s²/m²")
        bar.ax.locator_params(nbins=4)
    for ax, one in zip(grid[0, 1:], columns, strict=True):
        ax.set_title(f"{one.name}: mean\nSNR {uq.snr_db(one.mean, truth, scored):.1f} dB")
    for ax in (grid[1, 0], grid[2, 0]):
        ax.axis("off")
    shown = {f"Shot {SHOT + 1}, as observed": record}
    for one in columns:
        share = np.linalg.norm(one.residual) / np.linalg.norm(record)
        shown[f"{one.name}:\nresidual, {share:.2f} of it"] = one.residual
    for ax, (title, gather) in zip(grid[3], shown.items(), strict=True):
        ax.imshow(gather, aspect="auto", cmap=SIGNED, vmin=-loudest, vmax=loudest, interpolation="nearest")
        ax.set(title=title, xlabel="Receiver", xticks=[], yticks=[])
    grid[3, 0].set_ylabel("Time")
    return figure


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    main(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
