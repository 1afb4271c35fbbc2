"""Earth models that the user gives: binary, npy, HDF5 and 2-D SEG-Y files, with axes and units as stated.

Nothing is guessed, and what is stated is held against the values: an axis order that would turn depth into a
horizontal axis, bytes read in the wrong order and units that make no rock are errors that say what would fit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from physics.config.model_file import ModelFileConfig, Unit
from physics.errors import PhysicsError, UnitError
from physics.model_lines import read_line

Array = NDArray[np.float64]

_ENDINGS = {
    "binary": (".bin", ".raw", ".dat", ".f32", ".f64"),
    "npy": (".npy",),
    "hdf5": (".h5", ".hdf5", ".hdf"),
    "segy": (".sgy", ".segy"),
}
_UNITS: dict[Unit, tuple[float, float]] = {
    "m/s": (1.0, 1.0),
    "km/s": (1e3, 1.0),
    "s/m": (1.0, -1.0),
    "s/km": (1e3, -1.0),
    "s2/m2": (1.0, -0.5),
    "s2/km2": (1e3, -0.5),
}
"""Factor and exponent that make m/s of a value."""
_ROCK = (300.0, 9000.0)
"""The median velocity of an earth model lies between these [m/s]."""
_TYPICAL = (1000.0, 7000.0)
"""It mostly lies between these [m/s]: a unit that puts it there is proposed."""
_SCRAMBLED = 3.0
"""A reading that is rougher than the other by this factor is taken as the wrong one."""
_TREND, _ORDERED = 0.4, 0.8
"""Share of the variance in an axis' mean profile, and its rank correlation, that make it look like depth."""


def read_model(config: ModelFileConfig) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Read an earth model from a file as its configuration states.

    Args:
        config: Path, kind of file, axes, unit and spacing.

    Returns:
        Velocity ``(nx, nz)`` or ``(nx, ny, nz)`` [m/s], and the grid spacing of each axis [m].

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a SEG-Y file needs the package segyio, which is not installed.
        ValueError: If the file does not hold what is stated: size, axes, unit, byte order, spacing.

    Example:
        >>> vp, spacing = read_model(
        ...     ModelFileConfig(path="vp.bin", shape=(401, 1601), axes="zx", unit="km/s", spacing=(7.5, 7.5))
        ... )  # doctest: +SKIP
    """
    path = Path(config.path)
    if not path.is_file():
        raise FileNotFoundError(f"no such earth model file: {path}")
    found = None if config.sha256 is None else hashlib.sha256(path.read_bytes()).hexdigest()
    if found != config.sha256:
        raise PhysicsError(
            f"expected {path} with prior.file.sha256 = {config.sha256!r}, got {found!r}: another file"
        )
    values = _load(path, config)
    if values.ndim != len(config.axes):
        raise PhysicsError(
            f"expected {path} to hold {len(config.axes)} axes, {config.axes!r}, got an array of shape "
            f"{values.shape}: state its axes in prior.file.axes"
        )
    if config.shape is not None and values.shape != config.shape:
        raise PhysicsError(f"expected {path} of shape {config.shape} as stated, got {values.shape}")
    vp = _velocity(values, config)
    vp = np.transpose(vp, [config.axes.index(axis) for axis in sorted(config.axes)])
    if config.check:
        _check_depth(vp, config)
    return np.ascontiguousarray(vp, dtype=np.float32), config.spacing


def _load(path: Path, config: ModelFileConfig) -> NDArray[Any]:
    """The values in the file's own axes and unit."""
    kind = config.format if config.format != "auto" else _kind(path)
    if kind == "binary":
        return _load_binary(path, config)
    if kind == "npy":
        return np.load(path, allow_pickle=False)
    if kind == "hdf5":
        return _load_hdf5(path, config.dataset)
    return read_line(path, config)


def _kind(path: Path) -> str:
    for kind, endings in _ENDINGS.items():
        if path.suffix.lower() in endings:
            return kind
    raise PhysicsError(
        f"expected an ending that tells the kind of file ({', '.join(sum(_ENDINGS.values(), ()))}), "
        f"got {path.name!r}: state prior.file.format ({', '.join(_ENDINGS)})"
    )


def _load_binary(path: Path, config: ModelFileConfig) -> NDArray[Any]:
    if config.shape is None:
        raise PhysicsError(
            f"expected prior.file.shape for the binary file {path}, the cells of {config.axes!r}"
        )
    try:
        dtype = np.dtype(config.dtype)
    except TypeError:
        raise PhysicsError(f"expected prior.file.dtype such as '<f4', got {config.dtype!r}") from None
    need, size = int(np.prod(config.shape)) * dtype.itemsize, path.stat().st_size
    if size != need:
        raise PhysicsError(
            f"expected {path} to hold {config.shape} values of {dtype.itemsize} bytes ({config.dtype}), "
            f"{need} bytes, got {size}: check prior.file.shape and prior.file.dtype"
        )
    flat = np.fromfile(path, dtype=dtype)
    if config.check:
        _check_bytes(flat, config)
    return flat.reshape(config.shape, order=config.order)


