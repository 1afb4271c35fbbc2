"""What the training pairs say of the unknown: where it varies, its modes, how images scale to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from posterior import uq
from posterior.dataset import PairDataset
from posterior.report.splits import CHANNEL

Array = NDArray[Any]

MODES = 3
"""Principal modes of truths, and of images, that tests look along."""
MOST = 1000
"""Training pairs that are used at most."""


@final
@dataclass(frozen=True)
class Prior:
    """Statistics of training pairs, none of which is under test."""

    truths: Array
    """True sections, (N, nx, nz)."""
    var: Array
    """Variance of each cell, (nx, nz)."""
    modes: uq.Modes
    """Principal modes of the truths."""
    image_modes: uq.Modes
    """Principal modes of the migrated images."""
    scale: float
    """Factor from images to truths by least squares over all pairs: an estimate from y alone."""

    @classmethod
    def of(cls, pairs: PairDataset, scored: Array) -> Prior:
        """Read at most a thousand training pairs, evenly spaced.

        Args:
            pairs: Training pairs.
            scored: Cells that count, (nx, nz).

        Raises:
            ValueError: With fewer pairs than modes.
        """
        places = np.linspace(0, len(pairs) - 1, min(MOST, len(pairs))).round().astype(int)
        drawn = [pairs[int(place)] for place in places]
        truths = np.stack([x[CHANNEL].numpy() for x, _ in drawn])
        images = np.stack([y[0].numpy() for _, y in drawn])
        moments = uq.Moments()
        moments.update(truths)
        scale = float((images * truths)[:, scored].sum(dtype=np.float64) / (images**2)[:, scored].sum())
        modes, image_modes = (uq.principal_modes(stack, MODES, scored) for stack in (truths, images))
        return cls(truths, moments.var, modes, image_modes, scale)

    def reference(self, image: Array, rng: np.random.Generator) -> Array:
        """A point for TARP from the image and chance alone: the image, displaced by a training truth."""
        return uq.data_reference(self.scale * image, self.truths, rng=rng)
