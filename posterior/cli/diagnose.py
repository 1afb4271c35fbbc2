"""``seispost diagnose``: every test of a run's posterior, and the alarm for surveys of another kind."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DIAGNOSE = "hold the posterior against the truths of unseen pairs; judge whether surveys are of its kind"
STRICT = 3
"""Exit code of ``--strict`` after a bad verdict."""


def add_diagnose(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``seispost diagnose``."""
    add = parser.add_argument
    add("run", type=Path, help="the run's TOML file")
    add("--out", type=Path, help="run folder (default: runs/<name of the file>)")
    add("--split", help="diagnose only this one (default: all that were sampled)")
    add("--survey", type=Path, metavar="PAIRS", help="judge the surveys of another dataset, by y alone")
    add(
        "--densities", type=int, default=32, metavar="D", help="draws a pair for log q (default: 32; 0: none)"
    )
    add("--seed", type=int, default=0, help="of ties, reference points and permutations")
    add("--strict", action="store_true", help=f"exit with {STRICT} when a test fails or an alarm is raised")
    add("--quiet", action="store_true", help="no progress bars, no table")


def diagnose(args: argparse.Namespace) -> int:
    """Diagnose a run or judge surveys.

    Returns:
        0; with ``--strict`` 3 if a raw posterior fails a test, or a survey raises an alarm.

    Raises:
        FileNotFoundError: If there is no such run, no samples or no surveys.
        ValueError: If the run, the split or the surveys do not fit.
    """
    from posterior.cli.config import load

    load(args.run, [])  # a wrong name is told before anything is computed
    folder = args.out or Path("runs") / args.run.stem
    good = _surveys(args, folder) if args.survey else _posterior(args, folder)
    return STRICT if args.strict and not good else 0


def _posterior(args: argparse.Namespace, folder: Path) -> bool:
    """Whether no test of a raw posterior failed."""
    from posterior.cli.commands import say
    from posterior.diagnosis import DiagnoseConfig, diagnose, format_table
    from posterior.diagnosis.text import failed

    config = DiagnoseConfig(args.densities, args.seed, progress=not args.quiet)
    found = diagnose(folder, split=args.split, config=config)
    if not args.quiet:
        say(format_table(found))
    bad = {name: failed(split["raw"]) for name, split in found["splits"].items()}
    for name, tests in bad.items():
        say(f"diagnose: {name}, raw: {'failed: ' + ', '.join(tests) if tests else 'no test failed'}")
    say(f"diagnose: {folder / 'diagnosis.html'}")
    return not any(bad.values())


def _surveys(args: argparse.Namespace, folder: Path) -> bool:
    """Whether no survey raised an alarm; one verdict a survey on standard output."""
    from posterior.cli.commands import say
    from posterior.dataset import PairDataset
    from posterior.diagnosis import fit_watch, judge_surveys

    pairs = PairDataset(args.survey)
    watch = fit_watch(folder, progress=not args.quiet)
    verdicts = judge_surveys(watch, pairs, progress=not args.quiet)
    for index, verdict in verdicts.items():
        sys.stdout.write(f"{index}: {verdict}\n")
    raised = sum(not verdict for verdict in verdicts.values())
    say(
        f"diagnose: {raised} of {len(verdicts)} surveys raise the alarm; "
        f"{100 * watch.about['rate']:.0f} % of surveys like those of the training would"
    )
    return not raised
