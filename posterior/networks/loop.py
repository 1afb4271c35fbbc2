"""Loop-unrolled reconstruction: a learned iteration with the physics in every step, invertible throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast, final, get_args

import torch
from torch import Tensor, nn

from posterior.conditioners import ConditionerFactory, ResidualConditioner
from posterior.invertible import Invertible, check_image, check_ndim
from posterior.layers.activations import Activation
from posterior.layers.actnorm import ActNorm
from posterior.layers.gradient_update import GradientHead, GradientUpdate, to_eta, to_model, weighted
from posterior.layers.hint import HINTCoupling
from posterior.layers.irim import irim_coupling
from posterior.layers.unconditioned import Unconditioned
from posterior.misfit import Misfit
from posterior.networks.first_guess import FirstGuess
from posterior.networks.multiscale import check_counts
from posterior.reversible import MemoryLike, Sequential, as_memory

LoopStep = Literal["irim", "unet", "hint"]
Update = Literal["additive", "affine"]
Start = Literal["gradient", "zero", "network"]

_STRIDES: dict[str, tuple[int, ...]] = {"irim": (4,), "unet": (1, 2, 4, 8), "hint": ()}
"""Patch sizes of a block's couplings, one after the other."""


@final
@dataclass(frozen=True)
class Known:
    """What is known of the samples of a batch besides their data.

    Args:
        context: Images (B, K, ...) that a start by a network reads, such as the background model.
        weight: Preconditioner of every gradient, which broadcasts to (B, C, ...).
    """

    context: Tensor | None = None
    weight: Tensor | None = None


_NOTHING = Known()


