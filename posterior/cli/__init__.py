"""The ``seispost`` command. This package is the only place in ``posterior`` that may import ``physics``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DESCRIPTION = (
    "Bayesian inversion for seismic imaging: simulate pairs, train a posterior, sample it, report on it."
)

STAGES = {
    "simulate": "draw earth models, model and migrate shots, write the training pairs",
    "train": "learn p(x | y) from the pairs",
    "sample": "draw posterior samples for the held-out pairs",
    "report": "write figures, metrics.json and report.html",
}


def build_parser() -> argparse.ArgumentParser:
    """The command line; importing or building it loads neither torch nor Devito."""
    parser = argparse.ArgumentParser(prog="seispost", description=DESCRIPTION)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in STAGES.items():
        stage = commands.add_parser(name, help=text, description=text)
        stage.add_argument("run", type=Path, help="the run's TOML file")
        _add_common(stage, "run folder (default: runs/<name of the file>)")
    demo = commands.add_parser(
        "demo", help="all four on Marmousi, in minutes", description="All stages on Marmousi."
    )
    _add_common(demo, "run folder (default: runs/demo)")
    return parser


def _add_common(parser: argparse.ArgumentParser, out_help: str) -> None:
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="settings, such as train.iterations=500"
    )
    parser.add_argument("--out", type=Path, help=out_help)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when all went well, 2 after a user's error (one line on standard error), 130 after an interruption.
    """
    args = build_parser().parse_args(argv)
    if args.version:
        from posterior import __version__

        sys.stdout.write(f"seispost {__version__}\n")
        return 0
    if args.command is None:
        build_parser().print_help()
        return 2
    from posterior.cli import commands

    try:
        if args.command == "demo":
            commands.demo(args.out or Path("runs/demo"), args.overrides, quiet=args.quiet)
        else:
            out = args.out or Path("runs") / args.run.stem
            commands.run_stage(args.command, args.run, out, args.overrides, quiet=args.quiet)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"seispost: error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("seispost: interrupted; the same command goes on from here\n")
        return 130
    return 0
