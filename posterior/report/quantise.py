"""Numbers for a page: arrays as small whole numbers in base64, with the error that this costs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bits = Literal[8, 16]


@final
@dataclass(frozen=True)
class Quantised:
    """An array as ``offset + step * code``; the largest code stands for a value that is not finite."""

    codes: NDArray[np.unsignedinteger[Any]]
    """Codes, uint8 or uint16, the array's shape."""
    offset: float
    """Value of code 0, in the array's unit."""
    step: float
    """Difference of two neighbouring codes, in the array's unit."""

    @property
    def error(self) -> float:
        """Largest departure of a value from the array's, half a step."""
        return 0.5 * self.step

    def values(self) -> NDArray[np.float64]:
        """The array as a reader of the page gets it; NaN where it was not finite."""
        values = self.offset + self.step * self.codes.astype(np.float64)
        values[self.codes == np.iinfo(self.codes.dtype).max] = np.nan
        return values

    def packed(self) -> dict[str, Any]:
        """Plain values for JSON: codes in base64, little-endian, the last axis fastest."""
        small = self.codes.astype(self.codes.dtype.newbyteorder("<"), copy=False)
        return {
            "bits": 8 * self.codes.dtype.itemsize,
            "offset": self.offset,
            "step": self.step,
            "codes": base64.b64encode(small.tobytes()).decode("ascii"),
        }


def quantise(values: ArrayLike, bits: Bits = 16) -> Quantised:
    r"""Round an array to evenly spaced values between its smallest and its largest finite one.

    .. math:: c = \mathrm{round}((v - \min v) / s), \qquad s = (\max v - \min v) / (2^{bits} - 2)

    Args:
        values: Array of any shape and unit.
        bits: Size of a code: 16 keep 65 535 values, 8 keep 255.

    Returns:
        Codes with offset and step; the error is at most half a step.

    Raises:
        ValueError: With other bits.

    Example:
        >>> quantise([0.0, 0.5, 1.0], bits=8).codes.tolist()
        [0, 127, 254]
    """
    if bits not in (8, 16):
        raise ValueError(f"expected 8 or 16 bits, got {bits}")
    array = np.asarray(values, dtype=np.float64)
    kind: type[np.unsignedinteger[Any]] = np.uint8 if bits == 8 else np.uint16
    empty = int(np.iinfo(kind).max)
    finite = np.isfinite(array)
    low, high = (float(array[finite].min()), float(array[finite].max())) if finite.any() else (0.0, 0.0)
    step = (high - low) / (empty - 1)
    codes = np.full(array.shape, empty, dtype=kind)
    codes[finite] = np.rint((array[finite] - low) / step) if step > 0.0 else 0
    return Quantised(codes, low, step)
