"""Frequency filters of records."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from physics.algebra import LinearOperator
from physics.errors import PhysicsError, as_array
from physics.geometry import Acquisition


@final
class BandPass(LinearOperator):
    r"""Zero-phase band-pass with smooth flanks; its own adjoint.

    .. math:: B = P^T \mathcal{F}^{-1} H \mathcal{F} P, \qquad
              H = \sin^2 \tfrac{\pi}{2} \mathrm{clip}\left(\tfrac{f - f_1}{f_2 - f_1}, 0, 1\right)
                  \sin^2 \tfrac{\pi}{2} \mathrm{clip}\left(\tfrac{f_4 - f}{f_4 - f_3}, 0, 1\right)

    P pads the record with as many zeros, so that its end does not reach its beginning; H is real and even.

    Args:
        survey: The survey, for shape and sampling of the records.
        corners: Frequencies f1 <= f2 < f3 <= f4 [Hz]; equal ones make a sharp flank, f1 = f2 = 0 a low-pass.
        dtype: Precision of the results.

    Raises:
        ValueError: If the corners do not increase or go beyond the Nyquist frequency.

    Example:
        >>> low = BandPass(survey, corners=(2.0, 4.0, 20.0, 30.0)) @ d
    """

    def __init__(
        self,
        survey: Acquisition,
        *,
        corners: tuple[float, float, float, float],
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(survey.record_shape, survey.record_shape, dtype)
        f1, f2, f3, f4 = corners
        nyquist = 0.5 / survey.dt
        if not 0.0 <= f1 <= f2 < f3 <= f4 <= nyquist:
            raise PhysicsError(
                f"expected corners 0 <= f1 <= f2 < f3 <= f4 <= {nyquist:g} Hz (Nyquist), got {corners}"
            )
        self._size = next_fast_len(2 * survey.nt - 1, real=True)
        frequencies = rfftfreq(self._size, survey.dt)
        response = _flank(frequencies - f1, f2 - f1) * _flank(f4 - frequencies, f4 - f3)
        self._response = response[:, None].astype(self.dtype)

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """The filtered records."""
        records = as_array(x, self.domain_shape, "records", self.dtype)
        spectrum = rfft(records, self._size, axis=1)
        return np.ascontiguousarray(
            irfft(spectrum * self._response, self._size, axis=1)[:, : records.shape[1]]
        )

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """The filtered records: the operator is its own adjoint."""
        return self.forward(y)


def _flank(distance: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Squared sine from 0 at the outer corner to 1 at ``width`` inside it; a step at the corner if sharp."""
    if width == 0.0:
        return (distance >= 0.0).astype(np.float64)
    return np.sin(0.5 * np.pi * np.clip(distance / width, 0.0, 1.0)) ** 2
