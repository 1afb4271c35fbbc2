"""Posterior draws as NetCDF-4 in ArviZ's schema, through xarray (``pip install 'seispost[netcdf]'``).

============================  ===========================================================================
group                         holds
============================  ===========================================================================
``/posterior``                a variable a channel, (chain, draw, x, z), with its unit
``/observed_data``            what the draws are conditioned on, (x, z) each
``/sample_stats``             a number a draw, such as ``lp``, its log-density
``/summary``                  ``<channel>_mean``, ``_std`` (x, z) and ``_quantiles`` (quantile, x, z)
============================  ===========================================================================

All have the coordinates x, (y,) z in metres, z positive down. Attributes of the root: ``schema``, ``seed``,
``model_sha256``, ``data_fingerprint``, ``index``, ``channels``, ``units``, ``spacing``, ``origin``,
``versions`` and the names that ArviZ gives the library.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posterior import uq
from posterior.files import versions, write_atomic
from posterior.interop import hdf5
from posterior.interop.summaries import DEFAULT_QUANTILES, checked_units
from posterior.sample_files import SCHEMA, PairSamples

if TYPE_CHECKING:
    from xarray import DataTree

_AXES = {1: ("z",), 2: ("x", "z"), 3: ("x", "y", "z")}
_SAMPLE = ("chain", "draw")


class Image(NamedTuple):
    """An image on the draws' grid, and its unit."""

    values: ArrayLike
    unit: str


def to_datatree(
    pair: PairSamples,
    *,
    observed: Mapping[str, Image] | None = None,
    stats: Mapping[str, ArrayLike] | None = None,
    quantiles: Sequence[float] = DEFAULT_QUANTILES,
) -> DataTree:
    """Lay a pair's draws out as ArviZ expects them: one chain, for the draws are independent.

    Args:
        pair: The draws.
        observed: Images that they are conditioned on, by name.
        stats: A number a draw, (S,), by name; ArviZ calls a log-density ``lp``.
        quantiles: Probabilities of the quantiles in ``/summary``; may be none.

    Raises:
        ValueError: If a unit is missing, an image or a statistic does not fit the draws, or there are too few
            draws for a quantile.
        ImportError: If xarray is not installed.

    Source:
        The ArviZ schema, https://python.arviz.org/en/latest/schema/schema.html; CF conventions 1.11.

    Example:
        >>> tree = to_datatree(read_samples("pair-000000.h5"))  # doctest: +SKIP
        >>> arviz.summary(tree.isel(x=[3], z=[40]))  # doctest: +SKIP
    """
    xarray = _xarray()
    checked_units(pair)
    groups = {"/posterior": _posterior(pair), "/summary": _summary(pair, quantiles)}
    if observed:
        groups["/observed_data"] = {name: _image(pair, name, image) for name, image in observed.items()}
    if stats:
        groups["/sample_stats"] = {name: _statistic(pair, name, values) for name, values in stats.items()}
    coords, library = _coordinates(pair, quantiles), _library()
    tree = {"/": xarray.Dataset(attrs=_attributes(pair) | library)}
    for group, variables in groups.items():
        used = {name for dims, *_ in variables.values() for name in dims}
        own = {name: value for name, value in coords.items() if name in used}
        tree[group] = xarray.Dataset(variables, own, library)
    return xarray.DataTree.from_dict(tree)


def write_netcdf(path: str | Path, tree: DataTree) -> None:
    """Write what :func:`to_datatree` returned as NetCDF-4, as a whole or not at all.

    Raises:
        ImportError: If xarray or h5netcdf is not installed.
    """
    _xarray()
    write_atomic(Path(path), tree.to_netcdf(engine="h5netcdf"))


def read_netcdf(path: str | Path) -> DataTree:
    """Read a NetCDF-4 file into memory; nothing outside of it is followed.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no whole NetCDF-4 file, or points at other files.
        ImportError: If xarray or h5netcdf is not installed.
    """
    xarray = _xarray()
    with hdf5.opened(path):
        pass
    try:
        with xarray.open_datatree(io.BytesIO(Path(path).read_bytes()), engine="h5netcdf") as tree:
            return tree.load()
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: expected a whole NetCDF-4 file, got {error}") from None


