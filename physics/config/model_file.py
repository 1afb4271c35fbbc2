"""Configuration of an earth model that the user gives as a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from physics.config.checks import STRICT, require

Format = Literal["auto", "binary", "npy", "hdf5", "segy"]
Unit = Literal["m/s", "km/s", "s/m", "s/km", "s2/m2", "s2/km2"]


@dataclass(frozen=True, kw_only=True)
class ModelFileConfig:
    """Where an earth model lies and how its numbers are to be read; nothing of it is guessed."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    path: str
    """The file."""
    spacing: tuple[float, ...]
    """Grid spacing (dx, dz) or (dx, dy, dz) [m], whatever the order of the file's axes."""
    axes: str = "xz"
    """Axes of the file's array, the slowest first: "xz", "zx", "xyz", "zyx", ..."""
    unit: Unit = "m/s"
    """Unit of the values: velocity, slowness or squared slowness."""
    format: Format = "auto"
    """Kind of file; "auto" goes by its ending."""
    shape: tuple[int, ...] | None = None
    """Cells of each axis in the order of `axes` (binary files)."""
    dtype: str = "<f4"
    """Type of a value with its byte order, as numpy writes it (binary files)."""
    order: Literal["C", "F"] = "C"
    """"C" when the last of `axes` varies fastest in the file, "F" when the first does (binary files)."""
    dataset: str | None = None
    """Name of the dataset (HDF5 files)."""
    sha256: str | None = None
    """Sum of the file's bytes; with it, a run that is repeated on another file is refused."""
    check: bool = True
    """Refuse values that contradict what is stated: axes that look exchanged, bytes that look scrambled,
    spacings other than a SEG-Y file's headers. To be switched off for a model that only looks wrong."""

    def __post_init__(self) -> None:
        known = sorted(self.axes) in (["x", "z"], ["x", "y", "z"])
        require(known, "prior.file.axes", "the letters x and z, or x, y and z, each once", self.axes)
        fits = len(self.spacing) == len(self.axes) and all(h > 0.0 for h in self.spacing)
        ordered = ", ".join(f"d{axis}" for axis in sorted(self.axes))
        require(fits, "prior.file.spacing", f"({ordered}) in metres for axes {self.axes!r}", self.spacing)
        if self.shape is not None:
            fits = len(self.shape) == len(self.axes) and min(self.shape) > 1
            ordered = ", ".join(f"n{axis}" for axis in self.axes)
            require(fits, "prior.file.shape", f"({ordered}), each at least 2", self.shape)
