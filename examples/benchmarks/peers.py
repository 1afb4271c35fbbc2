"""The same conditional multi-scale Glow, built from the layers of other libraries.

Every flow step is ActNorm (or a global scale), a 1x1 convolution and a one-sided affine coupling with the
same conditioner; every scale begins with a squeeze and all but the last split off half. The condition comes
from the same pyramid. Needs: pip install normflows FrEIA nflows memcnn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import FrEIA.modules as freia
import memcnn
import normflows
import torch
import torch.nn.functional as F
from core_nets import CONDITION, shaken
from nflows import transforms as nflows
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.summary import ConditionPyramid

SCALES = 3


class Glow(nn.Module):
    """Squeeze, steps, split; ``step`` builds a flow step (x, c) -> (z, logdet) from channels and size."""

    def __init__(self, step: Callable[[int, int], nn.Module], steps: int, size: int) -> None:
        super().__init__()
        self.pyramid = ConditionPyramid(CONDITION, SCALES)
        self.scales, channels = nn.ModuleList(), 1
        for _ in range(SCALES):
            channels, size = 4 * channels, size // 2
            self.scales.append(nn.ModuleList(step(channels, size) for _ in range(steps)))
            channels //= 2

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to the latents of all scales, flat, and the log-determinant."""
        logdet, parts = x.new_zeros(len(x)), []
        for scale, condition in zip(self.scales, self.pyramid(c), strict=True):
            x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
            for step in scale:
                x, change = step(x, condition)
                logdet = logdet + change
            if len(parts) < SCALES - 1:
                x, part = x.chunk(2, 1)
                parts.append(part)
        return torch.cat([part.flatten(1) for part in (*parts, x)], 1), logdet


def conditioner(in_channels: int, out_channels: int, hidden: int) -> nn.Module:
    """The conditioner of every comparison: convolutions 3-1-3."""
    return ResidualConditioner(in_channels, out_channels, hidden=hidden, activation="relu")


class _WithCondition(nn.Module):
    """A conditioner that is handed its condition by the step, for couplings that know none."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.condition: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.net(torch.cat((x, self.condition), 1))


class NormflowsStep(nn.Module):
    """ActNorm, LU-factored 1x1 convolution, affine coupling with a sigmoid scale."""

    def __init__(self, channels: int, size: int, *, hidden: int) -> None:
        super().__init__()
        self.condition = _WithCondition(conditioner(channels // 2 + CONDITION, channels, hidden))
        self.flows = nn.ModuleList(
            (
                normflows.flows.ActNorm((channels, 1, 1)),
                normflows.flows.Invertible1x1Conv(channels, use_lu=True),
                normflows.flows.AffineCouplingBlock(
                    self.condition, scale_map="sigmoid", split_mode="channel"
                ),
            )
        )

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return (z, logdet)."""
        self.condition.condition, logdet = c, x.new_zeros(len(x))
        for flow in self.flows:
            x, change = flow(x)
            logdet = logdet + change
        return x, logdet


class FreiaStep(nn.Module):
    """FrEIA's all-in-one block: global scale, one-sided coupling, a fixed or a learned mixing of channels."""

    def __init__(self, channels: int, size: int, *, hidden: int, learned: bool = False) -> None:
        super().__init__()
        mixing = {"learned_householder_permutation": channels} if learned else {"permute_soft": True}
        self.block = freia.AllInOneBlock(
            [(channels, size, size)],
            [(CONDITION, size, size)],
            subnet_constructor=partial(conditioner, hidden=hidden),
            **mixing,
        )

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return (z, logdet)."""
        (z,), logdet = self.block([x], c=[c])
        return z, logdet


class NflowsStep(nn.Module):
    """ActNorm, LU-factored 1x1 convolution, affine coupling with a sigmoid scale."""

    def __init__(self, channels: int, size: int, *, hidden: int) -> None:
        super().__init__()

        class Net(nn.Module):
            def __init__(self, in_channels: int, out_channels: int) -> None:
                super().__init__()
                self.net = conditioner(in_channels + CONDITION, out_channels, hidden)

            def forward(self, x: Tensor, context: Tensor) -> Tensor:
                return self.net(torch.cat((x, context), 1))

        mask = torch.arange(channels) < channels // 2
        self.transform = nflows.CompositeTransform(
            [
                nflows.ActNorm(channels),
                nflows.OneByOneConvolution(channels),
                nflows.AffineCouplingTransform(mask, Net),
            ]
        )

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return (z, logdet)."""
        return self.transform(x, c)


class _OurStep(nn.Module):
    """Our layers on the joined image and condition, in the form that MemCNN inverts."""

    def __init__(self, channels: int, *, hidden: int) -> None:
        super().__init__()
        build = partial(conditioner, hidden=hidden)
        self.layers = nn.ModuleList(
            (ActNorm(channels), Conv1x1(channels), Coupling(channels, CONDITION, conditioner=build))
        )
        self.channels = channels

    def forward(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        x, c = joined.split((self.channels, CONDITION), 1)
        logdet = x.new_zeros(len(x))
        for layer in self.layers:
            x, change = layer(x, c) if isinstance(layer, Coupling) else layer(x)
            logdet = logdet + change
        return torch.cat((x, c), 1), logdet

    def inverse(self, joined: Tensor, _logdet: Tensor) -> Tensor:
        z, c = joined.split((self.channels, CONDITION), 1)
        for layer in reversed(self.layers):
            z, _ = layer.inverse(z, c) if isinstance(layer, Coupling) else layer.inverse(z)
        return torch.cat((z, c), 1)


class MemcnnStep(nn.Module):
    """Our layers under MemCNN's wrapper, which frees the input and rebuilds it by the inverse."""

    def __init__(self, channels: int, size: int, *, hidden: int) -> None:
        super().__init__()
        self.wrapped = memcnn.InvertibleModuleWrapper(_OurStep(channels, hidden=hidden), keep_input=False)
        self.channels = channels

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return (z, logdet); the condition travels with the image, since the wrapper knows one input."""
        joined, logdet = self.wrapped(torch.cat((x, c), 1))
        return joined[:, : self.channels], logdet


STEPS = {
    "normflows": NormflowsStep,
    "FrEIA": FreiaStep,
    "FrEIA, learned mixing": partial(FreiaStep, learned=True),
    "nflows": NflowsStep,
    "MemCNN": MemcnnStep,
}


def glow(library: str, *, steps: int, size: int, hidden: int = 64) -> nn.Module:
    """The network in that library's layers, its zero-initialised layers moved off zero."""
    torch.manual_seed(0)
    net = Glow(partial(STEPS[library], hidden=hidden), steps, size)
    return shaken(net)
