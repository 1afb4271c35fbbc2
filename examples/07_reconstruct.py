"""Loop-unrolled reconstruction of Marmousi patches with the wave equation in every iteration.

Trains, beside migration and least squares of the same cost, and draws one figure:
python examples/07_reconstruct.py [run folder] [configuration]; goes on where it was stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from posterior import plots, uq
from posterior.cli.config import load
from posterior.cli.reconstruct import FOLDER, METHODS, run
from posterior.plots.image_axes import symmetric_limits
from posterior.plots.style import new_figure, styled

SHOWN = 3
"""Test pairs in the figure: of the network's SNR the 10th, 50th and 90th percentile."""
TITLES = {
    "truth": "Truth",
    "migration": "Migration",
    "least_squares": "Least squares",
    "preconditioned": "Preconditioned",
    "network": "Network",
}
DPI = 100


@styled
def figure(folder: Path, spacing: tuple[float, float]) -> Figure:
    """One row a test pair, on one scale: the truth, and what each method makes of the same records."""
    with np.load(folder / "test.npz") as written:
        images = {name: written[name] for name in ("truth", *METHODS)}
    ranked = np.argsort([uq.snr_db(*pair) for pair in zip(images["network"], images["truth"], strict=True)])
    rows = ranked[np.round(np.linspace(0.9, 0.1, SHOWN) * (len(ranked) - 1)).astype(int)]
    quantity = plots.Quantity.from_si("Squared-slowness perturbation", "s^2/m^2")
    axes, drawn = plots.ImageAxes(spacing), new_figure("double", 4.2 * SHOWN + 1.0)
    grid = drawn.subplots(SHOWN, len(images), sharex=True, sharey=True)
    limits = symmetric_limits(images["truth"][rows] * quantity.scale, percentile=99.0)
    for row, across in zip(rows, grid, strict=True):
        for (name, all_of_it), ax in zip(images.items(), across, strict=True):
            labels = ("x" if ax in grid[-1] else "") + ("z" if name == "truth" else "")
            shown = axes.show(ax, all_of_it[row] * quantity.scale, limits=limits, labels=labels)
            snr = "" if name == "truth" else f"{uq.snr_db(all_of_it[row], images['truth'][row]):.1f} dB"
            ax.set_title(f"{TITLES[name]}\n{snr}")
    drawn.colorbar(shown, ax=grid.ravel().tolist(), location="bottom", shrink=0.5, aspect=40).set_label(
        quantity.label
    )
    return drawn


def main(out: Path, run_file: Path) -> None:
    """Train, reconstruct, score, draw."""
    run(run_file, out, [], quiet=False)
    spacing = load(run_file, []).survey.spacing
    drawn = figure(out / FOLDER, (spacing[0], spacing[-1]))
    print(*plots.save(drawn, out / FOLDER / "reconstructions", formats=("png",), dpi=DPI))


if __name__ == "__main__":
    given = [Path(one) for one in sys.argv[1:]]
    main(*given, *(Path("runs/reconstruct"), Path(__file__).with_suffix(".toml"))[len(given) :])
