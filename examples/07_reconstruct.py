"""Loop-unrolled reconstruction of Marmousi patches with the wave equation in every iteration.

Trains, beside migration and least squares of the same cost, and draws one figure:
python examples/07_reconstruct.py [run folder]; goes on where it was stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from posterior import uq
from posterior.cli.reconstruct import FOLDER, METHODS, run

SHOWN = 3


def draw(folder: Path) -> Path:
    """One row a test pair: the truth and what each method makes of its data."""
    with np.load(folder / "test.npz") as images:
        rows = [{name: images[name][pair] for name in ("truth", *METHODS)} for pair in range(SHOWN)]
    figure, axes = plt.subplots(SHOWN, 4, figsize=(10, 2.6 * SHOWN), layout="constrained")
    for row, across in zip(rows, axes, strict=True):
        largest = float(np.abs(row["truth"]).max())
        for (name, image), axis in zip(row.items(), across, strict=True):
            axis.imshow(image.T, cmap="gray", vmin=-largest, vmax=largest)
            snr = "" if name == "truth" else f" {uq.snr_db(image, row['truth']):.1f} dB"
            axis.set(title=f"{name.replace('_', ' ')}{snr}", xticks=[], yticks=[])
    path = folder / "reconstructions.png"
    figure.savefig(path, dpi=150)
    return path


def main(out: Path) -> None:
    """Train, reconstruct, score, draw."""
    run(Path(__file__).with_suffix(".toml"), out, [], quiet=False)
    print(draw(out / FOLDER))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/reconstruct"))
