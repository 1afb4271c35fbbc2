"""From a run's folder to figures, ``metrics.json`` and one self-contained ``report.html``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

from posterior import plots, uq
from posterior.dataset import PairDataset
from posterior.files import versions, write_atomic
from posterior.report.evaluate import (
    Array,
    Evaluation,
    PairDraws,
    SplitResult,
    fit_recalibration,
    ssim_convention,
    summarise,
)
from posterior.report.figures import Drawing, Scene, chosen_pairs, pair_drawings, split_drawings
from posterior.report.page import Album, Page, render
from posterior.report.text import format_table
from posterior.sample_files import read_samples
from posterior.training.tracking import read_log

__all__ = ["format_table", "write_report"]

_HEADLINES = (
    "snr_gain_db",
    "snr_db",
    "coverage_90",
    "coverage_90_raw",
    "std_rmse_slope",
    "std_rmse_slope_recalibrated",
)
CALIBRATION = "calibration"
"""The split that fits the interval factor."""
CHANNEL = 0
"""The channel of x the report is about."""


def write_report(
    run: str | Path,
    *,
    title: str = "Posterior report",
    figures: int = 3,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Evaluate a run on its held-out splits and write figures, metrics and the report into its folder.

    Every folder below ``samples/`` is a split. ``calibration``, where there is one, fits the interval
    factor and is itself judged raw only; ``test`` gives the headline numbers. One pair's draws are held at
    a time.

    Args:
        run: The run's folder, with ``data/<split>/``, ``samples/<split>/``, and ``log.jsonl`` and
            ``config.toml`` if kept.
        title: Title of the report.
        figures: Pairs of each split but ``calibration`` that are drawn, from the weakest to the best.
        extra: Numbers to enter into the metrics, such as the seconds of each stage.

    Returns:
        The metrics, as written to ``metrics.json``.

    Raises:
        FileNotFoundError: Without samples.
        ValueError: If samples belong to other pairs, or are not complete.
    """
    folder = Path(run)
    splits = _open_splits(folder)
    first = next(iter(splits.values()))
    recalibration = None
    if CALIBRATION in splits:
        recalibration = fit_recalibration(splits[CALIBRATION], first.scored)
    scene = _scene(first, recalibration)
    metrics = _head(scene, extra)
    prior, metrics["contraction_prior"] = _prior_var(folder)
    album = Album(folder / "figures")
    for name, split in splits.items():
        own = None if name == CALIBRATION else recalibration
        result = _evaluate(split, own, prior)
        metrics["splits"][name] = summarise(result, own)
        if name != CALIBRATION:
            for index, place in chosen_pairs(result, figures).items():
                album.add(name, pair_drawings(name, split.read(index), place, scene))
        album.add(name, split_drawings(name, result, metrics["splits"][name], scene))
    metrics["drawn_by"] = first.drawn_by
    metrics |= {key: metrics["splits"].get("test", {}).get(key) for key in _HEADLINES}
    album.add("training", _training(folder))
    _remove_stale(folder, album.names)
    metrics["figures"] = album.names
    text = json.dumps(metrics, indent=1, allow_nan=False)
    write_atomic(folder / "metrics.json", text.encode())
    write_atomic(folder / "report.html", render(Page(title, metrics, album, first.pairs, folder)).encode())
    return metrics


@final
class _Split:
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
        x, y = self.pairs[self._position[index]]
        return PairDraws(index, x[CHANNEL].numpy(), y[0].numpy(), found.samples[:, CHANNEL])

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


def _open_splits(run: Path) -> dict[str, _Split]:
    """Splits by name, ``test`` first and ``calibration`` last."""
    rank = {"test": 0, CALIBRATION: 2}
    folders = [path for path in sorted((run / "samples").glob("*")) if path.is_dir()]
    if not folders:
        raise FileNotFoundError(f"{run / 'samples'}: expected a folder of draws for each split, got none")
    folders.sort(key=lambda path: rank.get(path.name, 1))
    splits = {path.name: _Split(run / "data" / path.name, path) for path in folders}
    shapes = {split.scored.shape for split in splits.values()}
    if len(shapes) > 1:
        raise ValueError(f"expected splits on one grid, got {sorted(shapes)}")
    return splits


def _evaluate(
    split: _Split, recalibration: uq.IntervalRecalibration | None, prior_var: Array | None
) -> SplitResult:
    evaluation = Evaluation(split.scored, split.pairs.depth_weight, recalibration)
    for pair in split:
        evaluation.update(pair)
    return evaluation.result(prior_var)


def _scene(split: _Split, recalibration: uq.IntervalRecalibration | None) -> Scene:
    pairs = split.pairs
    dx, dz = (float(step) for step in pairs.spacing)
    x0, z0 = (float(start) for start in pairs.origin)
    name = pairs.x_channels[CHANNEL].replace("_", " ")
    quantity = plots.Quantity.from_si(name[:1].upper() + name[1:], pairs.x_units[CHANNEL])
    return Scene(
        plots.ImageAxes((dx, dz), (x0, z0)), quantity, split.scored, pairs.depth_weight, recalibration
    )


def _head(scene: Scene, extra: Mapping[str, Any] | None) -> dict[str, Any]:
    fitted, quantity = scene.recalibration, scene.quantity
    return {
        **(extra or {}),
        "interval_factor": None if fitted is None else fitted.factor,
        "recalibration": None if fitted is None else json.loads(fitted.to_json()),
        "ssim_convention": ssim_convention(),
        "quantity": {"name": quantity.name, "unit": quantity.unit, "scale": quantity.scale},
        "versions": versions(),
        "splits": {},
    }


def _prior_var(run: Path) -> tuple[Array | None, str]:
    """Variance of each cell over the training pairs, and whose it is; None where they are not kept."""
    if not (run / "data" / "train").is_dir():
        return None, "truths of each split"
    moments = uq.Moments()
    pairs = PairDataset(run / "data" / "train", verify=False)
    for position in range(len(pairs)):
        moments.update(pairs[position][0][CHANNEL].numpy()[None])
    return moments.var, f"{len(pairs)} training pairs"


def _remove_stale(run: Path, names: list[str]) -> None:
    """Remove the figures of the report before this one that this one did not draw again."""
    path = run / "metrics.json"
    before = json.loads(path.read_text(encoding="utf-8")).get("figures", []) if path.is_file() else []
    for name in set(before) - set(names):
        for ending in plots.FORMATS:
            (run / "figures" / f"{name}.{ending}").unlink(missing_ok=True)


def _training(run: Path) -> Iterator[Drawing]:
    path = run / "log.jsonl"
    records = read_log(path) if path.is_file() else []
    if any("loss" in record for record in records):
        caption = (
            "Negative log-likelihood of training batches and of the validation split, gradient norm before "
            "clipping, learning rate. The weights with the lowest validation loss were kept."
        )
        yield Drawing("training", "", caption, plots.training(records)[0])
