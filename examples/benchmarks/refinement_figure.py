"""The figure of the refinement benchmark: divergence from the exact posterior against wave-equation solves.

Run, after ``refinement.py``: python examples/benchmarks/refinement_figure.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from record import RESULTS

from posterior import plots
from posterior.plots.style import NEUTRAL, RAW, new_figure, styled

GALLERY = Path(__file__).parents[1] / "gallery"
SHOWN = {
    "latent, diagonal, 5 passes": ("diagonal", "o", "#0072B2"),
    "latent, diagonal, 20 passes": (None, "o", "#0072B2"),
    "latent, diagonal, 80 passes": (None, "o", "#0072B2"),
    "latent, diagonal, Adam": (None, "o", "#0072B2"),
    "latent, 16 directions": ("16 directions", "s", "#009E73"),
    "latent, 64 reflections": ("64 reflections", "^", "#56B4E9"),
    "latent, blocks of 4 x 4": ("blocks of 4 x 4", "D", "#CC79A7"),
    "latent, full matrix": ("full matrix", "P", "#E69F00"),
    "latent, full matrix, no prior": ("full matrix, q(x|y) as prior", "X", "#D55E00"),
    "warm start, 80 passes": ("warm start", "*", "#000000"),
    "warm start": (None, "*", "#000000"),
}
"""Label (once a kind), marker and colour of each line of the table."""
FLOOR = 1e-4
"""Nats a cell below which draws tell nothing."""


@styled
def draw(figures: dict[str, Any]) -> Figure:
    """One panel a network, each trained on the wrong problem."""
    figure = new_figure("double", 8.0)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    solves_of_a_pass = 2 * figures["problem"]["shots"]
    for ax, (name, title) in zip(
        panels, {"affine": "Affine network", "glow": "Conditional Glow"}.items(), strict=True
    ):
        _panel(ax, figures[name], solves_of_a_pass)
        ax.axhline(
            figures["diagonal_optimum_kl"],
            color=NEUTRAL,
            lw=0.8,
            ls="--",
            label="best diagonal, affine network",
        )
        ax.axhline(figures["bar_kl"], color=NEUTRAL, lw=0.8, ls=":", label="asked of the warm start")
        ax.set_title(title)
    figure.supxlabel("Passes over the shots: a forward and an adjoint solve of each", fontsize="medium")
    panels[0].set_ylabel("KL to the exact posterior (nats a cell)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


def _panel(ax: Axes, lines: dict[str, Any], solves_of_a_pass: int) -> None:
    ax.axhline(lines["amortized"]["kl"], color=RAW, lw=1.0, label="amortized")
    for name, (label, marker, colour) in SHOWN.items():
        line = lines[name]
        spent = (line["forward"] + line["adjoint"]) / solves_of_a_pass
        ax.plot(spent, max(line["kl"], FLOOR), marker, color=colour, ms=5.0, ls="none", label=label)
    ax.set(xscale="log", yscale="log", ylim=(0.7 * FLOOR, 2.0))


if __name__ == "__main__":
    found = json.loads((RESULTS / "refinement.json").read_text())["figures"]
    path = plots.save(draw(found), GALLERY / "refinement", formats=("png",), dpi=130)[0]
    print(path, f"{path.stat().st_size / 1e3:.0f} kB")
