"""Conditional HINT: a joint density of two images that is, by construction, p(x | y) p(y)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import cast, final

import torch
from torch import Tensor, nn

from posterior.conditioners import ConditionerFactory, DenseConditioner, ResidualConditioner
from posterior.invertible import check_image, check_ndim
from posterior.lanes import Lanes, TwoLanes
from posterior.layers.conditional_hint import AdapterFactory, conditional_hint_steps
from posterior.layers.elementwise import Elementwise
from posterior.layers.squeeze import check_divisible
from posterior.networks.base import InvertibleNetwork
from posterior.networks.multiscale import (
    SqueezeChoice,
    assemble,
    build_squeeze,
    check_counts,
    check_precision,
    scale_channels,
    scale_memories,
    take_apart,
)
from posterior.reversible import MemoryLike
from posterior.walk import Step


@final
class ConditionalHINT(InvertibleNetwork):
    r"""Two lanes, x and y: y goes its own way to z_y, x goes to z_x given y as it is on that way.

    .. math:: \log p(x, y) = \log N(z_x; 0, I) + \log N(z_y; 0, I) +
        \log|\det \partial z_x / \partial x| + \log|\det \partial z_y / \partial y|

    of which the terms of x are log p(x | y), and those of y log p(y). :meth:`forward` and :meth:`inverse` are
    the conditional maps x <-> z_x given y, with their log-determinant; :meth:`joint` and
    :meth:`joint_inverse` map both lanes, :meth:`encode_y` and :meth:`decode_y` that of y.

    Each of L scales squeezes both lanes, applies K layers (see
    :func:`posterior.layers.conditional_hint.conditional_hint_steps`), and is done with half of either lane's
    channels, but for the last one. With ``scales=0`` nothing is squeezed: K layers at one resolution. Latents
    have the shape of their images. Memory does not grow with ``steps``.

    Args:
        in_channels: Channels C of x; at least 2 where nothing is squeezed.
        cond_channels: Channels K' of y; the same.
        hidden: Hidden channels of the conditioners.
        scales: Number of scales L; every size of x and of y must be a multiple of 2^L.
        steps: Number K of layers at each scale.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors, with ``scales=0``.
        memory: What is kept for the backward pass, one choice or one a scale, see
            :class:`posterior.reversible.Memory`.
        squeeze: Of both lanes, see :class:`~posterior.networks.hint.HINT`.
        adapter: Where y has another size than x, builds what takes y's lane to the size of x's, from its
            number of channels in and out: ``partial(Resample, ratio=0.5)``, see
            :class:`~posterior.layers.conditional_hint.Resample`, or any module. None: sizes agree.
        shared: See :class:`~posterior.layers.hint.HINTCoupling`.
        recursion: See there.
        conditioner: Builds each coupling's network from its channels in and out; None for a residual one.
        transform: The couplings' family of functions; None for an affine one.
        dtype: Precision in which conditioners run, such as ``torch.bfloat16``; the state keeps its own.
        split: Whether half of the channels is done after every scale but the last.

    Shapes:
        x, zx: (B, C, nx, nz), or with other axes. y, zy: (B, K', nx, nz). logdet: (B,).

    Raises:
        ValueError: If a size is not a multiple of 2^L, sizes differ without an adapter, or shapes do not fit.

    Source:
        Kruse et al., HINT: Hierarchical invertible neural transport for density estimation and Bayesian
        inference, AAAI 2021, section 3.3; over scales: InvertibleNetworks.jl's conditional HINT.

    Example:
        >>> net = ConditionalHINT(in_channels=1, cond_channels=2, hidden=8, scales=2, steps=2)
        >>> x, y = torch.randn(4, 1, 16, 16), torch.randn(4, 2, 16, 16)
        >>> zx, zy, logdet_x, logdet_y = net.joint(x, y)
        >>> zx.shape, zy.shape
        (torch.Size([4, 1, 16, 16]), torch.Size([4, 2, 16, 16]))
    """

    def __init__(
        self,
        in_channels: int,
        cond_channels: int,
        *,
        hidden: int = 64,
        scales: int = 3,
        steps: int = 8,
        ndim: int = 2,
        memory: MemoryLike | Sequence[MemoryLike] = "invert",
        squeeze: SqueezeChoice = "haar",
        adapter: AdapterFactory | None = None,
        shared: bool = False,
        recursion: int | None = None,
        conditioner: ConditionerFactory | None = None,
        transform: Elementwise | None = None,
        dtype: torch.dtype | None = None,
        split: bool = True,
    ) -> None:
        super().__init__()
        check_ndim(ndim, vectors=not scales)
        check_counts(in_channels=in_channels, cond_channels=cond_channels, steps=steps)
        if scales < 0:
            raise ValueError(f"expected scales of at least 0, got {scales}")
        self.in_channels, self.cond_channels, self.ndim = in_channels, cond_channels, ndim
        self.num_scales, self.split, self.same_size = scales, split, adapter is None
        dense = partial(DenseConditioner, hidden=hidden)
        residual = partial(ResidualConditioner, hidden=hidden, ndim=ndim)
        layer = partial(
            conditional_hint_steps,
            conditioner=conditioner or (dense if ndim == 0 else residual),
            transform=transform,
            adapter=adapter,
            shared=shared,
            recursion=recursion,
            dtype=dtype,
            ndim=ndim,
        )
        widths = [
            scale_channels(channels, scales, split=split, ndim=ndim) if scales else [channels]
            for channels in (in_channels, cond_channels)
        ]
        chains = []
        for width_x, width_y, own in zip(*widths, scale_memories(memory, max(scales, 1)), strict=True):
            lanes = ((width_y, True), (width_x, False)) if scales else ()
            squeezes = [Step(build_squeeze(squeeze, width, ndim), on_y) for width, on_y in lanes]
            layers = [step for _ in range(steps) for step in layer(width_x, width_y)]
            chains.append(TwoLanes(squeezes + layers, own))
        self.chains = nn.ModuleList(chains)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x to z_x and log|det dz_x/dx|, given y = c."""
        zx, _, logdet, _ = self.joint(x, self._given(c))
        return zx, logdet

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map z_x to x and log|det dx/dz_x|, given y = c."""
        y = self._given(c)
        self._check_lanes(z=z, y=y)
        # x is met by y as it was after each scale: y's lane goes ahead, alone.
        ends_y, _ = self._walk_y(y)
        x, parts = self._take_apart(z)
        logdet = z.new_zeros(z.shape[0])
        for level, chain in self._coarsest_first():
            x, _, change, _ = chain.inverse(_with_part(x, parts, level), ends_y[level])
            logdet = logdet + change
        return x.contiguous(), logdet

    def joint(self, x: Tensor, y: Tensor) -> Lanes:
        """Map both images: (z_x, z_y, log|det dz_x/dx|, log|det dz_y/dy|)."""
        self._check_lanes(x=x, y=y)
        logdet_x, logdet_y = x.new_zeros(x.shape[0]), y.new_zeros(y.shape[0])
        ends_x, ends_y = [], []
        for chain in self._chains():
            x, y, change_x, change_y = chain(x, y)
            logdet_x, logdet_y = logdet_x + change_x, logdet_y + change_y
            ends_x.append(x)
            ends_y.append(y)
            x, y = self._go_on(x), self._go_on(y)
        return Lanes(self._assemble(ends_x), self._assemble(ends_y), logdet_x, logdet_y)

    def joint_inverse(self, zx: Tensor, zy: Tensor) -> Lanes:
        """Undo :meth:`joint`: (x, y, log|det dx/dz_x|, log|det dy/dz_y|)."""
        self._check_lanes(zx=zx, zy=zy)
        (x, parts_x), (y, parts_y) = self._take_apart(zx), self._take_apart(zy)
        logdet_x, logdet_y = zx.new_zeros(zx.shape[0]), zy.new_zeros(zy.shape[0])
        for level, chain in self._coarsest_first():
            lanes = chain.inverse(_with_part(x, parts_x, level), _with_part(y, parts_y, level))
            x, y = lanes.x, lanes.y
            logdet_x, logdet_y = logdet_x + lanes.logdet_x, logdet_y + lanes.logdet_y
        return Lanes(x.contiguous(), y.contiguous(), logdet_x, logdet_y)

    def encode_y(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map y alone: (z_y, log|det dz_y/dy|)."""
        self._check("y", y, self.cond_channels)
        ends, logdet = self._walk_y(y)
        return self._assemble(ends), logdet

    def decode_y(self, zy: Tensor) -> tuple[Tensor, Tensor]:
        """Undo :meth:`encode_y`: (y, log|det dy/dz_y|)."""
        self._check("zy", zy, self.cond_channels)
        y, parts = self._take_apart(zy)
        logdet = zy.new_zeros(zy.shape[0])
        for level, chain in self._coarsest_first():
            y, change = chain.inverse_y(_with_part(y, parts, level))
            logdet = logdet + change
        return y.contiguous(), logdet

    def _walk_y(self, y: Tensor) -> tuple[list[Tensor], Tensor]:
        """The lane of y after each scale, and the log-determinant."""
        ends, logdet = [], y.new_zeros(y.shape[0])
        for chain in self._chains():
            y, change = chain.forward_y(y)
            logdet = logdet + change
            ends.append(y)
            y = self._go_on(y)
        return ends, logdet

    def _go_on(self, end: Tensor) -> Tensor:
        """What of a scale's end goes on to the next scale."""
        return end.chunk(2, 1)[0] if self.split else end

    def _assemble(self, ends: Sequence[Tensor]) -> Tensor:
        """The latent image from the ends of all scales."""
        if not self.num_scales:
            return ends[0].contiguous()
        parts = [end.chunk(2, 1)[1] for end in ends[:-1]] if self.split else []
        return assemble(ends[-1], parts, self.num_scales)

    def _take_apart(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The coarsest end, and what was done after each of the other scales, finest first."""
        return take_apart(z, self.num_scales, split=self.split) if self.num_scales else (z, [])

    def _chains(self) -> Sequence[TwoLanes]:
        return cast("Sequence[TwoLanes]", self.chains)

    def _coarsest_first(self) -> Iterable[tuple[int, TwoLanes]]:
        return reversed(list(enumerate(self._chains())))

    def _given(self, y: Tensor | None) -> Tensor:
        if y is None:
            raise ValueError(f"expected an image y with {self.cond_channels} channels as condition, got None")
        return y

    def _check(self, name: str, image: Tensor, channels: int) -> None:
        check_image(name, image, channels, self.ndim)
        check_precision(name, image, self)
        check_divisible(name, image, 2**self.num_scales)

    def _check_lanes(self, **lanes: Tensor) -> None:
        """Check an image of x's lane, then one of y's, each under its name."""
        (name_x, x), (name_y, y) = lanes.items()
        self._check(name_x, x, self.in_channels)
        self._check(name_y, y, self.cond_channels)
        sizes = x.shape[2:] if self.same_size else y.shape[2:]
        if y.shape != (expected := (len(x), self.cond_channels, *sizes)):
            raise ValueError(
                f"expected {name_y} of shape {expected} beside {name_x} of shape {tuple(x.shape)}, got "
                f"{tuple(y.shape)}{': lanes of different sizes need an adapter' if self.same_size else ''}"
            )


def _with_part(x: Tensor, parts: Sequence[Tensor], level: int) -> Tensor:
    """A scale's end from what went on and what was done."""
    return torch.cat((x, parts[level]), 1) if level < len(parts) else x