def from_datatree(tree: DataTree) -> PairSamples:
    """The draws that :func:`to_datatree` laid out, bit by bit.

    Raises:
        ValueError: If the tree was not laid out so.
    """
    attributes: Mapping[Any, Any] = tree.attrs
    if attributes.get("schema") != SCHEMA or "posterior" not in tree.children:
        raise ValueError(
            f"expected a tree of schema {SCHEMA!r} with a group posterior, got {attributes.get('schema')!r} "
            f"with {sorted(tree.children)}"
        )
    try:
        channels = tuple(json.loads(attributes["channels"]))
        variables = tree.children["posterior"].to_dataset()
        draws = [variables[_variable(name)].values[0] for name in channels]
        return PairSamples(
            np.stack(draws, axis=1),
            int(attributes["index"]),
            str(attributes["model_sha256"]),
            str(attributes["data_fingerprint"]),
            int(attributes["seed"]),
            channels,
            tuple(json.loads(attributes["units"])),
            tuple(np.atleast_1d(attributes["spacing"]).tolist()),
            tuple(np.atleast_1d(attributes["origin"]).tolist()),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"expected draws and their attributes of schema {SCHEMA!r}, got {error!r}") from None


Variable = tuple[tuple[str, ...], NDArray[Any], dict[str, str]]


def _posterior(pair: PairSamples) -> dict[str, Variable]:
    dims = (*_SAMPLE, *_axes(pair))
    return {
        _variable(name): (dims, pair.samples[None, :, channel], {"units": unit, "long_name": name})
        for channel, (name, unit) in enumerate(zip(pair.channels, pair.units, strict=True))
    }


def _summary(pair: PairSamples, quantiles: Sequence[float]) -> dict[str, Variable]:
    dims, found = _axes(pair), {}
    values = {"mean": (dims, uq.mean(pair.samples)), "std": (dims, uq.std(pair.samples))}
    if len(quantiles):
        across = np.moveaxis(uq.quantiles(pair.samples, quantiles), 1, 0)
        values["quantiles"] = (("quantile", *dims), across)
    for channel, (name, unit) in enumerate(zip(pair.channels, pair.units, strict=True)):
        for what, (own, array) in values.items():
            about = {"units": unit, "long_name": f"posterior {what} of {name}"}
            found[f"{_variable(name)}_{what}"] = (own, array[channel], about)
    return found


def _image(pair: PairSamples, name: str, image: Image) -> Variable:
    values = np.asarray(image.values)
    if values.shape != pair.samples.shape[2:] or not image.unit:
        raise ValueError(
            f"expected {name} of shape {pair.samples.shape[2:]}, like a draw, with a unit, got "
            f"{values.shape} in {image.unit!r}"
        )
    return _axes(pair), values, {"units": image.unit, "long_name": name}


def _statistic(pair: PairSamples, name: str, values: ArrayLike) -> Variable:
    array = np.asarray(values)
    if array.shape != pair.samples.shape[:1]:
        raise ValueError(f"expected one {name} a draw, ({len(pair.samples)},), got {array.shape}")
    return _SAMPLE, array[None], {}


def _coordinates(pair: PairSamples, quantiles: Sequence[float]) -> dict[str, Any]:
    coords: dict[str, Any] = {"chain": [0], "draw": np.arange(len(pair.samples))}
    for name, size, step, first in zip(
        _axes(pair), pair.samples.shape[2:], pair.spacing, pair.origin, strict=True
    ):
        about = {"units": "m", "long_name": "depth" if name == "z" else "distance", "axis": name.upper()}
        direction = {"positive": "down"} if name == "z" else {}
        coords[name] = ((name,), first + step * np.arange(size), about | direction)
    return coords | {"quantile": np.asarray(quantiles, np.float64)}


def _attributes(pair: PairSamples) -> dict[str, Any]:
    names = ("seed", "model_sha256", "data_fingerprint", "index")
    own: dict[str, Any] = {name: getattr(pair, name) for name in names}
    lists = {name: json.dumps(getattr(pair, name)) for name in ("channels", "units")}
    grid = {name: np.array(getattr(pair, name), np.float64) for name in ("spacing", "origin")}
    return {"schema": SCHEMA} | own | lists | grid | {"versions": json.dumps(versions())}


def _library() -> dict[str, str]:
    return {"inference_library": "seispost", "inference_library_version": versions()["seispost"]}


def _axes(pair: PairSamples) -> tuple[str, ...]:
    ndim = pair.samples.ndim - 2
    if ndim not in _AXES:
        raise ValueError(f"expected draws with 1 to 3 spatial axes, got shape {pair.samples.shape}")
    return _AXES[ndim]


def _variable(channel: str) -> str:
    """A channel's name as Python and NetCDF may use it; an axis' own name gets an underscore."""
    name = re.sub(r"\W+", "_", channel)
    return f"{name}_" if name in ("x", "y", "z", *_SAMPLE) else name


def _xarray() -> Any:
    """The xarray module, or an ImportError that says how to install it."""
    try:
        import_module("h5netcdf")
        return import_module("xarray")
    except ImportError as error:
        raise ImportError("NetCDF files need xarray: pip install 'seispost[netcdf]'") from error