@final
class LoopUnrolled(nn.Module):
    r"""An invertible recurrent inference machine: T iterations on an image eta and a memory s.

    .. math::
        s &\leftarrow f_t\big(s;\; N_t(p \odot \psi'(\eta) \odot \nabla_x \Phi(\psi(\eta), d)), \eta\big), \\
        (\eta, s) &\leftarrow B_t(\eta, s), \qquad t = 1 \ldots T, \qquad x = \psi(\eta)

    The network holds no physics: a :class:`~posterior.misfit.Misfit` comes with every call, so a batch may
    mix geometries, and operators may change from call to call, as with random source encodings. Weights
    differ from one iteration to the next. Memory does not grow with iterations or depth.

    **Cost** a sample and iteration in applications of (F or J, J^T): (1, 1) forward. Backward (2, 2) under
    memory "invert"; (1, 1) with its ``keep``, which keeps one image an iteration, and under "store"; (2, 2)
    under "checkpoint". "store" spares the first iteration's where nothing before it wants a gradient. A start
    at the gradient, or by a network, adds (1, 1) to the forward.

    Args:
        in_channels: Channels C of x and eta.
        memory_channels: Channels S of the memory.
        iterations: Number T of iterations.
        step: The block B_t: "irim" one coupling on patches of 4 cells between two uses of a rotation; "unet"
            a chain of such with patches of 1, 2, 4 and 8 cells, the invertible U-net; "hint" one HINT
            coupling.
        update: f_t: "additive" N_t(g) is added to the first C channels of s; "affine" a network of N_t(g) and
            eta scales and shifts all of s.
        link: psi, cell by cell, such as :class:`~posterior.layers.activations.Sigmoid` for bounds or
            :class:`~posterior.layers.units.LinearUnits` for units; None for the identity.
        start: eta at the start: "gradient" -N_0 of the gradient at eta = 0, a scaled migration; "zero"; or
            "network", with s, by a :class:`~posterior.networks.first_guess.FirstGuess` from that gradient.
        context_channels: Channels K of the context that such a network reads besides.
        hidden: Hidden channels of all networks inside.
        strides: Patch sizes of the couplings of "irim" and "unet", in place of the above; every size of x
            must be a multiple of each.
        reflectors: Householder reflections of a rotation; None for as many as channels.
        memory: What is kept for the backward pass, see :class:`posterior.reversible.Memory`.
        ndim: Number of spatial axes, 1 to 3.

    Raises:
        ValueError: If an option is unknown or out of range, or ``memory`` divides the batch, whose samples
            belong to their operators.

    Source:
        Putzky and Welling, Invert to learn to invert, NeurIPS 2019; for seismic data, with HINT and the
        learned scale N_t: InvertibleNetworks.jl's loop-unrolled network.

    Example:
        >>> from posterior.linear_map import LinearMap
        >>> from posterior.linear_misfit import LinearMisfit
        >>> net = LoopUnrolled(memory_channels=3, iterations=2, step="irim", hidden=4)
        >>> misfit = LinearMisfit(LinearMap(lambda x: 2.0 * x, lambda d: 2.0 * d), (1, 8, 8))
        >>> net.reconstruct(torch.randn(5, 1, 8, 8), misfit).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self,
        in_channels: int = 1,
        memory_channels: int = 7,
        *,
        iterations: int = 8,
        step: LoopStep = "unet",
        update: Update = "additive",
        link: Activation | None = None,
        start: Start = "gradient",
        context_channels: int = 0,
        hidden: int = 32,
        strides: Sequence[int] | None = None,
        reflectors: int | None = None,
        memory: MemoryLike = "invert",
        ndim: int = 2,
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        check_counts(in_channels=in_channels, iterations=iterations)
        for name, value, allowed in (
            ("step", step, LoopStep),
            ("update", update, Update),
            ("start", start, Start),
        ):
            if value not in get_args(allowed):
                raise ValueError(f"expected {name} among {list(get_args(allowed))}, got {value!r}")
        self.memory = as_memory(memory)
        if self.memory.chunk:
            raise ValueError(
                f"expected memory without chunk, as samples go with their operators, got {self.memory.chunk}"
            )
        self.in_channels, self.memory_channels, self.ndim = in_channels, memory_channels, ndim
        self.link = link
        network = partial(ResidualConditioner, hidden=hidden, ndim=ndim)
        head = partial(
            GradientHead,
            in_channels,
            memory_channels,
            network=network if update == "affine" else None,
            ndim=ndim,
        )
        chosen = _STRIDES[step] if strides is None else tuple(strides)
        if bool(chosen) == (step == "hint"):
            raise ValueError(f'expected strides for step "irim" or "unet" alone, got {chosen} for {step!r}')
        block = partial(
            _block, in_channels + memory_channels, network, chosen, hidden=hidden, reflectors=reflectors
        )
        if context_channels and start != "network":
            raise ValueError(f'expected start "network" where there is a context, got {start!r}')
        self.scale = ActNorm(in_channels, ndim=ndim) if start == "gradient" else None
        guess = partial(FirstGuess, in_channels, memory_channels, context_channels, width=hidden, ndim=ndim)
        self.first_guess = guess() if start == "network" else None
        self.heads = nn.ModuleList(head() for _ in range(iterations))
        self.blocks = nn.ModuleList(block(ndim=ndim) for _ in range(iterations))

    def at(self, misfit: Misfit, weight: Tensor | None = None) -> Sequential:
        """The iterations with the physics of a batch, as a map of joint images (B, C + S, ...) given data.

        It shares the weights, and stays right whatever misfit is used next.
        """
        layers: list[Invertible] = []
        for head, block in zip(self.heads, self.blocks, strict=True):
            head = cast("GradientHead", head)
            layers.append(GradientUpdate(misfit, head, link=self.link, weight=weight))
            layers.append(Unconditioned(cast("Invertible", block)))
        return Sequential(layers, self.memory)

    def forward(
        self, eta: Tensor, s: Tensor, d: Tensor, misfit: Misfit, *, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Iterate from (eta, s); returns both at the end.

        Args:
            eta: Image in the space of the link, (B, C, ...).
            s: Memory, (B, S, ...).
            d: Data, (B, ...).
            misfit: Phi for these samples.
            weight: p for these samples, see :class:`Known`.
        """
        state, _ = self.at(misfit, weight)(self._join(eta, s), d)
        return self._split(state)

    def inverse(
        self, eta: Tensor, s: Tensor, d: Tensor, misfit: Misfit, *, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Undo :meth:`forward`."""
        state, _ = self.at(misfit, weight).inverse(self._join(eta, s), d)
        return self._split(state)

    def initial(self, d: Tensor, misfit: Misfit, known: Known = _NOTHING) -> tuple[Tensor, Tensor]:
        """The state (eta, s) to start from, for data d; s is zero unless a network starts."""
        zeros = d.new_zeros((len(d), self.in_channels + self.memory_channels, *misfit.model_shape[1:]))
        eta, s = self._split(zeros)
        if self.scale is None and self.first_guess is None:
            return eta, s
        gradient = to_eta(misfit.gradient(to_model(eta, self.link), d), eta, self.link)
        gradient = weighted(gradient, known.weight)
        if self.first_guess is not None:
            return self._split(self.first_guess(gradient, known.context))
        assert self.scale is not None
        return -self.scale(gradient)[0], s

    def reconstruct(
        self, d: Tensor, misfit: Misfit, *, known: Known = _NOTHING, eta: Tensor | None = None
    ) -> Tensor:
        """Return x (B, C, ...) for data d.

        Args:
            d: Data, (B, ...).
            misfit: Phi for these samples.
            known: What else is known of them.
            eta: Image to start from, in the space of the link; None for :meth:`initial`.
        """
        if eta is None:
            eta, s = self.initial(d, misfit, known)
        else:
            s = eta.new_zeros((len(eta), self.memory_channels, *eta.shape[2:]))
        eta, _ = self(eta, s, d, misfit, weight=known.weight)
        return to_model(eta, self.link)

    def _join(self, eta: Tensor, s: Tensor) -> Tensor:
        check_image("eta", eta, self.in_channels, self.ndim)
        check_image("s", s, self.memory_channels, self.ndim)
        return torch.cat((eta, s), 1)

    def _split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        eta, s = state.split((self.in_channels, self.memory_channels), 1)
        return eta, s


def _block(
    channels: int,
    network: ConditionerFactory,
    strides: Sequence[int],
    *,
    hidden: int,
    reflectors: int | None,
    ndim: int,
) -> Invertible:
    """A chain of i-RIM couplings, one for each patch size; one HINT coupling where there is none."""
    if not strides:
        return HINTCoupling(channels, conditioner=network, permute="both", reflectors=reflectors, ndim=ndim)
    couple = partial(irim_coupling, channels, hidden=hidden, reflectors=reflectors, memory="store", ndim=ndim)
    return Sequential([couple(stride=stride) for stride in strides], "store")
