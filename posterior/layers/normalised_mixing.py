"""ActNorm and orthogonal 1x1 convolution as one step: a single matrix and shift over the channels."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from posterior.invertible import Invertible, ReverseStep, Trace
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.householder import Reflections, product, reflections, vector_gradients
from posterior.layers.mixing import channel_products, channel_sums, mix_channels


@final
class NormalisedMixing(Invertible):
    r"""An :class:`ActNorm`, then a :class:`Conv1x1`, with half of the passes over the image in a chain.

    .. math:: z_p = Q (e^{a} \odot x_p + b) = W x_p + Q b, \quad W = Q \,\mathrm{diag}(e^{a}), \qquad
        \log|\det| = P \sum_c a_c

    with P the number of cells. With G the sum over cells of dL/dz x^T and s that of dL/dz,

    .. math:: \frac{dL}{dQ} = G\,\mathrm{diag}(e^{a}) + s b^T, \quad
        \frac{dL}{da} = \mathrm{diag}(W^T G) + P \sum \frac{dL}{d\log|\det|}, \quad \frac{dL}{db} = Q^T s.

    Args:
        channels: Number of channels C.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors.

    Shapes:
        x, z: (B, C, ...). logdet: (B,). The condition is not used.

    Source:
        Kingma and Dhariwal, Glow, NeurIPS 2018, section 3; the joint gradient: this project's own derivation.
    """

    draws_random = False

    def __init__(self, channels: int, *, ndim: int = 2) -> None:
        super().__init__()
        self.norm = ActNorm(channels, ndim=ndim)
        self.conv = Conv1x1(channels, ndim=ndim)

    @property
    def needs_whole_batch(self) -> bool:
        """Whether the next training batch initialises the normalisation."""
        return self.norm.needs_whole_batch

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply one layer after the other."""
        y, logdet = self.norm(x)
        return mix_channels(y, product(reflections(self.conv.vectors))), logdet

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo them."""
        self.norm.check("z", z)
        return self.norm.inverse(mix_channels(z, product(reflections(self.conv.vectors)).T))

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """Call either direction as one matrix; the trace may keep the reflections and Q, a few numbers."""
        if torch.is_grad_enabled():
            return super().record(x, c, inverse=inverse, keep=keep)
        self.norm.check("z" if inverse else "x", x)
        if not inverse:
            self.norm.initialise_from(x)
        compact = reflections(self.conv.vectors)
        matrix = product(compact)
        out = self._undo(x, matrix) if inverse else self._apply_both(x, matrix)
        logdet = (self.norm.log_scale.sum() * (x[0, 0].numel() * (-1 if inverse else 1))).expand(x.shape[0])
        return out, logdet, (*compact, matrix) if keep else ()

    @torch.no_grad()
    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """X = W^-1 (z - Q b), dL/dx = W^T dL/dz, and the gradients above."""
        compact, matrix = self._recall(trace)
        x = self._undo(z, matrix)
        grad_x = mix_channels(grad_z, self._scaled(matrix).T)
        return ReverseStep(x, grad_x, None, self._gradients(compact, matrix, (x, grad_z), grad_logdet.sum()))

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Of x = W^-1 (z - Q b): dL/dz = W^-T dL/dx, and minus the gradients above at that dL/dz."""
        compact, matrix = self._recall(trace)
        z = self._apply_both(x, matrix)
        unscaled = matrix * self.norm.log_scale.double().neg().exp()
        grad_z = mix_channels(grad_x, unscaled)
        found = self._gradients(compact, matrix, (x, grad_z), grad_logdet.sum())
        return ReverseStep(z, grad_z, None, [-gradient for gradient in found])

    def _apply_both(self, x: Tensor, matrix: Tensor) -> Tensor:
        return mix_channels(x, self._scaled(matrix), matrix @ self.norm.bias.double())

    def _undo(self, z: Tensor, matrix: Tensor) -> Tensor:
        scale = self.norm.log_scale.double().neg().exp()
        return mix_channels(z, scale[:, None] * matrix.T, -scale * self.norm.bias.double())

    def _scaled(self, matrix: Tensor) -> Tensor:
        """W, float64."""
        return matrix * self.norm.log_scale.double().exp()

    def _recall(self, trace: Trace) -> tuple[Reflections, Tensor]:
        """The reflections and Q, kept or made again."""
        if trace:
            return Reflections(*trace[:3]), trace[3]
        compact = reflections(self.conv.vectors)
        return compact, product(compact)

    def _gradients(
        self, compact: Reflections, matrix: Tensor, pair: tuple[Tensor, Tensor], grad_logdet: Tensor
    ) -> list[Tensor]:
        """Gradients of a, b and the vectors, those that are wanted, from x and dL/dz."""
        x, grad_z = pair
        norm, vectors = self.norm, self.conv.vectors
        scale = norm.log_scale.double().exp()
        products, sums = channel_products(grad_z, x), channel_sums(grad_z)
        grad_scale = ((matrix * products).sum(0) * scale).add_(grad_logdet, alpha=x[0, 0].numel())
        found: list[tuple[Tensor, Tensor]] = [(norm.log_scale, grad_scale), (norm.bias, matrix.T @ sums)]
        if vectors.requires_grad:
            grad_matrix = torch.addr(products * scale, sums, norm.bias.double())
            found.append((vectors, vector_gradients(compact, grad_matrix)))
        return [gradient.to(one.dtype) for one, gradient in found if one.requires_grad]
