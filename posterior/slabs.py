"""Slabs of an image: where to cut it so that a network that sees only so far runs on one part at a time."""

from __future__ import annotations

import math
import re
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast, final

from torch import Tensor, nn

_UNITS = {"": 1, **{f"{p}B": 1000**i for i, p in enumerate(("", "K", "M", "G", "T"))}}
_UNITS |= {f"{p}IB": 1024**i for i, p in enumerate(("K", "M", "G", "T"), start=1)}


@final
@dataclass(frozen=True)
class Footprint:
    """What it takes to evaluate a network on a part of an image.

    Attributes:
        halo: Cells to every side of a part that its result depends on. Farther ones do not matter, so what
            the network pads at a cut does not either.
        numbers: Numbers a cell that are alive at the peak of its value and gradient. What a library of
            convolutions allocates for itself is not among them.
        casts: How many more there are where it runs in a lower precision than the image has.
        stride: Parts begin at multiples of it, and the halo is one.
    """

    halo: int
    numbers: int
    casts: int = 0
    stride: int = 1


class Slab(NamedTuple):
    """The cells [start, stop) along one axis, of an image (B, C, ...), and [first, last) with their halo."""

    axis: int
    start: int
    stop: int
    first: int
    last: int

    def own(self, image: Tensor) -> Tensor:
        """The part of an image that is this slab's, a view."""
        return image.narrow(self.axis, self.start, self.stop - self.start)

    def seen(self, image: Tensor) -> Tensor:
        """That part with its halo, a view."""
        return image.narrow(self.axis, self.first, self.last - self.first)

    def cropped(self, value: Tensor) -> Tensor:
        """The slab's own part of what was computed from :meth:`seen`, a view."""
        return value.narrow(self.axis, self.start - self.first, self.stop - self.start)

    def padded(self, grad: Tensor) -> Tensor:
        """The transpose of :meth:`cropped`: zeros in the halo."""
        shape = list(grad.shape)
        shape[self.axis] = self.last - self.first
        whole = grad.new_zeros(shape)
        self.cropped(whole).copy_(grad)
        return whole


@final
@dataclass(frozen=True)
class Slabs:
    """Cuts images along their longest axis, as few times as a budget allows, into parts of similar size.

    Args:
        budget: Bytes that the evaluation on one part, and its gradient, may take.
        halvings: How often parts were halved since, because memory ran out before the budget.

    Raises:
        ValueError: If the budget is not positive.
    """

    budget: int
    halvings: int = 0

    def __post_init__(self) -> None:
        if self.budget <= 0:
            raise ValueError(f"expected a positive budget in bytes, got {self.budget}")

    def cut(self, shape: Sequence[int], footprint: Footprint, cell: int) -> list[Slab]:
        """Where to cut images of a shape; one slab where the whole is within the budget.

        Args:
            shape: (B, C, ...).
            footprint: Of the network.
            cell: Bytes a cell, halo included, that its evaluation takes.

        Raises:
            ValueError: If not even the thinnest slab is within the budget; the message names what is.
        """
        # Of equal axes the last: by the size of the others torch chooses its convolution on a CPU.
        axis = max(range(2, len(shape)), key=lambda one: (shape[one], one))
        size, stride, halo = shape[axis], footprint.stride, footprint.halo
        layer = cell * shape[0] * math.prod(shape[2:]) // size
        thickness = size
        if size * layer > self.budget:
            thickness = (self.budget // layer - 2 * halo) // stride * stride
        if thickness < stride:
            least = layer * min(size, stride + 2 * halo)
            raise ValueError(
                f"expected a slab budget of at least {least} bytes, the least for one slab of "
                f"{min(size, stride + 2 * halo)} of {size} cells, halo included, of images of shape "
                f"{tuple(shape)}, got {self.budget}"
            )
        thickness = max(stride, thickness >> self.halvings)
        count = -(-size // thickness)
        thickness = -(-size // (count * stride)) * stride
        return [
            Slab(axis, start, min(size, start + thickness), max(0, start - halo), min(size, end + halo))
            for start in range(0, size, thickness)
            for end in [start + thickness]
        ]

    def halved(self) -> Slabs:
        """The same budget, but parts of half the thickness."""
        return replace(self, halvings=self.halvings + 1)


class Limited(ABC):
    """A layer whose network may run over slabs.

    Attributes:
        slabs: How images are cut; None for not at all.
        conditioner: The network.
    """

    slabs: Slabs | None = None
    conditioner: nn.Module


def limit_memory(module: nn.Module, budget: int | str) -> None:
    """Let every coupling in ``module`` run over slabs where its conditioner would take more than a budget.

    Results do not change but for rounding. A slab's conditioner is evaluated with the halo that it needs, so
    thin slabs cost time.

    Args:
        module: A layer, chain or network; one that was trained without slabs will do.
        budget: Bytes that one conditioner may take for its value and gradient, beside the images, such as
            "2GB".

    Raises:
        ValueError: If a conditioner does not tell its footprint: it may see the whole image at once.
    """
    for layer in module.modules():
        if not isinstance(layer, Limited):
            continue
        if footprint(layer.conditioner) is None:
            raise ValueError(
                f"expected conditioners with a footprint for a slab budget, got "
                f"{type(layer.conditioner).__name__}, which may see the whole image"
            )
        if layer.slabs is None or layer.slabs.budget != parse_bytes(budget):
            layer.slabs = Slabs(parse_bytes(budget))


def footprint(conditioner: nn.Module) -> Footprint | None:
    """What a conditioner tells about itself; None where it tells nothing."""
    own = getattr(conditioner, "footprint", None)
    return cast("Footprint | None", own()) if callable(own) else None


def parse_bytes(size: int | str) -> int:
    """Bytes from a number of them or from a text such as "20GB", "512 MiB" or "1.5e9".

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(size, int):
        return size
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?(?:[eE]\d+)?)\s*([A-Za-z]*)\s*", size)
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError(f'expected bytes, or a text such as "20GB" or "512MiB", got {size!r}')
    return int(float(match[1]) * _UNITS[match[2].upper()])
