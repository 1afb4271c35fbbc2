"""The layer of conditional HINT: HINT couplings on two lanes, and a coupling from one lane to the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posterior.conditioners import ConditionerFactory, convolution
from posterior.invertible import Invertible
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Elementwise
from posterior.layers.hint import HINTCoupling
from posterior.layers.summarised import Summarised
from posterior.walk import Step

AdapterFactory = ConditionerFactory
"""Builds the module from one lane to the other from its number of channels in and out."""

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def conditional_hint_steps(
    channels: int,
    cond_channels: int,
    *,
    conditioner: ConditionerFactory,
    transform: Elementwise | None = None,
    adapter: AdapterFactory | None = None,
    permute: bool = True,
    shared: bool = False,
    recursion: int | None = None,
    dtype: torch.dtype | None = None,
    ndim: int = 2,
) -> list[Step]:
    r"""The steps of one conditional HINT layer, for :class:`posterior.lanes.TwoLanes`.

    .. math::
        y' = Q_y\, a_y(y), \quad z_y = F_y(y'), \qquad
        x' = F_x(Q_x\, a_x(x)), \quad z_x = f(x'; g(h(y')))

    with ActNorms a, orthogonal 1x1 convolutions Q and HINT couplings F, each within its lane. The last map
    changes all of x' given y'. Lanes may differ in channels, and in size where there is an h.

    Args:
        channels: Number of channels C of x, at least 2.
        cond_channels: Number of channels K of y, at least 2.
        conditioner: Builds each coupling's network from its number of channels in and out.
        transform: The family of f and of the HINT couplings' functions; None for an affine one.
        adapter: Builds h, which takes y' (B, K, ...) to (B, K, ...) of the size of x, such as
            :class:`Resample`. None: sizes agree, there is no h.
        permute: Whether there are the convolutions Q.
        shared: See :class:`~posterior.layers.hint.HINTCoupling`.
        recursion: See there.
        dtype: Precision in which conditioners run; the state keeps its own. None: as it comes.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors.

    Shapes:
        x: (B, C, ...). y: (B, K, ...).

    Source:
        Kruse et al., HINT: Hierarchical invertible neural transport for density estimation and Bayesian
        inference, AAAI 2021, section 3.3; as a layer of images: InvertibleNetworks.jl.
    """
    options: dict[str, Any] = {
        "conditioner": conditioner,
        "transform": transform,
        "dtype": dtype,
        "ndim": ndim,
    }

    def normalised(width: int) -> list[Invertible]:
        return [ActNorm(width, ndim=ndim), *([Conv1x1(width, ndim=ndim)] if permute else [])]

    def hint(width: int) -> HINTCoupling:
        return HINTCoupling(width, shared=shared, recursion=recursion, **options)

    across: Invertible = Coupling(channels, cond_channels, fixed=0, **options)
    if adapter is not None:
        across = Summarised(across, adapter(cond_channels, cond_channels))
    # The coupling across sees y before its own HINT coupling, so that one goes last.
    return [
        *(Step(layer, on_condition=True) for layer in normalised(cond_channels)),
        *(Step(layer, given_condition=False) for layer in (*normalised(channels), hint(channels))),
        Step(across),
        Step(hint(cond_channels), on_condition=True),
    ]


@final
class Resample(nn.Module):
    """A convolution, then linear interpolation to another size: a simple way from one lane to the other.

    Where one lane is several times finer, cells are passed over; strided convolutions keep what is in them.

    Args:
        in_channels: Channels of y.
        out_channels: Channels of the result.
        ratio: Size of the result over that of y, axis by axis, or one number for all; sizes are rounded.
        ndim: Number of spatial axes, 1 to 3.

    Shapes:
        y: (B, in_channels, ...). Result: (B, out_channels, ...).

    Raises:
        ValueError: If there is not one positive ratio for each axis.

    Example:
        >>> Resample(3, 5, ratio=(2.0, 0.5))(torch.randn(1, 3, 16, 16)).shape
        torch.Size([1, 5, 32, 8])
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, ratio: float | Sequence[float], ndim: int = 2
    ) -> None:
        super().__init__()
        self.convolution = convolution(in_channels, out_channels, ndim=ndim)
        self.ratio = tuple(ratio) if isinstance(ratio, Sequence) else (ratio,) * ndim
        if len(self.ratio) != ndim or not all(one > 0.0 for one in self.ratio):
            raise ValueError(f"expected a positive ratio for each of {ndim} axes, got {self.ratio}")
        self._mode = _MODES[ndim]

    def forward(self, y: Tensor) -> Tensor:
        """Return y's features at the other size."""
        sizes = [round(size * one) for size, one in zip(y.shape[2:], self.ratio, strict=True)]
        return F.interpolate(self.convolution(y), sizes, mode=self._mode)
