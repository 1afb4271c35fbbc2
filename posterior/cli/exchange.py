"""``seispost export`` and ``seispost import``: posteriors to other tools' files, theirs to our shards."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posterior.interop.arrays import Block, PairLabels
    from posterior.interop.netcdf import Image
    from posterior.interop.segy_read import SegyUnits
    from posterior.sample_files import PairSamples

EXPORT = "write posterior mean, std, quantiles and draws for other tools"
IMPORT = "make a dataset of pairs from other tools' files"
_LINEAR = (
    "import: these pairs have none of the symmetries of linear imaging: train with train.flip=false "
    "train.reverse=false train.amplitude=[1,1] unless you know better"
)


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``seispost export``."""
    parser.add_argument("source", type=Path, help="a run, a folder of pair-*.h5 files, or one such file")
    parser.add_argument("--format", required=True, choices=("segy", "netcdf"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--split", help="of a run, whose pairs (default: all)")
    parser.add_argument(
        "--index", type=int, action="append", help="which pair; may be repeated (default: all)"
    )
    parser.add_argument("--quantiles", type=float, nargs="*", default=[0.05, 0.5, 0.95], metavar="P")
    parser.add_argument("--draws", type=int, default=0, help="segy: how many draws get files (default: 0)")
    parser.add_argument("--like", type=Path, help="segy: a survey's file whose headers are taken over")
    parser.add_argument("--floats", choices=("ieee", "ibm"), default="ieee", help="segy: sample format")
    parser.add_argument("--log-density", action="store_true", help="netcdf: of a run, log q(x | y) a draw")


def add_import(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``seispost import``."""
    add = parser.add_argument
    add("files", type=Path, nargs="+", help="openfwi: pairs of .npy files; hdf5: HDF5 or JLD2 files; "
        "segy: one file a channel of y; shots: one file of shot records")  # fmt: skip
    add("--format", required=True, choices=("openfwi", "hdf5", "segy", "shots"))
    add("--out", type=Path, required=True, help="folder for the dataset, new or empty")
    add("--x", metavar="NAME:AXES", help="hdf5: the unknown, such as X:nczx; axes as h5py shows them")
    add("--y", metavar="NAME:AXES", help="hdf5: what it is conditioned on")
    add(
        "--x-channel", action="append", default=[], metavar="NAME:UNIT", help="hdf5, segy: one a channel of x"
    )
    add(
        "--y-channel", action="append", default=[], metavar="NAME:UNIT", help="hdf5, segy: one a channel of y"
    )
    add("--spacing", type=float, nargs="+", metavar="M", help="of the grid, if the files do not say it")
    add("--truth", type=Path, nargs="*", default=[], help="segy: one file a channel of x (default: unknown)")
    add("--sections", action="store_true", help="segy: every inline of a volume becomes a pair")
    add(
        "--domain", choices=("depth", "time"), help="segy, shots: what samples of depth files by others count"
    )
    add("--metres", action="store_true", help="segy, shots: the depth interval in headers is in metres")
    add("--run", type=Path, help="shots: the run's TOML file")
    add(
        "--background", type=Path, help="shots: SEG-Y file of the background velocity, m/s, on the run's grid"
    )
    add("--depths", action="store_true", help="shots: elevation headers hold depths")


def export(args: argparse.Namespace) -> list[Path]:
    """Write the files that ``seispost export`` asks for.

    Raises:
        FileNotFoundError: If there are no such samples.
        ValueError: If the samples, the survey and what is asked for do not fit.
    """
    from posterior.sample_files import read_samples

    write: Callable[..., list[Path]] = _as_segy if args.format == "segy" else _as_netcdf
    several = (args.source / "samples").is_dir() and args.split is None
    written = []
    for path in _sample_files(args.source, args.split, args.index):
        folder = args.out / path.parent.name if several else args.out
        written += write(read_samples(path), path, folder, args)
    return written


def import_pairs(args: argparse.Namespace) -> int:
    """Write the dataset that ``seispost import`` asks for; returns its number of pairs.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is broken, or files and arguments do not fit.
    """
    from posterior.cli.commands import say
    from posterior.interop.arrays import described, write_dataset

    blocks, labels = _READERS[args.format](args)
    files = [*args.files, *args.truth, *(path for path in (args.run, args.background) if path)]
    source = {"format": args.format, "files": described(files)}
    count = write_dataset(args.out, blocks, labels, source=source)
    say(f"import: {count} pairs in {args.out}, x {labels.x_channels} {labels.x_units}")
    if args.format != "shots" and labels.known:
        say(_LINEAR)
    return count


def _sample_files(source: Path, split: str | None, indices: Sequence[int] | None) -> list[Path]:
    """Files of draws, in order."""
    if source.is_file():
        return [source]
    folder = source / "samples" if (source / "samples").is_dir() else source
    found = sorted(folder.glob(f"{split or '*'}/pair-*.h5" if folder != source else "pair-*.h5"))
    if indices is not None:
        found = [path for path in found if int(path.stem.removeprefix("pair-")) in indices]
    if not found:
        raise FileNotFoundError(f"{source}: expected files of posterior samples, pair-*.h5, got none")
    return found


def _as_segy(pair: PairSamples, path: Path, folder: Path, args: argparse.Namespace) -> list[Path]:
    from posterior.interop.segy_export import SegyExport, export_segy

    config = SegyExport(quantiles=tuple(args.quantiles), draws=args.draws, like=args.like, floats=args.floats)
    return export_segy(pair, folder, config)


def _as_netcdf(pair: PairSamples, path: Path, folder: Path, args: argparse.Namespace) -> list[Path]:
    from posterior.interop.netcdf import to_datatree, write_netcdf

    observed, stats = _beside(pair, path, args) if (args.source / "samples").is_dir() else ({}, {})
    tree = to_datatree(pair, observed=observed, stats=stats, quantiles=args.quantiles)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f"pair-{pair.index:06d}.nc"
    write_netcdf(written, tree)
    return [written]


def _beside(
    pair: PairSamples, path: Path, args: argparse.Namespace
) -> tuple[dict[str, Image], dict[str, Any]]:
    """What a run knows of a pair besides its draws: the observation and, if asked, the draws' densities."""
    from posterior.dataset import PairDataset
    from posterior.interop.netcdf import Image
    from posterior.sample import AmortizedPosterior

    pairs = PairDataset(args.source / "data" / path.parent.name)
    if pairs.fingerprint != pair.data_fingerprint:
        raise ValueError(f"{path}: expected samples of the pairs in {pairs.folder}, got those of other data")
    y = pairs[pairs.index.tolist().index(pair.index)][1].numpy()
    names = zip(pairs.y_channels, y, pairs.y_units, strict=True)
    observed = {name: Image(image, unit) for name, image, unit in names}
    if not args.log_density:
        return observed, {}
    model = AmortizedPosterior.load(args.source / "model")
    if model.sha256 != pair.model_sha256:
        raise ValueError(f"{path}: expected samples of the model in {args.source}, got those of another")
    return observed, {"lp": model.log_prob(pair.samples, y)}


Read = tuple["Iterable[Block]", "PairLabels"]


def _openfwi(args: argparse.Namespace) -> Read:
    from posterior.interop.openfwi import match_files, openfwi_labels, read_openfwi, shapes

    files = match_files(args.files)
    (_, sources, samples, _), depths = shapes(files[0])
    step = args.spacing[0] if args.spacing else 10.0
    return read_openfwi(files), openfwi_labels(sources, samples, depths, spacing=step)


def _hdf5(args: argparse.Namespace) -> Read:
    from posterior.interop.hdf5_pairs import Stored, read_hdf5_pairs

    x, y = (Stored(*_two(getattr(args, name), f"--{name} NAME:AXES")) for name in "xy")
    spacing = tuple(args.spacing or ())
    labels = _labels(args, spacing, (0.0,) * len(spacing))
    return chain.from_iterable(read_hdf5_pairs(path, x, y) for path in args.files), labels


def _segy(args: argparse.Namespace) -> Read:
    from posterior.interop.segy_pairs import SegyFiles, read_segy_pairs

    files = SegyFiles(y=tuple(args.files), x=tuple(args.truth), sections=args.sections, units=_units(args))
    block, spacing, origin = read_segy_pairs(files, args.spacing)
    return [block], _labels(args, spacing, origin)


def _shots(args: argparse.Namespace) -> Read:
    from posterior.cli.shots import migrate_shots
    from posterior.interop.segy import read_segy

    if len(args.files) != 1 or args.run is None or args.background is None:
        raise ValueError("expected one file of shot records with --run and --background")
    background = read_segy(args.background, _units(args)).values
    block, labels = migrate_shots(args.files[0], args.run, background, depths=args.depths)
    return [block], labels


_READERS: dict[str, Callable[[argparse.Namespace], Read]] = {
    "openfwi": _openfwi,
    "hdf5": _hdf5,
    "segy": _segy,
    "shots": _shots,
}


def _units(args: argparse.Namespace) -> SegyUnits:
    from posterior.interop.segy_read import SegyUnits

    return SegyUnits(domain=args.domain, metres=args.metres)


def _labels(args: argparse.Namespace, spacing: tuple[float, ...], origin: tuple[float, ...]) -> PairLabels:
    from posterior.interop.arrays import PairLabels

    known = args.format != "segy" or bool(args.truth)
    x = [_two(word, "--x-channel NAME:UNIT") for word in args.x_channel]
    y = [_two(word, "--y-channel NAME:UNIT") for word in args.y_channel]
    if not x or not y or not spacing:
        raise ValueError("expected --x-channel, --y-channel and, unless the files say it, --spacing")
    (x_names, x_units), (y_names, y_units) = (tuple(zip(*words, strict=True)) for words in (x, y))
    return PairLabels(
        x_channels=x_names,
        x_units=x_units,
        y_channels=y_names,
        y_units=y_units,
        spacing=spacing,
        origin=origin,
        known=known,
    )


def _two(word: str | None, form: str) -> tuple[str, str]:
    name, _, rest = (word or "").rpartition(":")
    if not name or not rest:
        raise ValueError(f"expected {form}, got {word!r}")
    return name, rest
