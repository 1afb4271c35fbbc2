"""Squeeze by one level of an orthogonal wavelet transform."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor

from posterior.layers.squeeze import Squeeze, along_each_axis, depth_to_space, space_to_depth
from posterior.layers.wavelet_filters import lattice, wavelet_filter


@final
class WaveletSqueeze(Squeeze):
    r"""One level of an orthogonal wavelet transform along every axis: sub-bands become channels.

    .. math:: \ell_n = \sum_k h_k x_{2(n - p) + k}, \quad u_n = \sum_k g_k x_{2(n - q) + k}

    with the image taken as periodic. Sub-bands are the outer index of the new channels, smooth ones first, in
    the order of :class:`~posterior.layers.squeeze.HaarSqueeze`; "db1" is that transform. The shifts p and q
    put the energy of each filter onto the block that the coefficient stands for, so that sub-bands stay
    aligned with a condition. The filters are applied as a lattice of reflections and shifts, so the map is
    orthonormal to rounding in any precision; sizes may be smaller than the filter.

    Args:
        wavelet: "db1" to "db10" or "sym2" to "sym10", see
            :func:`posterior.layers.wavelet_filters.wavelet_filter`. The number N is that of vanishing
            moments: a polynomial of degree below N leaves nothing in u, but at the seam of the period.
        ndim: Number of spatial axes d, 1 to 3.

    Raises:
        ValueError: If there is no such wavelet.

    Source:
        Daubechies, Ten lectures on wavelets, SIAM 1992, chapters 5 and 6; InvertibleNetworks.jl's wavelet
        layer.

    Example:
        >>> z, logdet = WaveletSqueeze("db2")(torch.randn(2, 3, 16, 8))
        >>> z.shape
        torch.Size([2, 12, 8, 4])
    """

    def __init__(self, wavelet: str = "db2", ndim: int = 2) -> None:
        super().__init__(ndim)
        taps = wavelet_filter(wavelet)
        self.wavelet = wavelet
        self._reflections = lattice(taps)
        centre = float(np.arange(len(taps)) @ np.square(taps))
        # Band n stands for cells 2n and 2n + 1, whose centre is 1/2; g is h reversed.
        self._shifts = [round((where - 0.5) / 2) for where in (centre, len(taps) - 1 - centre)]

    def squeeze(self, x: Tensor) -> Tensor:
        """Filter along every axis."""
        return along_each_axis(space_to_depth(x), self._analyse)

    def unsqueeze(self, z: Tensor) -> Tensor:
        """Undo the filters, which along different axes commute."""
        return depth_to_space(along_each_axis(z, self._synthesise))

    def _analyse(self, even: Tensor, odd: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        even, odd = _reflect(even, odd, *self._reflections[0])
        for angle in self._reflections[1:]:
            even, odd = _reflect(even, odd.roll(-1, axis), *angle)
        return even.roll(self._shifts[0], axis), odd.roll(self._shifts[1], axis)

    def _synthesise(self, low: Tensor, high: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        low, high = low.roll(-self._shifts[0], axis), high.roll(-self._shifts[1], axis)
        for angle in self._reflections[:0:-1]:
            low, high = _reflect(low, high, *angle)
            high = high.roll(1, axis)
        return _reflect(low, high, *self._reflections[0])


def _reflect(first: Tensor, second: Tensor, cos: float, sin: float) -> tuple[Tensor, Tensor]:
    """A reflection of the plane: its own inverse."""
    return torch.add(cos * first, second, alpha=sin), torch.sub(sin * first, second, alpha=cos)
