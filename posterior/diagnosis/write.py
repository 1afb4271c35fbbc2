"""From a run's folder to ``diagnosis.json``, figures and one self-contained ``diagnosis.html``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from posterior import uq
from posterior.dataset import PairDataset
from posterior.diagnosis.density import log_densities
from posterior.diagnosis.figures import Surveyed, drawings, pair_drawing, watch_drawing
from posterior.diagnosis.judge import Judge, Judgement
from posterior.diagnosis.numbers import summarise
from posterior.diagnosis.options import DiagnoseConfig, WatchConfig
from posterior.diagnosis.page import render
from posterior.diagnosis.prior import Prior
from posterior.diagnosis.watch import WATCH, Watch
from posterior.files import versions, write_atomic
from posterior.model_folder import SUMS
from posterior.progress import Progress
from posterior.report.evaluate import fit_recalibration
from posterior.report.figures import Scene
from posterior.report.page import Album
from posterior.report.splits import CALIBRATION, Split, open_splits
from posterior.sample import AmortizedPosterior

_NO_WATCH = "No alarm was fitted: the run keeps no model or no validation split."


@final
@dataclass(frozen=True)
class _Bench:
    """What all splits are diagnosed with."""

    folder: Path
    scene: Scene
    prior: Prior
    posterior: AmortizedPosterior | None
    watch: Watch | None
    how: DiagnoseConfig


def diagnose(
    run: str | Path, *, split: str | None = None, config: DiagnoseConfig | None = None
) -> dict[str, Any]:
    """Hold a run's posterior against the truths of its held-out splits, with every test there is.

    Reads pairs and draws one at a time, as ``seispost sample`` left them. ``calibration``, where there is
    one, fits the interval factor and is itself judged raw only. The slow part, log-densities, goes on where
    an interrupted call stopped. Fits the run's watch (:func:`fit_watch`) if there is none of this model.

    Args:
        run: The run's folder, with ``data/train``, ``data/<split>`` and ``samples/<split>``; with ``model``
            for log-densities and alarms.
        split: Diagnose only this one.
        config: Densities, seed, progress bars.

    Returns:
        The numbers, as written to ``diagnosis.json``.

    Raises:
        FileNotFoundError: Without samples or training pairs.
        ValueError: If there is no such split, it has fewer than 20 pairs, or samples are not complete.

    Example:
        >>> diagnosis = diagnose("runs/demo")  # doctest: +SKIP
    """
    folder = Path(run)
    splits = open_splits(folder)
    chosen = {name: one for name, one in splits.items() if split in (None, name)}
    if not chosen:
        raise ValueError(f"expected a split among {list(splits)}, got {split!r}")
    recalibration = None
    if CALIBRATION in splits:
        calibration = splits[CALIBRATION]
        recalibration = fit_recalibration(calibration, calibration.scored)
    bench = _bench(folder, next(iter(chosen.values())), recalibration, config or DiagnoseConfig())
    _clear(folder / "diagnosis" / "figures")
    album = Album(folder / "diagnosis" / "figures")
    found = {name: _split(name, one, bench, album) for name, one in chosen.items()}
    diagnosis = _head(bench, next(iter(chosen.values()))) | {"splits": found, "figures": album.names}
    write_atomic(folder / "diagnosis.json", json.dumps(diagnosis, indent=1, allow_nan=False).encode())
    page = render(diagnosis, album, title=f"Diagnosis of the posterior in {folder.resolve().name}")
    write_atomic(folder / "diagnosis.html", page.encode())
    return diagnosis


def fit_watch(run: str | Path, *, progress: bool = True) -> Watch:
    """The watch of a run: read from ``model/watch.npz``, or fitted and written there.

    Thresholds come from the ``validation`` split, which is of the training distribution and which training
    used for no more than the choice among checkpoints; what is usual from the training split.

    Args:
        run: The run's folder, with ``model``, ``data/train`` and ``data/validation``.
        progress: Show a progress bar.
    """
    folder = Path(run)
    posterior, path = AmortizedPosterior.load(folder / "model"), folder / "model" / WATCH
    if path.is_file():
        try:
            return Watch.load(path, posterior)
        except ValueError:
            path.unlink()  # broken, or of a model that was trained before this one
    held, known = PairDataset(folder / "data" / "validation"), PairDataset(folder / "data" / "train")
    watch = Watch.fit(posterior, held, known=known, config=WatchConfig(progress=progress))
    watch.save(path)
    return watch


def judge_surveys(watch: Watch, pairs: PairDataset, *, progress: bool = True) -> dict[int, uq.Verdict]:
    """The watch's verdict on each survey of a dataset, from y alone.

    Args:
        watch: The alarm.
        pairs: The surveys.
        progress: Show a progress bar.
    """
    bar = Progress("alarms", len(pairs), shown=progress)
    found = {}
    for position, index in enumerate(pairs.index):
        found[int(index)] = watch.verdict(pairs[position][1])
        bar.advance()
    bar.close()
    return found


def _clear(figures: Path) -> None:
    """An empty folder: no figure of an earlier diagnosis stays beside those of this one."""
    figures.mkdir(parents=True, exist_ok=True)
    for old in figures.glob("*.p*"):
        if old.suffix in (".png", ".pdf"):
            old.unlink()


def _bench(
    folder: Path, first: Split, recalibration: uq.IntervalRecalibration | None, how: DiagnoseConfig
) -> _Bench:
    prior = Prior.of(PairDataset(folder / "data" / "train", verify=False), first.scored)
    trained = (folder / "model" / SUMS).is_file()
    posterior = AmortizedPosterior.load(folder / "model") if trained else None
    watched = trained and (folder / "data" / "validation").is_dir()
    watch = fit_watch(folder, progress=how.progress) if watched else None
    return _Bench(folder, Scene.of(first.pairs, recalibration), prior, posterior, watch, how)


def _split(name: str, split: Split, bench: _Bench, album: Album) -> dict[str, Any]:
    """Judge one split, draw its figures, return its numbers."""
    judged = _judge(name, split, bench)
    densities = None
    if bench.posterior is not None and bench.how.densities:
        path = bench.folder / "diagnosis" / f"log-density-{name}.json"
        densities = log_densities(
            bench.posterior, split, path, draws=bench.how.densities, progress=bench.how.progress
        )
    raw = judged["raw"]
    album.add(name, drawings(name, judged, bench.scene, densities))
    album.add(name, [pair_drawing(name, split.read(int(split.pairs.index[0])), raw, bench.prior)])
    var, prior_var, where = raw.var_map, bench.prior.var, bench.scene.scored
    found: dict[str, Any] = {
        "num_pairs": len(split.pairs),
        "num_samples": split.drawn_by["num_samples"],
        "num_cells": int(where.sum()),
        "contraction": float(1.0 - var[where].sum() / prior_var[where].sum()),
        **{kind: summarise(one, densities if kind == "raw" else None) for kind, one in judged.items()},
    }
    if bench.watch is not None:
        found["watch"] = _watch(name, split, bench.watch, bench, album)
    return found


def _judge(name: str, split: Split, bench: _Bench) -> dict[str, Judgement]:
    """Stream the split once through the judges of the raw and of the recalibrated posterior."""
    repair = None if name == CALIBRATION else bench.scene.recalibration
    kinds = ("raw",) if repair is None else ("raw", "recalibrated")
    judges = {
        kind: Judge(bench.scene.scored, bench.prior, len(split.pairs), seed=bench.how.seed) for kind in kinds
    }
    bar = Progress(f"diagnose {name}", len(split.pairs), shown=bench.how.progress)
    for pair in split:
        judges["raw"].update(pair, pair.draws)
        if repair is not None:
            judges["recalibrated"].update(pair, repair.widen(pair.draws))
        bar.advance()
    bar.close()
    return {kind: judge.result() for kind, judge in judges.items()}


def _watch(name: str, split: Split, watch: Watch, bench: _Bench, album: Album) -> dict[str, Any]:
    verdicts = judge_surveys(watch, split.pairs, progress=bench.how.progress)
    strangest = min(
        verdicts, key=lambda index: (bool(verdicts[index]), min(r.p_value for r in verdicts[index].readings))
    )
    album.add(name, [watch_drawing(name, Surveyed(watch.references, verdicts[strangest], strangest))])
    raised = {
        reading.name: sum(
            next(r for r in verdict.readings if r.name == reading.name).alarm for verdict in verdicts.values()
        )
        for reading in verdicts[strangest].readings
    }
    return {
        "surveys": len(verdicts),
        "alarms": sum(not verdict for verdict in verdicts.values()),
        "by_check": raised,
        "rate": watch.about["rate"],
        "checks": [reference.name for reference in watch.references],
    }


def _head(bench: _Bench, first: Split) -> dict[str, Any]:
    quantity, repair, watch = bench.scene.quantity, bench.scene.recalibration, bench.watch
    said = _NO_WATCH
    if watch is not None:
        about = watch.about
        said = (
            f"By their data alone, at a rate of {100 * about['rate']:.0f} % for surveys of the training "
            f"distribution; thresholds from {about['num_held_out']} validation surveys, and from "
            f"{about['num_aside']} training surveys kept aside where the network is not asked; what is usual "
            f"from {about['num_known']} other training surveys. Checks: "
            f"{', '.join(reference.name for reference in watch.references)}"
            + (f"; too few surveys for {', '.join(about['left_out'])}." if about["left_out"] else ".")
        )
    return {
        "quantity": {"name": quantity.name, "unit": quantity.unit, "scale": quantity.scale},
        "interval_factor": None if repair is None else repair.factor,
        "seed": bench.how.seed,
        "num_prior": int(np.shape(bench.prior.truths)[0]),
        "drawn_by": first.drawn_by,
        "watch": {"said": said} | ({} if watch is None else dict(watch.about)),
        "versions": versions(),
    }
