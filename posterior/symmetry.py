"""Exact symmetries of a linear imaging problem: of its pairs, and so of its posterior.

Data that are linear in x with noise relative to the signal turn with x's sign: (x, y) -> (-x, -y), but for
what y says of the background. Sources and receivers that are spread symmetrically make a mirrored pair a
pair. A prior with these symmetries, such as one trained with these augmentations has, gives a posterior with
p(x | y) = p(g x | g y) for every element g of the group they generate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import final

import torch
from torch import Tensor


def scaled_channels(names: Sequence[str]) -> tuple[bool, ...]:
    """Which channels of y follow x's amplitude: all but those whose name says "background"."""
    return tuple("background" not in name.lower() for name in names)


@final
@dataclass(frozen=True)
class Symmetry:
    """One element of the group: mirror some horizontal axes, then keep or reverse the sign; its own inverse.

    Args:
        mirrored: axes of a batch (B, C, ..., nz) to mirror.
        sign: 1 or -1.
        follows: which channels of y take the sign; all when empty.
    """

    mirrored: tuple[int, ...] = ()
    sign: int = 1
    follows: tuple[bool, ...] = ()

    def of_x(self, x: Tensor) -> Tensor:
        """The image of x (B, C, ...); volume and distances are preserved."""
        return self.sign * x.flip(self.mirrored)

    def of_y(self, y: Tensor) -> Tensor:
        """The image of y (B, K, ...)."""
        follows = torch.tensor(self.follows or (True,) * y.shape[1], device=y.device)
        signs = torch.where(follows, self.sign, 1).view(-1, *(1,) * (y.ndim - 2))
        return y.flip(self.mirrored) * signs


def symmetry_group(
    ndim: int, y_channels: Sequence[str] = (), *, mirror: bool, reverse: bool
) -> tuple[Symmetry, ...]:
    """All elements, the identity first.

    Args:
        ndim: number of spatial axes; all but the last, the depth, are horizontal.
        y_channels: names, for :func:`scaled_channels`.
        mirror: include the mirror image of every horizontal axis.
        reverse: include the reversed sign.
    """
    horizontal = range(2, ndim + 1)
    subsets = [
        tuple(axis for axis, chosen in zip(horizontal, choice, strict=True) if chosen)
        for choice in product((False, True), repeat=len(horizontal))
    ]
    return tuple(
        Symmetry(mirrored, sign, scaled_channels(y_channels))
        for mirrored in (subsets if mirror else [()])
        for sign in ((1, -1) if reverse else (1,))
    )
