"""Networks trained by InvertibleNetworks.jl, read into this package's layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner, convolution
from posterior.interop.jld2 import SavedNetwork, Setting, read
from posterior.interop.julia_steps import Step, read_scales, splits
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Affine
from posterior.layers.hint import HINTCoupling
from posterior.networks.multiscale import MultiScale, SqueezeChoice, build_squeeze, scale_memories
from posterior.reversible import MemoryLike, Sequential


@final
@dataclass(frozen=True)
class JuliaCheckpoint:
    """A network read from a file, with what the file says of it."""

    network: MultiScale
    """In float32 and evaluation mode, its ActNorms initialised. ``.double()`` and ``.to`` work as ever."""
    scales: int
    steps: int
    """Flow steps at each scale."""
    hidden: int
    """Hidden channels of the residual blocks."""
    settings: dict[str, Setting]
    """Every number and text at the file's root."""
    logdet: NDArray[np.floating]
    """Recorded log-determinant a cell of training batches, (epochs, batches); (0, 0) if none was."""
    square: NDArray[np.floating]
    """Recorded |z|^2 a cell of training batches, (epochs, batches); 1 in the mean if z is standard normal."""


def load(
    path: str | Path,
    *,
    memory: MemoryLike | Sequence[MemoryLike] = "invert",
    bounds: tuple[float, float] = (0.5, 1.0),
    squeeze: SqueezeChoice = "checkerboard",
) -> JuliaCheckpoint:
    r"""Read a multi-scale HINT or Glow that a training script of InvertibleNetworks.jl saved.

    Of each flow step, ActNorm, 1x1 convolution and coupling, with r, t the two halves of the block's output:

    .. math::
        z = s \odot x + b, \quad z = H(v_3) H(v_2) H(v_1) x, \quad
        z_a = (s_0 + (s_1 - s_0)\,\sigma(r)) \odot x_a + t

    Part a is the first half of the channels in a Glow, the last in a HINT, whose halves may be transformed in
    the same way first: as many levels as the file has blocks a step, one block for all parts of a level.
    Kernels are flipped, for Julia's convolution is one and torch's a correlation; the block's last layer is
    the adjoint of a convolution, which is a convolution with the kernel flipped once more.

    The latent has the shape of x with every scale's part at its place in space, where Julia gives a vector.
    Images keep the axes that h5py shows: the last one is Julia's first.

    The file tells neither the bounds nor the squeeze, nor that there is one (a Glow without ``split_scales``
    has none and cannot be read). A wrong choice may give a network that inverts all the same: the recorded
    log-determinant is the test of the reading.

    Args:
        path: A JLD2 file with the network's ``get_params`` under the name ``Params``.
        memory: What is kept for the backward pass, for all scales or one for each; see
            :class:`posterior.reversible.Memory`.
        bounds: (low, high) of Julia's ``SigmoidLayer``; its default there is (0, 1).
        squeeze: "checkerboard", "haar", or what builds a squeeze from its number of channels in.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds something else, or its parameters do not make such a network.

    Source:
        InvertibleNetworks.jl: Orozco et al., Journal of Open Source Software 2024, 9(99), 6554; HINT: Kruse
        et al., AAAI 2021.

    Example:
        >>> saved = load("network.jld2")
        >>> images, _ = saved.network.inverse(torch.randn(16, saved.network.in_channels, 64, 64))
    """
    saved = read(path)
    scales = read_scales(saved)
    first, ndim = scales[0][0], scales[0][0].ndim
    # A lower bound of 0 is never approached, since r >= 0 (ReLU): in its place a tiny one changes no bit.
    transform = Affine(bounds=(bounds[0] or float(np.finfo(np.float32).tiny), bounds[1]))
    flow = partial(_flow_step, transform=transform)
    chains = [
        Sequential([build_squeeze(squeeze, scale[0].channels, ndim), *map(flow, scale)], own)
        for scale, own in zip(scales, scale_memories(memory, len(scales)), strict=True)
    ]
    network = MultiScale(first.channels // 2**ndim, chains, split=splits(saved, scales), ndim=ndim)
    return JuliaCheckpoint(
        network=network.eval(),
        scales=len(scales),
        steps=len(scales[0]),
        hidden=first.hidden,
        settings=saved.settings,
        logdet=-_curve(saved, "flogdet"),
        square=_curve(saved, "floss"),
    )


def _flow_step(step: Step, transform: Affine) -> Sequential:
    """ActNorm, 1x1 convolution, coupling; a member of the scale's chain, which decides what is kept."""
    channels, ndim = step.channels, step.ndim
    # Julia's ActNorm may turn channels over, ours does not: Q (s x + b) = Q S (|s| x + S b) with S the signs
    # of s, a product of reflections along the axes of those channels.
    turned = torch.eye(channels)[step.scale < 0]
    shift = step.shift * step.scale.sign()
    norm = ActNorm(channels, ndim=ndim)
    norm.load_state_dict({"log_scale": step.scale.abs().log(), "bias": shift, "initialised": torch.ones(())})
    # The last vector acts first.
    vectors = torch.cat((torch.stack(step.reflectors[::-1]), turned))
    mixing = Conv1x1(channels, reflectors=len(vectors), ndim=ndim)
    mixing.load_state_dict({"vectors": vectors})
    hint = partial(HINTCoupling, shared=True, min_channels=1, recursion=len(step.blocks) - 1)
    coupling = (hint if step.hint else Coupling)(
        channels, conditioner=partial(_conditioner, step.blocks), transform=transform, ndim=ndim
    )
    return Sequential([norm, mixing, coupling], "store")


def _conditioner(blocks: Sequence[dict[str, Tensor]], in_channels: int, out_channels: int) -> nn.Module:
    """The residual block of so many channels in, with correlations, and the ReLU behind it."""
    block = next(block for block in blocks if block["W1"].shape[1] == in_channels)
    hidden, kernel, ndim = len(block["b1"]), block["W2"].shape[-1], block["W2"].ndim - 2
    residual = ResidualConditioner(in_channels, out_channels, hidden=hidden, ndim=ndim, activation="relu")
    residual.middle = convolution(hidden, hidden, kernel=kernel, ndim=ndim)
    axes = tuple(range(2, ndim + 2))
    residual.load_state_dict(
        {
            "first.weight": block["W1"].flip(axes),
            "first.bias": block["b1"],
            "middle.weight": block["W2"].flip(axes),
            "middle.bias": block["b2"],
            # An adjoint: channels trade places, and a second flip undoes the first.
            "head.weight": block["W3"].transpose(0, 1),
            "head.bias": torch.zeros(out_channels),
        }
    )
    return nn.Sequential(residual, nn.ReLU())


def _curve(saved: SavedNetwork, name: str) -> NDArray[Any]:
    """A recorded curve without the epochs that had not run, which are zero."""
    curve = np.atleast_2d(saved.curves.get(name, np.zeros((0, 0), np.float32)))
    return curve[curve.any(axis=1)]
