"""From a run's folder to figures, ``metrics.json`` and one self-contained ``report.html``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from posterior import plots, uq
from posterior.files import versions, write_atomic
from posterior.report.evaluate import (
    Array,
    Evaluation,
    SplitResult,
    fit_recalibration,
    ssim_convention,
    summarise,
)
from posterior.report.figures import Drawing, Scene, chosen_pairs, split_drawings
from posterior.report.page import Album, Page, render
from posterior.report.playback import Playback, Show
from posterior.report.splits import CALIBRATION, Split, open_splits, prior_var
from posterior.report.text import format_table
from posterior.report.viewer import Viewer
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


def write_report(
    run: str | Path,
    *,
    title: str = "Posterior report",
    figures: int = 3,
    extra: Mapping[str, Any] | None = None,
    playback: Playback | None = None,
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
        playback: How single draws can be leafed through; the page's viewer with 50 draws of each drawn pair
            by default.

    Returns:
        The metrics, as written to ``metrics.json``.

    Raises:
        FileNotFoundError: Without samples.
        ValueError: If samples belong to other pairs, or are not complete.
    """
    folder = Path(run)
    splits = open_splits(folder)
    first = next(iter(splits.values()))
    recalibration = None
    if CALIBRATION in splits:
        recalibration = fit_recalibration(splits[CALIBRATION], first.scored)
    scene = Scene.of(first.pairs, recalibration)
    metrics = _head(scene, extra)
    prior, metrics["contraction_prior"] = prior_var(folder)
    playback = playback or Playback()
    album, viewer = Album(folder / "figures"), Viewer(scene, playback.viewer_draws)
    show = Show(viewer, folder / "figures" if playback.video else None)
    for name, split in splits.items():
        own = None if name == CALIBRATION else recalibration
        result = _evaluate(split, own, prior)
        metrics["splits"][name] = summarise(result, own)
        if name != CALIBRATION:
            chosen = chosen_pairs(result, figures)
            middle = list(chosen)[len(chosen) // 2]
            for index, place in chosen.items():
                album.add(name, show.drawings(name, split.read(index), place, spread=index == middle))
        album.add(name, split_drawings(name, result, metrics["splits"][name], scene))
    metrics["drawn_by"] = first.drawn_by
    metrics |= {key: metrics["splits"].get("test", {}).get(key) for key in _HEADLINES}
    album.add("training", _training(folder))
    metrics["figures"], metrics["videos"] = album.names, show.videos
    _remove_stale(folder, metrics)
    text = json.dumps(metrics, indent=1, allow_nan=False)
    write_atomic(folder / "metrics.json", text.encode())
    page = Page(title, metrics, album, first.pairs, folder, show.html())
    write_atomic(folder / "report.html", render(page).encode())
    return metrics


def _evaluate(
    split: Split, recalibration: uq.IntervalRecalibration | None, prior_var: Array | None
) -> SplitResult:
    evaluation = Evaluation(split.scored, split.pairs.depth_weight, recalibration)
    for pair in split:
        evaluation.update(pair)
    return evaluation.result(prior_var)


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


def _remove_stale(run: Path, metrics: Mapping[str, Any]) -> None:
    """Remove the figures and videos of the report before this one that this one did not draw again."""
    path = run / "metrics.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for kind, endings in (("figures", plots.FORMATS), ("videos", ("gif",))):
        for name in set(before.get(kind, [])) - set(metrics[kind]):
            for ending in endings:
                (run / "figures" / f"{Path(name).name}.{ending}").unlink(missing_ok=True)


def _training(run: Path) -> Iterator[Drawing]:
    path = run / "log.jsonl"
    records = read_log(path) if path.is_file() else []
    if any("loss" in record for record in records):
        caption = (
            "Negative log-likelihood of training batches and of the validation split, gradient norm before "
            "clipping, learning rate. The weights with the lowest validation loss were kept."
        )
        yield Drawing("training", "", caption, plots.training(records)[0])
