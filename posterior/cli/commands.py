"""What the subcommands do: each stage reads and writes one run folder, and goes on where it was stopped."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from posterior.cli.config import RunConfig, claim, load
from posterior.files import write_atomic, writes_files

DEMO = Path(__file__).parents[1] / "configs" / "demo.toml"


def say(text: str) -> None:
    """Tell the user what is going on, at once, even into a pipe."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def read_timings(out: Path) -> dict[str, float]:
    """Seconds that each stage has taken so far, interrupted attempts included."""
    path = out / "timings.json"
    return json.loads(path.read_text()) if path.exists() else {}


@contextmanager
def _timed(out: Path, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        if writes_files():
            _add_timing(out, stage, time.perf_counter() - start)


def _add_timing(out: Path, stage: str, seconds: float) -> None:
    timings = read_timings(out)
    timings[stage] = timings.get(stage, 0.0) + seconds
    write_atomic(out / "timings.json", json.dumps(timings, indent=1).encode())


def _simulate(config: RunConfig, out: Path, *, quiet: bool) -> None:
    from physics.executors import make_executor
    from physics.simulate import simulate

    how = config.simulate
    with make_executor(how.place, workers=how.workers) as executor:
        for split, own in config.splits.items():
            say(f"simulate: {own.count} pairs for {split}, by {how.describe()}")
            simulate(
                config.pairs(split),
                out / "data" / split,
                count=own.count,
                shard_size=how.shard_size,
                executor=executor,
                progress=not quiet,
            )


def _train(config: RunConfig, out: Path, *, quiet: bool) -> None:
    from posterior.dataset import PairDataset
    from posterior.training.fit import fit_posterior

    train_set = PairDataset(out / "data" / "train")
    validation = PairDataset(out / "data" / "validation")
    say(f"train: {config.train.iterations} iterations on {len(train_set)} pairs")
    fit_posterior(train_set, validation, out, network=config.network, config=config.train, progress=not quiet)


def _sample(config: RunConfig, out: Path, *, quiet: bool) -> None:
    from posterior.dataset import PairDataset
    from posterior.sample import AmortizedPosterior, write_samples

    posterior = AmortizedPosterior.load(out / "model")
    for split in config.held_out:
        pairs = PairDataset(out / "data" / split)
        say(f"sample: {config.sample.num_samples} posterior draws for each of {len(pairs)} pairs of {split}")
        write_samples(posterior, pairs, out / "samples" / split, config.sample, progress=not quiet)


def _report(config: RunConfig, out: Path, *, quiet: bool) -> None:
    from posterior.report import Playback, format_table, write_report

    start, timings = time.perf_counter(), read_timings(out)
    seconds = {f"seconds_{stage}": value for stage, value in timings.items() if stage != "report"}
    playback = Playback(viewer_draws=config.report.viewer_draws, video=config.report.video)
    metrics = write_report(
        out, title=config.report.title, figures=config.report.figures, extra=seconds, playback=playback
    )
    # The report cannot tell its own time before it is written.
    metrics["seconds_report"] = time.perf_counter() - start
    metrics["seconds_total"] = sum(seconds.values()) + metrics["seconds_report"]
    write_atomic(out / "metrics.json", json.dumps(metrics, indent=1, allow_nan=False).encode())
    if not quiet:
        say(format_table(metrics))
    say(f"report: {out / 'report.html'}")


STAGES: dict[str, Callable[..., None]] = {
    "simulate": _simulate,
    "train": _train,
    "sample": _sample,
    "report": _report,
}


def run_stage(stage: str, run_file: Path, out: Path, overrides: list[str], *, quiet: bool) -> None:
    """Run one stage of the run that a TOML file describes."""
    config = load(run_file, overrides)
    claim(out, config)
    with _timed(out, stage):
        STAGES[stage](config, out, quiet=quiet)


def dry_run(run_file: Path, out: Path, overrides: list[str]) -> None:
    """Say what `simulate` would make of a run and what that takes; nothing is written."""
    from physics.rehearsal import rehearse

    config = load(run_file, overrides)
    how = config.simulate
    space = seconds = 0.0
    for split, own in config.splits.items():
        taken = rehearse(
            config.pairs(split),
            out / "data" / split,
            count=own.count,
            shard_size=how.shard_size,
            workers=how.num_workers,
        )
        sys.stdout.write(f"{split}\n{taken.report()}\n\n")
        space, seconds = space + taken.bytes, seconds + taken.seconds
    sys.stdout.write(_in_all(out, space, seconds))


def _in_all(out: Path, space: float, seconds: float) -> str:
    from physics.progress import format_seconds

    folder = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(folder).free
    short = ": TOO LITTLE" if free < space else ""
    return (
        f"in all  {format_seconds(seconds)}, {space / 1e6:.4g} MB on the disk of {folder}, which has "
        f"{free / 1e6:.4g} MB free{short}\n"
    )


def demo(out: Path, overrides: list[str], *, quiet: bool) -> None:
    """Run all stages of the packaged demo, on the synthetic prior when Marmousi cannot be had."""
    from physics.registry import ModelUnavailable, load_model

    config = load(DEMO, overrides)
    try:
        load_model("marmousi")
    except ModelUnavailable as error:
        say(f"demo: {error}\ndemo: going on with layered synthetic models instead of Marmousi")
        config = config.without_model()
    claim(out, config)
    for number, (stage, run) in enumerate(STAGES.items(), start=1):
        say(f"\n[{number}/{len(STAGES)}] {stage}")
        with _timed(out, stage):
            run(config, out, quiet=quiet)
