"""Activation normalisation: a scale and a shift for each channel."""

from __future__ import annotations

import math
from typing import Any, final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from posterior.invertible import Invertible, ReverseStep, check_image, check_ndim


@final
class ActNorm(Invertible):
    r"""Scale and shift every channel; the first training batch sets both so that it leaves normalised.

    .. math:: z = e^{a} \odot x + b, \qquad \log|\det| = P \sum_c a_c

    with P the number of cells. The first *training* batch in the *forward* direction fixes a and b to zero
    mean and unit variance a channel; evaluation and the inverse direction never do. The flag ``initialised``
    is a buffer, so it survives saving and loading. Where ``torch.distributed`` runs, that batch's moments are
    summed over all processes, so all start
    equal: every process must take part in the first training batch.

    Args:
        channels: Number of channels C.
        ndim: Number of spatial axes, 1 to 3.

    Shapes:
        x, z: (B, C, ...). logdet: (B,). The condition is not used.

    Source:
        Kingma and Dhariwal, Glow, NeurIPS 2018, section 3.1.
    """

    initialised: Tensor

    def __init__(self, channels: int, *, ndim: int = 2) -> None:
        super().__init__()
        check_ndim(ndim)
        self.channels, self.ndim = channels, ndim
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))
        # Mirrors the buffer once it is true: reading the buffer at every call would stall an accelerator.
        self._known_initialised = False

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (e^a x + b, P sum(a))."""
        check_image("x", x, self.channels, self.ndim)
        if self.training and not self._known_initialised:
            self._initialise_once(x)
        return torch.addcmul(self._wide(self.bias), x, self._wide(self.log_scale.exp())), self._logdet(x)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ((z - b) e^-a, -P sum(a))."""
        check_image("z", z, self.channels, self.ndim)
        return (z - self._wide(self.bias)) * self._wide(self.log_scale.neg().exp()), -self._logdet(z)

    @torch.no_grad()
    def reverse_step(self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor) -> ReverseStep:
        """Closed form: dL/dx = e^a dL/dz, dL/da = sum(x dL/dx) + P sum(dL/dlogdet), dL/db = sum(dL/dz)."""
        x, _ = self.inverse(z)
        grad_x = grad_z * self._wide(self.log_scale.exp())
        grad_scale = self._sum(x * grad_x) + self._cells(x) * grad_logdet.sum()
        return ReverseStep(x, grad_x, None, self._select(grad_scale, self._sum(grad_z)))

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor
    ) -> ReverseStep:
        """Closed form of the mirrored step: x = (z - b) e^-a."""
        z = torch.addcmul(self._wide(self.bias), x, self._wide(self.log_scale.exp()))
        grad_z = grad_x * self._wide(self.log_scale.neg().exp())
        grad_scale = -self._sum(x * grad_x) - self._cells(x) * grad_logdet.sum()
        return ReverseStep(z, grad_z, None, self._select(grad_scale, -self._sum(grad_z)))

    @torch.no_grad()
    def _initialise_once(self, x: Tensor) -> None:
        if not self.initialised:
            mean, std = _channel_moments(x)
            # A channel without variation (a muted one) keeps scale 1.
            std = torch.where(std > 1e-6, std, torch.ones_like(std))
            self.log_scale.copy_(-std.log())
            self.bias.copy_(-mean / std)
            self.initialised.fill_(True)  # noqa: FBT003
        self._known_initialised = True

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known_initialised = False

    def _wide(self, values: Tensor) -> Tensor:
        return values.view(-1, *(1,) * self.ndim)

    def _sum(self, image: Tensor) -> Tensor:
        return image.sum((0, *range(2, image.ndim)))

    def _cells(self, image: Tensor) -> int:
        return math.prod(image.shape[2:])

    def _logdet(self, x: Tensor) -> Tensor:
        return (self.log_scale.sum() * self._cells(x)).expand(x.shape[0])

    def _select(self, grad_scale: Tensor, grad_bias: Tensor) -> list[Tensor]:
        pairs = ((self.log_scale, grad_scale), (self.bias, grad_bias))
        return [grad for parameter, grad in pairs if parameter.requires_grad]


def _channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation a channel over batch, space and all processes, in float64."""
    wide = x.double().movedim(1, 0).flatten(1)
    sums = torch.stack([torch.full_like(wide[:, 0], wide.shape[1]), wide.sum(1), wide.square().sum(1)])
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(sums)
    mean, square = sums[1] / sums[0], sums[2] / sums[0]
    return mean, (square - mean.square()).clamp_min(0.0).sqrt()
