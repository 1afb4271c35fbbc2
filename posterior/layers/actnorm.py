"""Activation normalisation: a scale and a shift for each channel, from the first training batch."""

from __future__ import annotations

from typing import Any, final

import torch
import torch.distributed as dist
from torch import Tensor

from posterior.invertible import check_image, check_ndim
from posterior.layers.diagonal import DiagonalAffine


@final
class ActNorm(DiagonalAffine):
    r"""Scale and shift every channel; the first training batch sets both so that it leaves normalised.

    .. math:: z = e^{a} \odot x + b, \qquad \log|\det| = n \sum_c a_c

    with n the number of cells. The first *training* batch in the *forward* direction fixes a and b to zero
    mean and unit variance a channel; evaluation and the inverse direction never do. The flag ``initialised``
    is a buffer, so it survives saving and loading. Where ``torch.distributed`` runs, that batch's moments are
    summed over all processes, so all start equal: every process must take part in the first training batch.

    Args:
        channels: Number of channels C.
        ndim: Number of spatial axes, 1 to 3, or 0 for vectors.

    Shapes:
        x, z: (B, C, ...). logdet: (B,). The condition is not used.

    Source:
        Kingma and Dhariwal, Glow, NeurIPS 2018, section 3.1.
    """

    initialised: Tensor

    def __init__(self, channels: int, *, ndim: int = 2) -> None:
        check_ndim(ndim, vectors=True)
        super().__init__((channels,))
        self.channels, self.ndim = channels, ndim
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))
        # Mirrors the buffer once it is true: reading the buffer at every call would stall an accelerator.
        self._known_initialised = False

    @property
    def needs_whole_batch(self) -> bool:
        """Whether the next training batch initialises the layer."""
        return self.training and not self._known_initialised and not bool(self.initialised)

    def check(self, name: str, image: Tensor) -> None:
        """Raise a ValueError unless the image has C channels and the right number of axes."""
        check_image(name, image, self.channels, self.ndim)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (e^a x + b, n sum(a))."""
        self.check("x", x)
        self.initialise_from(x)
        return super().forward(x)

    @torch.no_grad()
    def initialise_from(self, x: Tensor) -> None:
        """Set scale and shift from a batch, in training mode and if none did so before."""
        if not self.training or self._known_initialised:
            return
        if not self.initialised:
            mean, std = _channel_moments(x)
            # A channel without variation (a muted one) keeps scale 1, whatever its unit.
            std = torch.where(std > 1e-6 * (mean.abs() + std), std, torch.ones_like(std))
            self.log_scale.copy_(-std.log())
            self.bias.copy_(-mean / std)
            self.initialised.fill_(True)  # noqa: FBT003
        self._known_initialised = True

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known_initialised = False


def _channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation a channel over batch, space and all processes, in float64."""
    wide = x.double().movedim(1, 0).flatten(1)
    sums = torch.stack([torch.full_like(wide[:, 0], wide.shape[1]), wide.sum(1), wide.square().sum(1)])
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(sums)
    mean, square = sums[1] / sums[0], sums[2] / sums[0]
    return mean, (square - mean.square()).clamp_min(0.0).sqrt()
