"""The network that every comparison of the reversible core uses, and one training step of it."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from posterior import ConditionalGlow
from posterior.conditioners import ResidualConditioner
from posterior.reversible import Memory

CONDITION = 8
"""Channels of the condition at every scale."""

MODES: dict[str, tuple[Memory, torch.dtype | None]] = {
    "store": (Memory("store"), None),
    "checkpoint": (Memory("checkpoint"), None),
    "invert": (Memory("invert"), None),
    "invert, keep": (Memory("invert", keep=True), None),
    "invert, keep, chunk 1": (Memory("invert", keep=True, chunk=1), None),
    "bfloat16, store": (Memory("store"), torch.bfloat16),
    "bfloat16, invert": (Memory("invert"), torch.bfloat16),
    "bfloat16, invert, keep": (Memory("invert", keep=True), torch.bfloat16),
}
"""What the chain keeps and the conditioners' precision."""


def glow(
    mode: str,
    *,
    steps: int,
    hidden: int = 64,
    scales: int = 3,
    activation: str = "relu",
    precision: torch.dtype = torch.float32,
) -> ConditionalGlow:
    """A conditional multi-scale Glow with its zero-initialised layers moved off zero: all gradients work."""
    memory, dtype = MODES[mode]
    torch.manual_seed(0)
    net = ConditionalGlow(
        1,
        CONDITION,
        scales=scales,
        steps=steps,
        memory=memory,
        squeeze="checkerboard",
        conditioner=partial(ResidualConditioner, hidden=hidden, activation=activation),
        dtype=dtype,
    ).to(precision)
    return shaken(net)


def shaken(net: nn.Module) -> nn.Module:
    """Move every parameter by a little noise."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return net


def data(batch: int, size: int, precision: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """A batch of images and conditions, laid out channels-last as a convolutional summary gives them."""
    generator = torch.Generator().manual_seed(1)
    shapes = (batch, 1, size, size), (batch, CONDITION, size, size)
    x, c = (torch.randn(shape, generator=generator, dtype=precision) for shape in shapes)
    return x, c.contiguous(memory_format=torch.channels_last)


def train_step(net: nn.Module, x: Tensor, c: Tensor) -> None:
    """One negative log-likelihood and its gradients, also of the condition, as a summary network needs."""
    for parameter in net.parameters():
        parameter.grad = None
    z, logdet = net(x, c.requires_grad_())
    (0.5 * z.square().sum() - logdet.sum()).div(x.numel()).backward()
    c.grad = None
