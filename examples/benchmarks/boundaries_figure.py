"""Figures of the absorbing layers: their errors over draws of priors, and one record.

Run after boundaries.py: OMP_NUM_THREADS=1 python examples/benchmarks/boundaries_figure.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from boundaries import BAR, DT, FRAME, LAYERS, NT, PEAK, PRIORS, SHAPE, SHOTS, H, models, records
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.style import NEUTRAL, SIGNED, TRUTH, new_figure, save, styled

HERE = Path(__file__).resolve().parent
COLOURS = dict(zip(PRIORS, ("#D55E00", "#009E73", "#0072B2", "#CC79A7"), strict=True))
ENLARGED = 100


@styled
def distributions(by_order: dict[str, Any]) -> Figure:
    """Errors in the late half of every shot, a panel an order, a column a layer."""
    figure = new_figure("double", 9.0)
    for axes, (order, by_layer) in zip(
        figure.subplots(1, len(by_order), sharey=True), by_order.items(), strict=True
    ):
        _columns(axes, by_layer)
        axes.set_title(f"space order {order}, {PEAK[int(order)]:g} Hz")
    figure.axes[0].set_ylabel("relative error in the late half of a record")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _columns(axes: Axes, by_layer: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    for column, by_prior in enumerate(by_layer.values()):
        for name, values in by_prior.items():
            late = np.array(values["late"])
            x = column + rng.uniform(-0.3, 0.3, len(late))
            label = name if column == 0 else None
            axes.plot(x, late, ".", ms=3.0, color=COLOURS[name], alpha=0.8, label=label)
        median = np.median(np.concatenate([values["late"] for values in by_prior.values()]))
        axes.plot([column - 0.38, column + 0.38], [median, median], color=TRUTH, lw=1.4)
    axes.axhline(BAR, color=NEUTRAL, lw=0.8, ls="--")
    axes.set_yscale("log")
    axes.set_xticks(range(len(by_layer)), by_layer, rotation=90)


@styled
def one_record(found: dict[str, NDArray[Any]], truth: NDArray[Any], source: str) -> Figure:
    """A record with each layer, and what is false in it."""
    figure = new_figure("double", 10.0)
    grid = figure.subplots(1, 2 * len(found), sharex=True, sharey=True)
    limit = float(np.percentile(np.abs(truth), 99.0))
    extent = (0.0, 1e-3 * H * (SHAPE[0] - 1), DT * (NT - 1), 0.0)
    panels = {f"{name} cells": record for name, record in found.items()}
    panels |= {f"{name}: error × {ENLARGED}": ENLARGED * (record - truth) for name, record in found.items()}
    for axes, (title, values) in zip(grid, panels.items(), strict=True):
        axes.imshow(values, extent=extent, cmap=SIGNED, vmin=-limit, vmax=limit, aspect="auto")
        axes.set_title(title)
        axes.set_xlabel("Distance (km)")
    grid[0].set_ylabel(f"Time (s), source at the {source}")
    return figure


if __name__ == "__main__":
    entry = json.loads((HERE / "results" / "boundaries.json").read_text())
    gallery = HERE.parent / "gallery"
    save(distributions(entry["figures"]["relative_error"]), gallery / "boundaries", formats=("png",))
    shot = 1
    velocity = models("marmousi")[1]
    wide = records(velocity, 8, LAYERS["matched 12"], frame=FRAME)[shot]
    layers = {name: records(velocity, 8, LAYERS[name])[shot] for name in ("sponge 40", "matched 12")}
    save(one_record(layers, wide, SHOTS[shot]), gallery / "boundaries_record", formats=("png",))
