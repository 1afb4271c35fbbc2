"""Affine coupling: half of the channels is scaled and shifted, given the other half and the condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from posterior.conditioners import ConditionerFactory
from posterior.invertible import (
    Invertible,
    ReverseStep,
    check_image,
    check_ndim,
    per_sample,
    trainable,
    vector_jacobian,
)

Gradients = tuple[Tensor, Tensor, Tensor, Tensor]


@final
class AffineCoupling(Invertible):
    r"""Scale and shift part a of the channels by a function of part b and of the condition.

    .. math::
        z_a = s \odot x_a + t, \quad z_b = x_b, \quad (r, t) = g(x_b, c), \quad
        s = s_0 + (s_1 - s_0)\,\sigma(r), \qquad \log|\det| = \sum \log s

    The scale is bounded, so the inverse stays well conditioned: one layer amplifies by at most 1 / s_0. A
    conditioner whose last layer starts at zero makes the layer the identity when s_0 and s_1 lie
    symmetrically about 1. Since z_b = x_b, one evaluation of g serves the inverse and the gradient in
    :meth:`reverse_step`.

    Args:
        channels: Number of channels C. Part a has ceil(C/2) of them; with C = 1 all depends on the condition.
        cond_channels: Number of channels K of the condition; 0 for none.
        conditioner: Builds g from its number of input channels (of x_b, then K) and of output channels (twice
            those of x_a).
        bounds: (s_0, s_1), 0 < s_0 < s_1.
        swap: Let part a be the last channels rather than the first.
        ndim: Number of spatial axes, 1 to 3.

    Shapes:
        x, z: (B, C, ...). c: (B, K, ...), the size of x. logdet: (B,).

    Raises:
        ValueError: If the bounds are not ordered, or if one channel has no condition to depend on.

    Source:
        Dinh et al., Density estimation using Real NVP, ICLR 2017, eq. (7); with a condition: Ardizzone et
        al., 2019, fig. 2; the bounded scale: Kingma and Dhariwal's Glow code.

    Example:
        >>> from posterior.conditioners import ResidualConditioner
        >>> layer = AffineCoupling(4, 2, conditioner=ResidualConditioner)
        >>> z, logdet = layer(torch.randn(8, 4, 16, 16), torch.randn(8, 2, 16, 16))
        >>> logdet.shape
        torch.Size([8])
    """

    def __init__(
        self,
        channels: int,
        cond_channels: int = 0,
        *,
        conditioner: ConditionerFactory,
        bounds: tuple[float, float] = (0.5, 1.5),
        swap: bool = False,
        ndim: int = 2,
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        if not 0.0 < bounds[0] < bounds[1]:
            raise ValueError(f"expected bounds (low, high) with 0 < low < high, got {bounds}")
        if channels < 2 and not cond_channels:
            raise ValueError(f"expected at least 2 channels without a condition, got {channels}")
        self.channels, self.cond_channels, self.ndim = channels, cond_channels, ndim
        self.bounds, self.swap = bounds, swap
        self.num_fixed = channels // 2
        self.conditioner = conditioner(self.num_fixed + cond_channels, 2 * (channels - self.num_fixed))

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (cat(s x_a + t, x_b), sum of log s)."""
        self._check("x", x, c)
        x_a, x_b = self._split(x)
        scale, shift, _ = self._scale_shift(self._evaluate(self._inputs(x_b, c), x))
        return self._join(torch.addcmul(shift, scale, x_a), x_b), _sum_log(scale)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (cat((z_a - t) / s, z_b), -sum of log s)."""
        self._check("z", z, c)
        z_a, z_b = self._split(z)
        scale, shift, _ = self._scale_shift(self._evaluate(self._inputs(z_b, c), z))
        return self._join((z_a - shift) / scale, z_b), -_sum_log(scale)

    def reverse_step(self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor) -> ReverseStep:
        """Rebuild x and differentiate with a single evaluation of the conditioner."""
        return self._fused(_undo_forward, (z, c), grad_z, grad_logdet)

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor
    ) -> ReverseStep:
        """Rebuild z and differentiate with a single evaluation of the conditioner."""
        return self._fused(_undo_inverse, (x, c), grad_x, grad_logdet)

    @torch.no_grad()
    def _fused(
        self,
        undo: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Gradients],
        point: tuple[Tensor, Tensor | None],
        grad_out: Tensor,
        grad_logdet: Tensor,
    ) -> ReverseStep:
        out, c = point
        out_a, fixed = self._split(out)
        grad_a, grad_fixed = self._split(grad_out)
        with torch.enable_grad():
            inputs = self._inputs(fixed.detach(), None if c is None else c.detach()).requires_grad_()
            raw = self._evaluate(inputs, out)
        scale, shift, gate = self._scale_shift(raw.detach())
        in_a, grad_a, grad_scale, grad_shift = undo(out_a, scale, shift, grad_a, per_sample(grad_logdet, out))
        # s = s_0 + (s_1 - s_0) g with g = sigma(r), so ds/dr = (s - s_0) (1 - g).
        grad_raw = torch.cat((grad_scale * (scale - self.bounds[0]) * (1.0 - gate), grad_shift), 1)
        grad_inputs, *grad_parameters = vector_jacobian([raw], [inputs, *trainable(self)], [grad_raw])
        grad_c = None
        if grad_inputs is not None:
            grad_fixed = grad_fixed + grad_inputs[:, : self.num_fixed]
            grad_c = grad_inputs[:, self.num_fixed :] if c is not None and c.requires_grad else None
        return ReverseStep(self._join(in_a, fixed), self._join(grad_a, grad_fixed), grad_c, grad_parameters)

    def _evaluate(self, inputs: Tensor, like: Tensor) -> Tensor:
        """The conditioner's result in the precision of the state, whatever autocast made of it."""
        return self.conditioner(inputs).to(like.dtype)

    def _scale_shift(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """s, t and sigma(r)."""
        raw_scale, shift = raw.chunk(2, 1)
        low, high = self.bounds
        gate = torch.sigmoid(raw_scale)
        return gate * (high - low) + low, shift, gate

    def _inputs(self, fixed: Tensor, c: Tensor | None) -> Tensor:
        return fixed if c is None else torch.cat((fixed, c), 1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Parts (a, b): changed and fixed."""
        if self.swap:
            fixed, changed = x.split((self.num_fixed, self.channels - self.num_fixed), 1)
        else:
            changed, fixed = x.split((self.channels - self.num_fixed, self.num_fixed), 1)
        return changed, fixed

    def _join(self, changed: Tensor, fixed: Tensor) -> Tensor:
        return torch.cat((fixed, changed) if self.swap else (changed, fixed), 1)

    def _check(self, name: str, x: Tensor, c: Tensor | None) -> None:
        check_image(name, x, self.channels, self.ndim)
        check_condition(x, c, self.cond_channels)


def check_condition(x: Tensor, c: Tensor | None, cond_channels: int) -> None:
    """Raise a ValueError unless c is (B, cond_channels, ...) over the cells of x, or None with 0 channels."""
    if c is None and not cond_channels:
        return
    expected = (x.shape[0], cond_channels, *x.shape[2:])
    if c is None or not cond_channels:
        wanted = f"a condition c of shape {expected}" if cond_channels else "no condition c"
        raise ValueError(f"expected {wanted}, got {None if c is None else tuple(c.shape)}")
    if c.shape != expected:
        raise ValueError(
            f"expected c of shape {expected} for x of shape {tuple(x.shape)}, got {tuple(c.shape)}"
        )


def _undo_forward(z_a: Tensor, s: Tensor, t: Tensor, grad: Tensor, grad_logdet: Tensor) -> Gradients:
    """z_a = s x_a + t, logdet = sum log s: x_a and the gradients of x_a, s and t."""
    x_a = (z_a - t) / s
    return x_a, grad * s, torch.addcmul(grad_logdet / s, grad, x_a), grad


def _undo_inverse(x_a: Tensor, s: Tensor, t: Tensor, grad: Tensor, grad_logdet: Tensor) -> Gradients:
    """x_a = (z_a - t) / s, logdet = -sum log s: z_a and the gradients of z_a, s and t."""
    grad_z = grad / s
    return torch.addcmul(t, s, x_a), grad_z, -torch.addcmul(grad_logdet / s, grad_z, x_a), -grad_z


def _sum_log(scale: Tensor) -> Tensor:
    return scale.log().flatten(1).sum(1)
