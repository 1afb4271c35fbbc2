"""HINT: a coupling whose two parts are themselves transformed by couplings, and their parts in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, final, get_args

import torch
from torch import Tensor, nn

from posterior.conditioners import ConditionerFactory
from posterior.invertible import Invertible, ReverseStep, Trace, check_image, trainable
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling, check_condition
from posterior.layers.elementwise import Elementwise
from posterior.linearise import DataConditioner

Permute = Literal["none", "lower", "both", "full"]


class _Member(NamedTuple):
    """A layer and what it acts on: everything, the first ``stop`` channels, or those from ``start`` on."""

    layer: Invertible
    start: int = 0
    stop: int | None = None
    flipped: bool = False
    """Whether its inverse is applied when the whole goes forward."""

    def take(self, x: Tensor) -> Tensor:
        """The channels it acts on."""
        return x[:, self.start : self.stop]

    def put(self, x: Tensor, part: Tensor) -> Tensor:
        """The image x with these channels replaced."""
        if self.start:
            return torch.cat((x[:, : self.start], part), 1)
        return torch.cat((part, x[:, self.stop :]), 1) if self.stop else part


@final
class HINTCoupling(Invertible):
    r"""Change part b of the channels given part a, and both parts in the same way among themselves.

    .. math::
        F(x) = \begin{pmatrix} F_a(x_a) \\ f(F_b(x_b); g(x_a, c)) \end{pmatrix}, \qquad
        \log|\det F| = \log|\det F_a| + \log|\det F_b| + \sum \log|\partial f|

    F_a and F_b are of the same form down to parts of few channels, where they are the identity: the Jacobian
    is a triangle filled down to these parts, where that of one coupling has a single block. In training every
    conditioner is evaluated twice for each of its couplings, once on the way there and once on the way back.

    Args:
        channels: Number of channels C; part a is the first C // 2 of them.
        cond_channels: Number of channels K of the condition, which every coupling sees; 0 for none.
        conditioner: Builds each coupling's network g from its number of channels in and out.
        transform: The family of f, see :class:`~posterior.layers.coupling.Coupling`; None for an affine one.
        permute: An orthogonal 1x1 convolution Q at the top level: "full" F(Q x); "both" Q^T F(Q x), with one
            Q; "lower" F(x_a, Q x_b); "none".
        shared: Whether all parts of a level share one coupling; their sizes must agree.
        min_channels: Parts are divided further while they have more channels than this.
        recursion: Most levels below the top one; None for as many as ``min_channels`` allows.
        reflectors: Number of Householder reflections in Q; None for as many as Q has rows.
        dtype: Precision in which conditioners run; the state keeps its own. None: as it comes.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors.

    Shapes:
        x, z: (B, C, ...). c: (B, K, ...), the size of x. logdet: (B,).

    Raises:
        ValueError: If there are fewer than 2 channels and no condition, if an option is out of range, or if
            parts that should share a coupling differ in size.

    Source:
        Kruse et al., HINT: Hierarchical invertible neural transport for density estimation and Bayesian
        inference, AAAI 2021, section 3.2; permutations and shared couplings: InvertibleNetworks.jl.

    Example:
        >>> from posterior.conditioners import ResidualConditioner
        >>> layer = HINTCoupling(8, conditioner=ResidualConditioner, permute="full")
        >>> z, logdet = layer(torch.randn(2, 8, 16, 16))
        >>> logdet.shape
        torch.Size([2])
    """

    def __init__(
        self,
        channels: int,
        cond_channels: int = 0,
        *,
        conditioner: ConditionerFactory,
        transform: Elementwise | None = None,
        permute: Permute = "none",
        shared: bool = False,
        min_channels: int = 4,
        recursion: int | None = None,
        reflectors: int | None = None,
        dtype: torch.dtype | None = None,
        ndim: int = 2,
    ) -> None:
        super().__init__()
        _check_options(permute, min_channels, recursion)
        self.channels, self.cond_channels, self.ndim = channels, cond_channels, ndim
        self.permute, self.shared = permute, shared
        widths = (channels // 2, channels - channels // 2)
        options: dict[str, Any] = {"conditioner": conditioner, "transform": transform}
        options |= {"dtype": dtype, "ndim": ndim}
        mixed = widths[1] if permute == "lower" else channels
        self.mixing = None if permute == "none" else Conv1x1(mixed, reflectors=reflectors, ndim=ndim)
        self.coupling = Coupling(channels, cond_channels, swap=True, **options)
        self.first: HINTCoupling | None = None
        self.second: HINTCoupling | None = None
        if channels > min_channels and recursion != 0:
            options |= {"shared": shared, "min_channels": min_channels}
            options["recursion"] = None if recursion is None else recursion - 1
            self.first, self.second = _branches(widths, cond_channels, options)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (F(x), log-determinant)."""
        return self.record(x, c)[:2]

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (F^-1(z), log-determinant of this direction)."""
        return self.record(z, c, inverse=True)[:2]

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """Call either direction; the trace holds those of the members, in the order of this direction."""
        check_image("z" if inverse else "x", x, self.channels, self.ndim)
        if not isinstance(self.coupling.conditioner, DataConditioner):
            check_condition(x, c, self.cond_channels)
        logdet, traces = x.new_zeros(x.shape[0]), []
        for member in self._members(inverse=inverse):
            flipped = inverse != member.flipped
            part, change, trace = member.layer.record(member.take(x), c, inverse=flipped, keep=keep)
            x, logdet = member.put(x, part), logdet + change
            traces.append(trace)
        return x, logdet, tuple(traces)

    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The members' reverse steps, last to first."""
        return self._walk_back((z, c), (grad_z, grad_logdet), trace, inverse=False)

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The mirrored step."""
        return self._walk_back((x, c), (grad_x, grad_logdet), trace, inverse=True)

    @torch.no_grad()
    def _walk_back(
        self,
        point: tuple[Tensor, Tensor | None],
        grads: tuple[Tensor, Tensor],
        trace: Trace,
        *,
        inverse: bool,
    ) -> ReverseStep:
        (out, c), (grad, grad_logdet) = point, grads
        members = self._members(inverse=inverse)
        grad_c: Tensor | None = None
        found: dict[nn.Parameter, Tensor] = {}
        for member, own in reversed(list(zip(members, trace or ((),) * len(members), strict=True))):
            layer, flipped = member.layer, inverse != member.flipped
            step = layer.reverse_step_inverse if flipped else layer.reverse_step
            part, grad_part, more_c, more = step(member.take(out), c, member.take(grad), grad_logdet, own)
            out, grad = member.put(out, part), member.put(grad, grad_part)
            if more_c is not None:
                # The sum is kept in the state's precision.
                more_c = more_c.to(grad.dtype)
                grad_c = more_c if grad_c is None else grad_c + more_c
            # A shared coupling comes more than once: its gradients add up.
            for parameter, value in zip(trainable(layer), more, strict=True):
                if value is not None:
                    found[parameter] = found[parameter] + value if parameter in found else value
        return ReverseStep(out, grad, grad_c, [found.get(parameter) for parameter in trainable(self)])

    def _members(self, *, inverse: bool) -> Sequence[_Member]:
        """The layers in the order of a direction; part a goes last, since the coupling needs its input."""
        middle, mixing = self.channels // 2, self.mixing
        first, second = self.second if self.shared else self.first, self.second
        members = [
            mixing and _Member(mixing, middle if self.permute == "lower" else 0),
            second and _Member(second, middle),
            _Member(self.coupling),
            first and _Member(first, 0, middle),
            mixing and self.permute == "both" and _Member(mixing, flipped=True),
        ]
        present = [member for member in members if member]
        return present[::-1] if inverse else present


def _branches(
    widths: tuple[int, int], cond_channels: int, options: dict[str, Any]
) -> tuple[HINTCoupling | None, HINTCoupling | None]:
    """F_a and F_b; of a pair that is shared, F_b alone. One channel without a condition stays as it is."""
    if options["shared"] and widths[0] != widths[1]:
        raise ValueError(
            f"expected parts of equal size to share a coupling, got {widths[0]} and {widths[1]} channels of "
            f"{sum(widths)}: use shared=False, or a channel count that halves evenly"
        )

    def branch(width: int) -> HINTCoupling | None:
        return HINTCoupling(width, cond_channels, **options) if width + cond_channels > 1 else None

    return None if options["shared"] else branch(widths[0]), branch(widths[1])


def _check_options(permute: str, min_channels: int, recursion: int | None) -> None:
    if permute not in get_args(Permute):
        raise ValueError(f'expected permute "none", "lower", "both" or "full", got {permute!r}')
    if min_channels < 1:
        raise ValueError(f"expected min_channels of at least 1, got {min_channels}")
    if recursion is not None and recursion < 0:
        raise ValueError(f"expected recursion of at least 0, got {recursion}")
