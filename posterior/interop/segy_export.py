"""A pair's posterior as SEG-Y files: one file a statistic, or a draw, and channel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from posterior.interop.segy import SegyGrid, write_segy
from posterior.interop.summaries import DEFAULT_QUANTILES, checked_units, summaries
from posterior.sample_files import PairSamples


@final
@dataclass(frozen=True, kw_only=True)
class SegyExport:
    """What is written, and how."""

    quantiles: tuple[float, ...] = DEFAULT_QUANTILES
    draws: int = 0
    """How many of the draws get files of their own."""
    like: Path | None = None
    """A survey's file whose headers are taken over."""
    floats: Literal["ieee", "ibm"] = "ieee"


_DEFAULT = SegyExport()


def export_segy(pair: PairSamples, folder: str | Path, config: SegyExport = _DEFAULT) -> list[Path]:
    """Write mean, std, quantiles and, if asked, draws of a pair as SEG-Y files.

    Files are called ``pair-000012_std.sgy``; those of several channels have the channel in their name too.
    The text header of each says what it holds, of which model and seed, and the unit.

    Args:
        pair: The draws, on a line (x, z) or in a volume (x, y, z).
        folder: Gets the files; made if need be.
        config: What is written.

    Returns:
        The files.

    Raises:
        ValueError: If a unit is missing, draws are too few, or the grid does not fit SEG-Y or the survey.
        ImportError: If segyio is not installed.

    Example:
        >>> export_segy(read_samples("pair-000000.h5"), "segy", SegyExport(draws=3))  # doctest: +SKIP
    """
    checked_units(pair)
    if not 0 <= config.draws <= len(pair.samples):
        raise ValueError(f"expected 0 to {len(pair.samples)} draws to write, got {config.draws}")
    grid = SegyGrid.regular(pair.samples.shape[2:], pair.spacing, pair.origin)
    images = list(_images(pair, config))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, title, values in images:
        paths.append(folder / f"pair-{pair.index:06d}_{name}.sgy")
        write_segy(paths[-1], values, grid, like=config.like, floats=config.floats, title=title)
    return paths


def _images(pair: PairSamples, config: SegyExport) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    """Name, title and values of each file."""
    found = summaries(pair, config.quantiles)
    found |= {f"draw-{number:04d}": pair.samples[number] for number in range(config.draws)}
    model = f"model {pair.model_sha256[:8]}, seed {pair.seed}"
    for name, values in found.items():
        for channel, unit, image in zip(pair.channels, pair.units, values, strict=True):
            part = f"{re.sub(r'[^A-Za-z0-9]+', '-', channel)}_{name}" if len(values) > 1 else name
            # The unit and the statistic first: a line of the text header ends after 76 characters.
            yield part, f"{name} [{unit}], {model}, {channel}", image
