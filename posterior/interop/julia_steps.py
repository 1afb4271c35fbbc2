"""The flow steps in a list of InvertibleNetworks.jl's parameters, told apart by their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import final

import numpy as np
import torch
from torch import Tensor

from posterior.interop.jld2 import SavedNetwork
from posterior.networks.multiscale import scale_channels


@final
@dataclass(frozen=True)
class Step:
    """The arrays of one flow step, in Julia's conventions but for the order of axes."""

    scale: Tensor
    shift: Tensor
    reflectors: tuple[Tensor, ...]
    blocks: tuple[dict[str, Tensor], ...]
    """W1, W2, W3, b1, b2 of the couplings' residual blocks, one a level of a HINT's recursion."""
    hint: bool
    """Whether it is a HINT's rather than a Glow's."""

    @property
    def channels(self) -> int:
        """Channels of the images it acts on."""
        return len(self.scale)

    @property
    def hidden(self) -> int:
        """Hidden channels of the residual blocks."""
        return len(self.blocks[0]["b1"])

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return self.blocks[0]["W1"].ndim - 2


def read_scales(saved: SavedNetwork) -> list[list[Step]]:
    """Group the parameters into flow steps, and these into scales, finest first.

    Raises:
        ValueError: If the parameters are not those of a multi-scale HINT or Glow, or contradict the
            ``L``, ``K`` or ``n_hidden`` beside them.

    Source:
        The order of parameters: InvertibleNetworks.jl, ``get_params`` in src/networks and src/layers.
    """
    scales = [list(group) for _, group in groupby(_steps(saved), key=lambda step: step.channels)]
    counts = [len(scale) for scale in scales]
    found = {"L": len(scales), "K": counts[0], "n_hidden": scales[0][0].hidden}
    recorded = {name: saved.settings.get(name, value) for name, value in found.items()}
    if recorded != found or counts != counts[:1] * len(scales):
        raise ValueError(
            f"{saved.path}: expected Params of a network with {recorded}, got {counts} steps of "
            f"{[scale[0].channels for scale in scales]} channels with n_hidden {found['n_hidden']}"
        )
    return scales


def splits(saved: SavedNetwork, scales: list[list[Step]]) -> bool:
    """Whether half of the channels is done after each scale, which is told by how their number grows."""
    ndim, channels = scales[0][0].ndim, [scale[0].channels for scale in scales]
    for split in (True, False):
        if channels == scale_channels(max(1, channels[0] // 2**ndim), len(scales), split=split, ndim=ndim):
            return split
    raise ValueError(
        f"{saved.path}: expected numbers of channels that begin with a multiple of {2**ndim} (a squeeze) and "
        f"grow {2 ** (ndim - 1)}-fold or {2**ndim}-fold at each further scale, got {channels}"
    )


def _steps(saved: SavedNetwork) -> Iterator[Step]:
    """Read step after step: HINT's parameters have the blocks before the reflectors, Glow's its one after."""
    cursor = _Cursor(saved)
    while cursor.shape or not cursor.taken:
        scale = cursor.take("s of an ActNorm", "channels")
        if not scale.all():
            raise ValueError(
                f"{saved.path}: expected no zero in Params[{cursor.taken}], a scale, got {scale}"
            )
        channels = len(scale)
        shift = cursor.take("b of an ActNorm", channels)
        blocks: list[dict[str, Tensor]] = []
        while cursor.at_kernel:
            blocks.append(_block(cursor, channels // 2 ** len(blocks)))
        hint = bool(blocks)
        reflectors = tuple(cursor.take(f"v{number} of a 1x1 convolution", channels) for number in (1, 2, 3))
        yield Step(scale, shift, reflectors, tuple(blocks or [_block(cursor, channels)]), hint)


def _block(cursor: _Cursor, channels: int) -> dict[str, Tensor]:
    """The residual block of a coupling: half of its channels in, scale and shift of the other half out."""
    axes = 3 if len(cursor.shape) == 5 else 2
    first = cursor.take("W1 of a residual block", "hidden", channels // 2, *[3] * axes)
    hidden = len(first)
    middle = cursor.take("W2 of a residual block", hidden, hidden, *["odd"] * axes)
    last = cursor.take("W3 of a residual block", hidden, channels, *[3] * axes)
    biases = [cursor.take(f"{name} of a residual block", hidden) for name in ("b1", "b2")]
    return dict(zip(("W1", "W2", "W3", "b1", "b2"), (first, middle, last, *biases), strict=True))


@final
class _Cursor:
    """Takes one parameter after the other and checks its shape."""

    def __init__(self, saved: SavedNetwork) -> None:
        self.saved, self.taken = saved, 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the next parameter; () behind the last."""
        rest = self.saved.parameters[self.taken : self.taken + 1]
        return rest[0].shape if rest else ()

    @property
    def at_kernel(self) -> bool:
        """Whether the next parameter is the kernel of a convolution."""
        return len(self.shape) > 1

    def take(self, name: str, *shape: int | str) -> Tensor:
        """The next parameter in float32; a word in ``shape`` stands for any size, repeated for the same."""
        got = self.shape
        sizes: dict[str, int] = {}
        wanted = [
            sizes.setdefault(want, size) if isinstance(want, str) else want
            for want, size in zip(shape, got, strict=False)
        ]
        if len(shape) != len(got) or wanted != list(got) or not sizes.get("odd", 1) % 2:
            raise ValueError(
                f"{self.saved.path}: expected Params[{self.taken + 1}] to be {name} of shape "
                f"({', '.join(map(str, shape))}), got {got or f'only {self.taken} parameters'}"
            )
        array = self.saved.parameters[self.taken]
        self.taken += 1
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
