"""What a whole network tells about itself, so that a density and its samples can be built on it."""

from __future__ import annotations

from abc import ABC

from posterior.invertible import Invertible


class InvertibleNetwork(Invertible, ABC):
    """An invertible map from images to latents of the same shape, which knows the shapes it takes.

    Attributes:
        in_channels: Channels C of x and z.
        cond_channels: Channels K' of the condition; 0 for none.
        ndim: Number of spatial axes.
    """

    in_channels: int
    cond_channels: int
    ndim: int
