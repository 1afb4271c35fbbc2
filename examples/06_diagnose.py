"""Before a posterior is believed: every test on unseen pairs, and the alarm for a survey of another kind.

Run after `make demo`: python examples/06_diagnose.py runs/demo [folder of other pairs] [folder for figures]
On the command line: seispost diagnose RUN.toml [--survey PAIRS]
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from posterior.dataset import PairDataset
from posterior.diagnosis import diagnose, fit_watch, format_table
from posterior.diagnosis.text import verdicts

SPLIT = "test"
SHRUNK = 0.45
"""Size of a gallery's figure over that of the page's, for small files."""


def main(run: Path, surveys: Path) -> None:
    """Diagnose the test split, then ask the alarm about some surveys, of which only y is read."""
    found = diagnose(run, split=SPLIT)
    print(format_table(found), "\n")
    for sentence in verdicts(found["splits"][SPLIT]):
        print(f"- {sentence}")
    print(f"\nFigures and all numbers: {run / 'diagnosis.html'}\n")

    watch, pairs = fit_watch(run), PairDataset(surveys)
    for position in range(min(5, len(pairs))):
        print(f"survey {pairs.index[position]}: {watch.verdict(pairs[position][1])}")


def collect(run: Path, gallery: Path) -> None:
    """Small copies of the figures of the test split."""
    gallery.mkdir(parents=True, exist_ok=True)
    for figure in sorted((run / "diagnosis" / "figures").glob(f"{SPLIT}-*.png")):
        name = figure.stem.removeprefix(f"{SPLIT}-").replace("-", "_")
        target = gallery / f"diag_{name}.png"
        with Image.open(figure) as image:
            size = round(SHRUNK * image.width), round(SHRUNK * image.height)
            image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(target, optimize=True)
        print(target, f"{target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    main(folder, Path(sys.argv[2]) if len(sys.argv) > 2 else folder / "data" / SPLIT)
    if len(sys.argv) > 3:
        collect(folder, Path(sys.argv[3]))
