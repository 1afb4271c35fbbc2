"""The cells around a model: absorbing layers, and the rows above a free surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from physics.errors import PhysicsError


@final
@dataclass(frozen=True)
class Padding:
    """How a model of ``shape`` is continued on every side.

    Absorbing layers replicate the model's edge. The rows above a free surface hold its mirror image; waves
    there are slaves of those below, so the adjoint takes nothing from them.

    Args:
        shape: Cells of the model, depth last.
        layer: Absorbing cells on every side; none above a free surface.
        mirror: Rows above a free surface at the first row of the model; 0 where there is none.

    Raises:
        ValueError: If the model has too few rows for its mirror image.
    """

    shape: tuple[int, ...]
    layer: int
    mirror: int = 0

    def __post_init__(self) -> None:
        if self.mirror >= self.shape[-1]:
            raise PhysicsError(
                f"expected more than {self.mirror} rows below a free surface, got shape {self.shape}"
            )

    @property
    def lower(self) -> tuple[int, ...]:
        """Cells before the model along every axis."""
        return (self.layer,) * (len(self.shape) - 1) + (self.mirror or self.layer,)

    @property
    def padded_shape(self) -> tuple[int, ...]:
        """Cells of the padded grid."""
        return tuple(lower + n + self.layer for lower, n in zip(self.lower, self.shape, strict=True))

    @property
    def inside(self) -> tuple[slice, ...]:
        """Where the model lies in the padded grid."""
        return tuple(slice(lower, lower + n) for lower, n in zip(self.lower, self.shape, strict=True))

    def pad(self, values: NDArray[Any]) -> NDArray[Any]:
        """Continue cell values: edges into the layers, the mirror image above a free surface."""
        top = 0 if self.mirror else self.layer
        widths = [(self.layer, self.layer)] * (len(self.shape) - 1) + [(top, self.layer)]
        padded = np.pad(values, widths, mode="edge")
        if self.mirror:
            padded = np.pad(padded, [(0, 0)] * (len(self.shape) - 1) + [(self.mirror, 0)], mode="reflect")
        return padded

    def pad_adjoint(self, values: NDArray[Any]) -> NDArray[Any]:
        """Adjoint of `pad`: an edge cell collects the layer that replicates it; mirror rows are dropped."""
        values = values[..., self.mirror :]
        for axis, n in enumerate(self.shape):
            before = 0 if self.mirror and axis == len(self.shape) - 1 else self.layer
            values = np.moveaxis(values, axis, 0)
            inner = values[before : before + n].copy()
            inner[0] += values[:before].sum(axis=0)
            inner[-1] += values[before + n :].sum(axis=0)
            values = np.moveaxis(inner, 0, axis)
        return np.ascontiguousarray(values)
