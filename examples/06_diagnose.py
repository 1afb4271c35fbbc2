"""Before a posterior is believed: every test on unseen pairs, and the alarm for a survey of another kind.

Run after `make demo`: python examples/06_diagnose.py runs/demo [folder of other pairs]
On the command line: seispost diagnose RUN.toml [--survey PAIRS]
"""

from __future__ import annotations

import sys
from pathlib import Path

from posterior.dataset import PairDataset
from posterior.diagnosis import diagnose, fit_watch, format_table
from posterior.diagnosis.text import verdicts


def main(run: Path, surveys: Path) -> None:
    """Diagnose the test split, then ask the alarm about some surveys, of which only y is read."""
    found = diagnose(run, split="test")
    print(format_table(found), "\n")
    for sentence in verdicts(found["splits"]["test"]):
        print(f"- {sentence}")
    print(f"\nFigures and all numbers: {run / 'diagnosis.html'}\n")

    watch, pairs = fit_watch(run), PairDataset(surveys)
    for position in range(min(5, len(pairs))):
        print(f"survey {pairs.index[position]}: {watch.verdict(pairs[position][1])}")


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    main(folder, Path(sys.argv[2]) if len(sys.argv) > 2 else folder / "data" / "test")
