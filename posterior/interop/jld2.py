"""Julia's JLD2 files as training scripts of InvertibleNetworks.jl leave them: settings, curves, parameters.

JLD2 is HDF5. A Julia array appears with its axes reversed, which is torch's order: what is (kx, ky, in, out)
in Julia is (out, in, ky, kx) here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np
from numpy.typing import NDArray

Setting = int | float | str


@final
@dataclass(frozen=True)
class SavedNetwork:
    """What such a file holds; nothing is interpreted yet."""

    path: Path
    settings: dict[str, Setting]
    """Numbers and texts at the root, such as ``L``, ``K``, ``n_hidden`` and the learning rate."""
    curves: dict[str, NDArray[Any]]
    """Arrays of numbers at the root, such as recorded losses (epochs, batches)."""
    parameters: list[NDArray[Any]]
    """The arrays behind ``Params``, in the order of Julia's ``get_params``."""


def read(path: str | Path) -> SavedNetwork:
    """Read the settings, the curves and the network parameters of a JLD2 file.

    Args:
        path: A file with ``Params``, a vector of InvertibleNetworks.jl's ``Parameter``, at its root.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JLD2 file, or has no such ``Params``.

    Source:
        https://juliaio.github.io/JLD2.jl (format); InvertibleNetworks.jl, src/utils/parameter.jl.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"expected a JLD2 file at {path}, found none")
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path}: expected a JLD2 file, which is HDF5, got another kind of file")
    with h5py.File(path) as file:
        roots = {name: data[()] for name, data in file.items() if isinstance(data, h5py.Dataset)}
        if "Params" not in roots:
            found = ", ".join(sorted(file)) or "nothing"
            raise ValueError(f"{path}: expected a vector Params at the root, got {found}")
        references = np.ravel(roots.pop("Params"))
        parameters = [_parameter(file, reference, number) for number, reference in enumerate(references, 1)]
    return SavedNetwork(
        path,
        {name: setting for name, value in roots.items() if (setting := _setting(value)) is not None},
        {name: value for name, value in roots.items() if np.ndim(value) and value.dtype.kind in "iuf"},
        parameters,
    )


def _parameter(file: h5py.File, reference: Any, number: int) -> NDArray[Any]:
    """Follow an element of Params to its record (data, grad), and that record's data to the array."""
    record = _follow(file, reference)
    fields = () if record is None else record.dtype.names or ()
    data = _follow(file, record[()]["data"]) if record is not None and "data" in fields else None
    if data is None or data.dtype.kind != "f" or not data.ndim:
        found = f"fields {fields}" if data is None else f"{data.dtype} of shape {data.shape}"
        raise ValueError(
            f"{file.filename}: expected Params[{number}] to be a record (data, grad) whose data refers to an "
            f"array of floats, got {found}"
        )
    return data[()]


def _follow(file: h5py.File, reference: Any) -> h5py.Dataset | None:
    """The data set that an object reference points at, if it is one and does."""
    target = file[reference] if isinstance(reference, h5py.Reference) and reference else None
    return target if isinstance(target, h5py.Dataset) else None


def _setting(value: Any) -> Setting | None:
    """A scalar as a Python number or text; None for what is neither."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.item() if isinstance(value, np.number) else None
