"""The ``seispost`` command. This package is the only place in ``posterior`` that may import ``physics``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from posterior.cli import diagnose as diagnosis
from posterior.cli import exchange
from posterior.cli import refine as refinement

DESCRIPTION = (
    "Bayesian inversion for seismic imaging: simulate pairs, train a posterior, sample it, report on it."
)

STAGES = {
    "simulate": "draw earth models, model and migrate shots, write the training pairs",
    "train": "learn p(x | y) from the pairs",
    "sample": "draw posterior samples for the held-out pairs",
    "report": "write figures, metrics.json and report.html",
}

RECONSTRUCT = "train a network with the wave equation in every iteration, score it on held-out pairs"

VIEWS = {
    "prior": "statistics of the prior, and some draws",
    "model": "the earth model with sources and receivers",
    "shot": "records of one shot",
    "wavefield": "snapshots of one shot",
    "image": "true perturbation, migrated image, illumination",
    "gather": "common-image gathers",
    "plan": "what the prior and the wavelet ask of the computation",
}


def build_parser() -> argparse.ArgumentParser:
    """The command line; importing or building it loads neither torch nor Devito."""
    parser = argparse.ArgumentParser(prog="seispost", description=DESCRIPTION)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in STAGES.items():
        stage = commands.add_parser(name, help=text, description=text)
        stage.add_argument("run", type=Path, help="the run's TOML file")
        if name == "simulate":
            stage.add_argument("--dry-run", action="store_true", help="say what it would take, write nothing")
        _add_common(stage, "run folder (default: runs/<name of the file>)")
    _add_model(commands.add_parser("model", help="look at draws, shots, images: tables and figures"))
    exchange.add_export(commands.add_parser("export", help=exchange.EXPORT, description=exchange.EXPORT))
    exchange.add_import(commands.add_parser("import", help=exchange.IMPORT, description=exchange.IMPORT))
    diagnosis.add_diagnose(
        commands.add_parser("diagnose", help=diagnosis.DIAGNOSE, description=diagnosis.DIAGNOSE)
    )
    refinement.add_refine(
        commands.add_parser("refine", help=refinement.REFINE, description=refinement.REFINE)
    )
    again = commands.add_parser("reconstruct", help=RECONSTRUCT, description=RECONSTRUCT)
    again.add_argument("run", type=Path, help="the run's TOML file")
    _add_common(again, "run folder (default: runs/<name of the file>)")
    demo = commands.add_parser(
        "demo", help="all four on Marmousi, in minutes", description="All stages on Marmousi."
    )
    _add_common(demo, "run folder (default: runs/demo)")
    return parser


def _add_model(model: argparse.ArgumentParser) -> None:
    views = "; ".join(f"{name}: {text}" for name, text in VIEWS.items())
    model.description = f"Look at one draw of a run before it is simulated. {views}. Default: all."
    model.add_argument("run", type=Path, help="the run's TOML file")
    model.add_argument("--split", help="whose draw (default: the first)")
    model.add_argument("--index", type=int, default=0, help="which draw (default: 0)")
    model.add_argument("--out", type=Path, help="folder for figures (default: runs/<name of the file>-model)")
    model.add_argument(
        "overrides",
        nargs="*",
        metavar="WHAT|KEY=VALUE",
        help=f"any of {', '.join(VIEWS)}, and settings, such as survey.f0=10.0",
    )


def _parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse, with words after options too: argparse only takes those before the first option."""
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    if rest and ("overrides" not in args or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.overrides += rest
    return args


def _add_common(parser: argparse.ArgumentParser, out_help: str) -> None:
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="settings, such as train.iterations=500"
    )
    parser.add_argument("--out", type=Path, help=out_help)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when all went well, 2 after a user's error (one line on standard error), 3 after a bad verdict of
        ``diagnose --strict``, 130 after an interruption.
    """
    args = _parse(argv)
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
        elif args.command == "export":
            for path in exchange.export(args):
                sys.stdout.write(f"{path}\n")
        elif args.command == "import":
            exchange.import_pairs(args)
        elif args.command == "diagnose":
            return diagnosis.diagnose(args)
        elif args.command == "refine":
            return refinement.refine(args)
        elif args.command == "reconstruct":
            from posterior.cli import reconstruct

            out = args.out or Path("runs") / args.run.stem
            reconstruct.run(args.run, out, args.overrides, quiet=args.quiet)
        elif args.command == "model":
            from posterior.cli.model import look

            out = args.out or Path("runs") / f"{args.run.stem}-model"
            look(args.run, out, args.overrides, split=args.split, index=args.index)
        else:
            out = args.out or Path("runs") / args.run.stem
            if getattr(args, "dry_run", False):
                commands.dry_run(args.run, out, args.overrides)
                return 0
            commands.run_stage(args.command, args.run, out, args.overrides, quiet=args.quiet)
    except (ValueError, OSError, ImportError) as error:  # the last: an optional extra is not installed
        sys.stderr.write(f"seispost: error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("seispost: interrupted; the same command goes on from here\n")
        return 130
    return 0
