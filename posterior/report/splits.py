"""The held-out splits of a run: pairs with their draws, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from posterior import uq
from posterior.dataset import PairDataset
from posterior.report.evaluate import Array, PairDraws
from posterior.sample_files import PairSamples, read_samples

CALIBRATION = "calibration"
"""The split that fits the interval factor."""
CHANNEL = 0
"""The channel of x the report is about."""


@final
class Split:
    """The pairs of a split with their draws, read one at a time."""

    def __init__(self, data: Path, samples: Path) -> None:
        self.pairs = PairDataset(data)
        self.scored: Array = self.pairs.scored
        self.drawn_by: dict[str, Any] = {}
        self._samples = samples
        self._position = {int(index): position for position, index in enumerate(self.pairs.index)}
        self._check_complete()

    def __iter__(self) -> Iterator[PairDraws]:
        return (self.read(index) for index in self._position)

    def read(self, index: int) -> PairDraws:
        """One pair by its number in the dataset."""
        found = self.samples(index)
        x, y = self.pairs[self._position[index]]
        return PairDraws(index, x[CHANNEL].numpy(), y[0].numpy(), found.samples[:, CHANNEL])

    def samples(self, index: int) -> PairSamples:
        """The draws of one pair in all channels."""
        path = self._path(index)
        found = read_samples(path)
        if found.data_fingerprint != self.pairs.fingerprint or found.index != index:
            raise ValueError(
                f"{path}: expected draws for pair {index} of data {self.pairs.fingerprint[:12]}, got pair "
                f"{found.index} of {found.data_fingerprint[:12]}: sample again into an empty folder"
            )
        self.drawn_by = self.drawn_by or found.origin_of_draws
        if found.origin_of_draws != self.drawn_by:
            raise ValueError(f"{path}: expected draws by {self.drawn_by}, got {found.origin_of_draws}")
        return found

    def position(self, index: int) -> int:
        """Where a pair stands in the dataset."""
        return self._position[index]

    def _path(self, index: int) -> Path:
        return self._samples / f"pair-{index:06d}.h5"

    def _check_complete(self) -> None:
        missing = [index for index in self._position if not self._path(index).is_file()]
        if missing:
            raise ValueError(
                f"{self._samples}: expected draws for {len(self._position)} pairs, got "
                f"{len(self._position) - len(missing)}; pair {missing[0]} is missing: run `seispost "
                "sample` again"
            )


def open_splits(run: Path) -> dict[str, Split]:
    """Splits by name, ``test`` first and ``calibration`` last."""
    rank = {"test": 0, CALIBRATION: 2}
    folders = [path for path in sorted((run / "samples").glob("*")) if path.is_dir()]
    if not folders:
        raise FileNotFoundError(f"{run / 'samples'}: expected a folder of draws for each split, got none")
    folders.sort(key=lambda path: rank.get(path.name, 1))
    splits = {path.name: Split(run / "data" / path.name, path) for path in folders}
    shapes = {split.scored.shape for split in splits.values()}
    if len(shapes) > 1:
        raise ValueError(f"expected splits on one grid, got {sorted(shapes)}")
    return splits


def prior_var(run: Path) -> tuple[Array | None, str]:
    """Variance of each cell over the training pairs, and whose it is; None where they are not kept."""
    if not (run / "data" / "train").is_dir():
        return None, "truths of each split"
    moments = uq.Moments()
    pairs = PairDataset(run / "data" / "train", verify=False)
    for position in range(len(pairs)):
        moments.update(pairs[position][0][CHANNEL].numpy()[None])
    return moments.var, f"{len(pairs)} training pairs"