def _load_hdf5(path: Path, dataset: str | None) -> NDArray[Any]:
    with h5py.File(path, "r") as file:
        found: list[str] = []
        file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
        if dataset is None or dataset not in found:
            raise PhysicsError(
                f"expected prior.file.dataset to name one of the datasets of {path}: {', '.join(found)}, "
                f"got {dataset!r}"
            )
        return np.asarray(file[dataset])


def _velocity(values: NDArray[Any], config: ModelFileConfig) -> Array:
    """Velocity [m/s] of values in the stated unit."""
    if values.dtype.kind not in "fiu":
        raise PhysicsError(f"expected {config.path} to hold real numbers, got dtype {values.dtype}")
    values = values.astype(np.float64)
    bad = ~(np.isfinite(values) & (values > 0.0))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise PhysicsError(
            f"expected {config.path} to hold finite positive values in {config.unit}, got {bad.sum()} of "
            f"{bad.size} that are not, the first at index {first}"
        )
    middle = float(np.median(values))
    if not _is_within(middle, config.unit, _ROCK):
        fitting = [repr(unit) for unit in _UNITS if _is_within(middle, unit, _TYPICAL)]
        hint = f"looks like {' or '.join(fitting)}, state prior.file.unit" if fitting else "is it a velocity?"
        raise UnitError(
            f"expected {config.path} in {config.unit}, got a median of {middle:.4g}, "
            f"{_to_si(middle, config.unit):.4g} m/s: {hint}"
        )
    return _to_si(values, config.unit)


def _to_si(value: Any, unit: Unit) -> Any:
    factor, exponent = _UNITS[unit]
    return factor * value**exponent


def _is_within(value: float, unit: Unit, limits: tuple[float, float]) -> bool:
    return limits[0] <= _to_si(value, unit) <= limits[1]


def _check_bytes(flat: NDArray[Any], config: ModelFileConfig) -> None:
    """Refuse values whose bytes or whose order look wrong while the other reading looks right."""
    if not _looks_right(flat, config) and _looks_right(flat.byteswap(), config):
        other = np.dtype(config.dtype).newbyteorder().str
        raise PhysicsError(
            f"expected {config.path} to hold positive values in {config.unit} of type {config.dtype}, got "
            f"values that only make sense with their bytes exchanged: state prior.file.dtype = {other!r}"
        )
    assert config.shape is not None  # checked by the caller
    other_order: Literal["C", "F"] = "F" if config.order == "C" else "C"
    stated = _roughness(flat.reshape(config.shape, order=config.order))
    other_way = _roughness(flat.reshape(config.shape, order=other_order))
    if stated > _SCRAMBLED * other_way:
        raise PhysicsError(
            f"expected neighbouring cells of {config.path} to be alike, got values {stated / other_way:.0f} "
            f"times as rough as with prior.file.order = {other_order!r}: state that, or check the order of "
            f"prior.file.shape {config.shape}"
        )


def _looks_right(flat: NDArray[Any], config: ModelFileConfig) -> bool:
    # Bytes in the wrong order may read as signalling NaN, which numpy reports.
    with np.errstate(all="ignore"):
        values = flat.astype(np.float64)
        if not np.isfinite(values).all() or values.min() <= 0.0:
            return False
    return _is_within(float(np.median(values)), config.unit, _ROCK)


def _roughness(values: NDArray[Any]) -> float:
    """Mean change from cell to cell over all axes."""
    with np.errstate(all="ignore"):
        steps = [np.abs(np.diff(values.astype(np.float64), axis=axis)).mean() for axis in range(values.ndim)]
    return float(np.mean(steps))


def _check_depth(vp: Array, config: ModelFileConfig) -> None:
    """Refuse a model in which another axis than the stated one looks like depth."""
    names = sorted(config.axes)
    trends = {name: _trend(vp, axis) for axis, name in enumerate(names)}
    share, order = trends["z"]
    if share > _TREND and order < -_ORDERED:
        raise PhysicsError(
            f"expected depth to point down in {config.path}, got velocities that decrease along z: the axis "
            "looks turned over; reverse it in the file, or set prior.file.check = false"
        )
    for name in names[:-1]:
        across, rising = trends[name]
        if across > max(_TREND, 2.0 * share) and rising > _ORDERED:
            exchanged = config.axes.translate(str.maketrans(f"{name}z", f"z{name}"))
            raise PhysicsError(
                f"expected depth along z, got velocities that increase along {name} in {config.path}, of "
                f"shape {vp.shape} as ({', '.join(f'n{n}' for n in names)}): depth looks like the wrong "
                f"axis; state prior.file.axes = {exchanged!r} instead of {config.axes!r} (that transposes "
                "it), or set prior.file.check = false"
            )


def _trend(vp: Array, axis: int) -> tuple[float, float]:
    """How much of the variance is a profile along an axis, and how steadily that increases (-1 to 1)."""
    profile = vp.mean(axis=tuple(other for other in range(vp.ndim) if other != axis))
    if np.ptp(profile) == 0.0:
        return 0.0, 0.0
    rank = profile.argsort(kind="stable").argsort()
    return float(profile.var() / vp.var()), float(np.corrcoef(np.arange(profile.size), rank)[0, 1])
