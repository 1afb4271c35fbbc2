"""Posterior draws on disk: one HDF5 file a pair, schema ``seispost-samples/1``, whole or absent.

==================  =====================  =================================
``samples``         (S, C, nx, nz) float32  the draws, physical units
``index``           scalar int64            number of the pair in its dataset
==================  =====================  =================================

Attributes: ``schema``, ``model_sha256``, ``data_fingerprint``, ``seed``, ``channels``, ``units`` (JSON
lists), ``spacing``, ``origin`` [m], ``versions`` (JSON).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

import h5py
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from posterior.config import SampleConfig
from posterior.dataset import PairDataset
from posterior.files import locked, remove_parts, versions, write_atomic
from posterior.progress import Progress
from posterior.seeding import derive_seed
from posterior.shards import plain_dataset

SCHEMA = "seispost-samples/1"


class Sampler(Protocol):
    """A posterior that draws for one observation, such as :class:`posterior.sample.AmortizedPosterior`."""

    @property
    def sha256(self) -> str:
        """Identity of the model."""
        ...

    def sample(self, num_samples: int, y: Tensor, *, seed: int, batch_size: int) -> NDArray[np.float32]:
        """Draw (num_samples, C, ...) for y (K, ...)."""
        ...


@final
@dataclass(frozen=True)
class PairSamples:
    """Posterior draws for one pair.

    Args:
        samples: (S, C, nx, nz) float32, physical units.
        index: number of the pair in its dataset.
        model_sha256: the model that drew them.
        data_fingerprint: of the dataset that the pair belongs to.
        seed: of the run; the pair's own seed follows from it and the index.
        channels, units: one name and one unit a channel.
        spacing, origin: of the grid [m].
    """

    samples: NDArray[np.float32]
    index: int
    model_sha256: str
    data_fingerprint: str
    seed: int
    channels: tuple[str, ...]
    units: tuple[str, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]

    @property
    def origin_of_draws(self) -> dict[str, Any]:
        """What decides the draws besides the pair: two files that differ here belong to two runs."""
        about = {name: getattr(self, name) for name in ("model_sha256", "data_fingerprint", "seed")}
        return about | {"num_samples": len(self.samples)}


def write_pair(path: Path, pair: PairSamples) -> None:
    """Write one file, built in memory, flushed and renamed into place."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset(
            "samples", data=pair.samples, chunks=(1, *pair.samples.shape[1:]), fletcher32=True
        )
        file.create_dataset("index", data=np.int64(pair.index))
        file.attrs["schema"] = SCHEMA
        for name in ("model_sha256", "data_fingerprint", "seed", "spacing", "origin"):
            file.attrs[name] = getattr(pair, name)
        for name, values in (("channels", pair.channels), ("units", pair.units), ("versions", versions())):
            file.attrs[name] = json.dumps(values)
    write_atomic(path, buffer.getbuffer())


def read_samples(path: str | Path) -> PairSamples:
    """Read one file of posterior draws.

    Raises:
        FileNotFoundError: no file there.
        ValueError: another schema, truncated, or a wrong checksum.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of posterior samples, got none")
    try:
        with h5py.File(path, "r") as file:
            if (schema := file.attrs.get("schema")) != SCHEMA:
                raise ValueError(f"{path}: expected schema {SCHEMA!r}, got {schema!r}")
            samples = plain_dataset(file, "samples", path, "f")
            if samples.ndim < 2:
                raise ValueError(f"{path}: expected samples (S, C, ...), got {samples.shape}")
            index = int(plain_dataset(file, "index", path, "iu")[()])
            return PairSamples(samples[:].astype(np.float32, copy=False), index, **_attributes(file.attrs))
    except (OSError, KeyError, TypeError) as error:  # truncated, a wrong fletcher32 sum, an attribute missing
        raise ValueError(f"{path}: expected a whole file of schema {SCHEMA!r}, got {error}") from None


def _attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    texts: dict[str, Any] = {name: str(attributes[name]) for name in ("model_sha256", "data_fingerprint")}
    lists = {name: tuple(json.loads(attributes[name])) for name in ("channels", "units")}
    numbers = {name: tuple(map(float, attributes[name])) for name in ("spacing", "origin")}
    return texts | lists | numbers | {"seed": int(attributes["seed"])}


def write_samples(
    posterior: Sampler,
    pairs: PairDataset,
    folder: str | Path,
    config: SampleConfig,
    *,
    progress: bool = True,
) -> list[Path]:
    """Draw samples for every pair of a dataset, one file ``pair-000012.h5`` for each.

    A pair's latents depend on (config.seed, its index), so the pairs' Monte-Carlo errors are independent.
    Files that are there, whole, and from the same model, data, seed and number of draws are kept; damaged
    ones are made again.

    Args:
        posterior: the trained posterior.
        pairs: dataset of pairs whose y is sampled for.
        folder: gets the files; made if need be.
        config: seed, number of draws, and draws evaluated together.
        progress: show a progress bar.

    Returns:
        The files, in the order of the pairs.

    Raises:
        ValueError: the folder holds samples of another model, dataset, seed or number of draws, or another
            process writes into it.
    """
    folder = Path(folder)
    with locked(folder):
        remove_parts(folder)
        paths = [folder / f"pair-{index:06d}.h5" for index in pairs.index]
        expected = {
            "model_sha256": posterior.sha256,
            "data_fingerprint": pairs.fingerprint,
            "seed": config.seed,
            "num_samples": config.num_samples,
        }
        missing = [position for position, path in enumerate(paths) if not _is_kept(path, expected)]
        bar = Progress("sample", len(paths), done=len(paths) - len(missing), shown=progress)
        for position in missing:
            write_pair(paths[position], _draw(posterior, pairs, position, config))
            bar.advance()
        bar.close()
    return paths


def _is_kept(path: Path, expected: dict[str, Any]) -> bool:
    """Whether a file is there and whole; refuses one that belongs to another run."""
    if not path.exists():
        return False
    try:
        found = read_samples(path).origin_of_draws
    except ValueError:
        return False
    differing = [
        f"{name}: {found[name]!r} there, {expected[name]!r} here"
        for name in found
        if found[name] != expected[name]
    ]
    if differing:
        raise ValueError(
            f"{path.parent} holds samples of another run ({'; '.join(differing)}): choose another folder, or "
            "remove this one"
        )
    return True


def _draw(posterior: Sampler, pairs: PairDataset, position: int, config: SampleConfig) -> PairSamples:
    index = int(pairs.index[position])
    samples = posterior.sample(
        config.num_samples,
        pairs[position][1],
        seed=derive_seed(config.seed, index),
        batch_size=config.batch_size,
    )
    return PairSamples(
        samples,
        index,
        posterior.sha256,
        pairs.fingerprint,
        config.seed,
        pairs.x_channels,
        pairs.x_units,
        pairs.spacing,
        pairs.origin,
    )
