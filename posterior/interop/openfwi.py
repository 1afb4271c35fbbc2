"""OpenFWI's pairs of ``.npy`` files: shot records (n, nsrc, nt, nrec) and velocities (n, 1, nz, nx)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posterior.interop.arrays import Block, PairLabels, in_blocks

_NAME = re.compile(r"(data|seis|model|vel)(.*)\.npy")


class Files(NamedTuple):
    """A file of records and the file of the models that they were recorded over."""

    data: Path
    model: Path


def match_files(files: Sequence[str | Path]) -> list[Files]:
    """Pair OpenFWI's files by name: ``data1.npy`` with ``model1.npy``, ``seis2_1.npy`` with ``vel2_1.npy``.

    Raises:
        ValueError: If a name is of neither kind, or a file is left alone.
    """
    found: dict[tuple[Path, str, str], dict[str, Path]] = {}
    for path in map(Path, files):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(f"expected names such as data1.npy and model1.npy, got {path.name!r}")
        kind, rest = match.groups()
        family = "seis" if kind in ("seis", "vel") else "data"
        role = "data" if kind in ("data", "seis") else "model"
        found.setdefault((path.parent, family, rest), {})[role] = path
    alone = [path.name for pair in found.values() if len(pair) < 2 for path in pair.values()]
    if alone:
        raise ValueError(f"expected a file of records beside each file of models, got {alone} alone")
    return [Files(**pair) for pair in found.values()]


def read_openfwi(files: Sequence[Files]) -> Iterator[Block]:
    r"""Read pairs block by block, records folded onto the models' grid; nothing is lost.

    A dataset's x and y share one grid. With as many receivers as columns of the model, receiver r lies over
    column r; of time, p = ceil(nt / nz) samples in a row go to one depth index, as channels:

    .. math:: y_{s p + j, r, k} = d_{s, k p + j, r}

    with zeros after the last sample. :func:`unfold` is the inverse. Axes are turned to ours, depth last.

    Args:
        files: What :func:`match_files` returned.

    Yields:
        x (n, 1, nx, nz), velocity [m/s]; y (n, nsrc p, nx, nz).

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is no whole ``.npy`` file of plain numbers, or shapes do not fit.

    Source:
        Deng et al., OpenFWI: Large-scale multi-structural benchmark datasets for full waveform inversion,
        NeurIPS 2022 (datasets and benchmarks), section 3.
    """
    for pair in files:
        data, model = _opened(pair)
        for rows in in_blocks(len(data)):
            x = np.asarray(model[rows]).swapaxes(2, 3)
            yield Block(x, fold(np.asarray(data[rows]), x.shape[3]))


def shapes(files: Files) -> tuple[tuple[int, ...], int]:
    """Shape of the records (n, nsrc, nt, nrec) and number of depth cells, read from the files' heads.

    Raises:
        ValueError: As :func:`read_openfwi`.
    """
    data, model = _opened(files)
    return data.shape, model.shape[2]


def openfwi_labels(sources: int, samples: int, depths: int, *, spacing: float = 10.0) -> PairLabels:
    """Names, units and grid of what :func:`read_openfwi` yields.

    Args:
        sources: Sources nsrc of the records.
        samples: Time samples nt.
        depths: Depth cells nz of the models.
        spacing: Of the models' grid [m]; OpenFWI's is 10 m.
    """
    phases = math.ceil(samples / depths)
    names = tuple(f"source_{s}_phase_{j}" for s in range(sources) for j in range(phases))
    return PairLabels(
        x_channels=("velocity",),
        x_units=("m/s",),
        y_channels=names,
        y_units=("arbitrary",) * len(names),
        spacing=(spacing, spacing),
        origin=(0.0, 0.0),
    )


def fold(records: NDArray[Any], depths: int) -> NDArray[Any]:
    """Records (n, nsrc, nt, nrec) on a grid (n, nsrc p, nrec, nz); see :func:`read_openfwi`."""
    count, sources, samples, receivers = records.shape
    phases = math.ceil(samples / depths)
    padded = np.pad(records, ((0, 0), (0, 0), (0, phases * depths - samples), (0, 0)))
    split = padded.reshape(count, sources, depths, phases, receivers)
    return split.transpose(0, 1, 3, 4, 2).reshape(count, sources * phases, receivers, depths)


def unfold(y: NDArray[Any], sources: int, samples: int) -> NDArray[Any]:
    """The records (n, nsrc, nt, nrec) that :func:`fold` folded."""
    count, channels, receivers, depths = y.shape
    split = y.reshape(count, sources, channels // sources, receivers, depths)
    return split.transpose(0, 1, 4, 2, 3).reshape(count, sources, -1, receivers)[:, :, :samples]


def _opened(pair: Files) -> tuple[NDArray[Any], NDArray[Any]]:
    """Records and models of a pair of files, if they belong together."""
    data, model = _open(pair.data), _open(pair.model)
    if (
        data.ndim != 4
        or model.ndim != 4
        or len(data) != len(model)
        or model.shape[1] != 1
        or data.shape[3] != model.shape[3]
    ):
        raise ValueError(
            f"expected records (n, nsrc, nt, nx) in {pair.data} and models (n, 1, nz, nx) in "
            f"{pair.model}, got {data.shape} and {model.shape}"
        )
    return data, model


def _open(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected an .npy file, got none")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: expected a whole .npy file of numbers, got {error}") from None
