"""HDF5 files of others: read only when nothing in them points at another file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from posterior.shards import plain_dataset

_KINDS = "fiubSUVO"
"""Kinds of data sets that may lie beside those that are read; what is read is checked for itself."""


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """An HDF5 file (JLD2 and NetCDF-4 files are such) in which every data set lies in the file itself.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no HDF5 file, is truncated, or has soft or external links, external or virtual
            storage, or a data set that claims far more than it stores.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected an HDF5 file, got none")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: expected a whole HDF5 file, got {error}") from None
    with file:
        _check_group(file, path, seen=set())
        yield file


def dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """A data set of real numbers by its path in a file that :func:`opened` gave.

    Raises:
        ValueError: If there is none, or it holds something else.
    """
    group, _, leaf = name.strip("/").rpartition("/")
    found = file.get(group) if group else file
    if not isinstance(found, h5py.Group) or leaf not in found:
        raise ValueError(f"{path}: expected a data set {name!r}, got {sorted(_names(file))}")
    return plain_dataset(found, leaf, path, "fiu")


def _check_group(group: h5py.Group, path: Path, seen: set[int]) -> None:
    """Refuse whatever leads out of the file; a group that is met again is not entered again."""
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:
        return
    seen.add(address)
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(  # noqa: TRY004 - the file is wrong, not an argument's type
                f"{path}: expected {name!r} to lie in the file, got a {type(link).__name__}"
            )
        if isinstance(group[name], h5py.Group):
            _check_group(group[name], path, seen)
        elif isinstance(group[name], h5py.Dataset):
            plain_dataset(group, name, path, _KINDS)


def _names(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
    return found
