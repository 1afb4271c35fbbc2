"""The physics step of a loop-unrolled network: the memory is changed by the gradient of the data misfit."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posterior.conditioners import ConditionerFactory
from posterior.invertible import Invertible, ReverseStep, Trace, check_image, trainable, vector_jacobian
from posterior.layers.activations import Activation
from posterior.layers.actnorm import ActNorm
from posterior.layers.coupling import Undo
from posterior.layers.elementwise import Additive, Affine, Elementwise
from posterior.misfit import Misfit
from posterior.replay import generator_state, replayed, same_state


@final
class GradientHead(nn.Module):
    r"""What an iteration learns about the gradient: its scale, and how it changes the memory.

    .. math:: r = (N(g), 0) \quad \text{or} \quad r = h(N(g), \eta)

    r are the raw numbers of the memory's change. N is an ActNorm: a gradient has the units of physics, and
    the first batch in training mode sets its scale to one.

    Args:
        channels: Channels C of eta and g.
        memory_channels: Channels S of the memory, at least C without a network.
        network: Builds h from its channels in, 2 C, and out; None to add N(g) to the first C channels.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors.

    Shapes:
        g, eta: (B, C, ...). r: (B, S, ...) without a network, else (B, 2 S, ...): a scale and a shift.

    Raises:
        ValueError: If the memory has too few channels.
    """

    def __init__(
        self, channels: int, memory_channels: int, *, network: ConditionerFactory | None = None, ndim: int = 2
    ) -> None:
        super().__init__()
        least = 1 if network else channels
        if memory_channels < least:
            raise ValueError(f"expected at least {least} memory channels, got {memory_channels}")
        self.channels, self.memory_channels, self.ndim = channels, memory_channels, ndim
        self.transform: Elementwise = Affine() if network else Additive()
        self.norm = ActNorm(channels, ndim=ndim)
        self.network = None if network is None else network(2 * channels, 2 * memory_channels)

    def forward(self, gradient: Tensor, eta: Tensor) -> Tensor:
        """Return r."""
        scaled, _ = self.norm(gradient)
        if self.network is not None:
            return self.network(torch.cat((scaled, eta), 1)).to(eta.dtype)
        return F.pad(scaled, (0, 0) * self.ndim + (0, self.memory_channels - self.channels))


@final
class GradientUpdate(Invertible):
    r"""Change the memory s of a state (eta, s) by the gradient of the data misfit at eta.

    .. math::
        z = (\eta,\; f(s; r)), \qquad r = \mathrm{head}(g_\eta, \eta), \qquad
        g_\eta = p \odot \psi'(\eta) \odot \nabla_x \Phi(x, d) \big|_{x = \psi(\eta)}

    f adds, or scales and adds. eta stays as it is, so the gradient found once in the reverse step serves the
    inverse and the derivative. A call costs one application of F and one of J^T a sample; a reverse step two
    of each, or one where the gradient was kept.

    Args:
        misfit: Phi with its derivatives, for the samples of the batch.
        head: What is learned.
        link: psi, from eta to what the physics takes; None for the identity.
        weight: p, a diagonal preconditioner, such as a weight that grows with depth; None for one.

    Shapes:
        weight: what broadcasts to (B, C, ...).
        x, z: (B, C + S, ...), eta first. c, here d: (B, ...), data as the misfit takes them. logdet: (B,).

    Raises:
        ValueError: If no data are given, or shapes do not fit.

    Source:
        Putzky and Welling, Invert to learn to invert, NeurIPS 2019, section 3; the learned scale:
        InvertibleNetworks.jl's loop-unrolled network.

    Example:
        >>> from posterior.linear_map import LinearMap
        >>> from posterior.linear_misfit import LinearMisfit
        >>> identity = LinearMap(lambda x: x, lambda d: d)
        >>> layer = GradientUpdate(LinearMisfit(identity, (1, 4, 4)), GradientHead(1, 3))
        >>> z, logdet = layer(torch.randn(2, 4, 4, 4), torch.randn(2, 1, 4, 4))
    """

    def __init__(
        self,
        misfit: Misfit,
        head: GradientHead,
        *,
        link: Activation | None = None,
        weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.misfit, self.head, self.link, self.weight = misfit, head, link, weight

    @property
    def needs_whole_batch(self) -> bool:
        """Whether the next training batch sets the scale of the gradient."""
        inner = (one for one in self.head.modules() if isinstance(one, Invertible))
        return any(one.needs_whole_batch for one in inner)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ((eta, f(s)), log-determinant)."""
        return self.record(x, c)[:2]

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ((eta, f^-1(s)), log-determinant of this direction)."""
        return self.record(z, c, inverse=True)[:2]

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """Call either direction; the trace is (state of the generators, gradient of the misfit)."""
        channels = self.head.channels + self.head.memory_channels
        check_image("z" if inverse else "x", x, channels, self.head.ndim)
        if c is None:
            raise ValueError("expected data d as the condition, got None")
        eta, memory = self._split(x)
        gradient = self.misfit.gradient(to_model(eta, self.link), c)
        before = generator_state(x.device)
        raw = self.head(weighted(to_eta(gradient, eta, self.link), self.weight), eta)
        drawn = () if same_state(before, generator_state(x.device)) else before
        transform = self.head.transform
        call = transform.inverse if inverse else transform.forward
        memory, logdet = call(memory, transform.natural(raw))
        return torch.cat((eta, memory), 1), logdet, (drawn, (gradient,) if keep else ())

    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Rebuild x and differentiate with the gradient of the misfit found once, or kept."""
        return self._fused(self.head.transform.undo_forward, (z, c), (grad_z, grad_logdet), trace)

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The mirrored step."""
        return self._fused(self.head.transform.undo_inverse, (x, c), (grad_x, grad_logdet), trace)

    @torch.no_grad()
    def _fused(
        self, undo: Undo, point: tuple[Tensor, Tensor | None], grads: tuple[Tensor, Tensor], trace: Trace
    ) -> ReverseStep:
        (out, d), (grad_out, grad_logdet) = point, grads
        assert d is not None
        drawn, kept = trace or ((), ())
        eta, memory = self._split(out)
        grad_eta, grad_memory = self._split(grad_out)
        x = to_model(eta, self.link)
        gradient = kept[0] if kept else self.misfit.gradient(x, d)
        with replayed(drawn, out.device), torch.enable_grad():
            leaves = [eta.detach().requires_grad_(), gradient.detach().requires_grad_()]
            scaled = weighted(to_eta(leaves[1], leaves[0], self.link), self.weight)
            raw = self.head(scaled, leaves[0])
        parameters = self.head.transform.natural(raw.detach())
        memory, grad_memory, grad_raw = undo(memory, parameters, grad_memory, grad_logdet)
        more, v, *found = vector_jacobian([raw], [*leaves, *trainable(self)], [grad_raw])
        assert v is not None
        grad_model, grad_d = self.misfit.pullback(x, d, v, of_data=d.requires_grad)
        grad_eta = grad_eta + to_eta(grad_model, eta, self.link)
        if more is not None:
            grad_eta = grad_eta + more
        return ReverseStep(torch.cat((eta, memory), 1), torch.cat((grad_eta, grad_memory), 1), grad_d, found)

    def _split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        eta, memory = state.contiguous().split((self.head.channels, self.head.memory_channels), 1)
        return eta.contiguous(), memory.contiguous()


def to_model(eta: Tensor, link: Activation | None) -> Tensor:
    """Map eta to x = psi(eta)."""
    return eta if link is None else link.function(eta)


def to_eta(gradient: Tensor, eta: Tensor, link: Activation | None) -> Tensor:
    """A gradient in x as one in eta: the link acts cell by cell, so its Jacobian is diagonal."""
    return gradient if link is None else gradient * link.log_slope(eta).exp()


def weighted(gradient: Tensor, weight: Tensor | None) -> Tensor:
    """A gradient times its weight."""
    return gradient if weight is None else gradient * weight
