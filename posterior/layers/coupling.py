"""Coupling: half of the channels is changed, given the other half and the condition."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import final

import torch
from torch import Tensor, nn

from posterior.conditioners import ConditionerFactory
from posterior.invertible import Invertible, ReverseStep, Trace, channels_last, check_image, check_ndim
from posterior.layers.elementwise import Affine, Elementwise
from posterior.layers.slabwise import Slabwise, Undo, record_in_slabs, reverse_in_slabs, within_budget
from posterior.linearise import DataConditioner, linearise
from posterior.replay import generator_state, replayed, same_state


@final
class Coupling(Slabwise):
    r"""Change part a of the channels, cell by cell, by functions that part b and the condition choose.

    .. math::
        z_a = f(x_a; p), \quad z_b = x_b, \quad p = g(x_b, c), \qquad
        \log|\det| = \sum \log |\partial f / \partial x_a|

    f is an affine function (Real NVP, Glow), a shift (NICE) or a spline: ``transform``. Since z_b = x_b, one
    evaluation of g serves the inverse and the gradient in :meth:`reverse_step`; where p was kept from the
    call, g's last layer is not evaluated again. With a budget (:func:`posterior.slabs.limit_memory`) all of
    this happens over slabs of the image.

    Args:
        channels: Number of channels C.
        cond_channels: Number of channels K of the condition; 0 for none.
        conditioner: Builds g from its number of input channels (of x_b, then K) and of output channels. Any
            module will do; one that starts at zero makes an affine layer start as the identity. A
            :class:`~posterior.linearise.DataConditioner` receives x_b and c apart, c of any shape (B, ...).
        transform: The family of f.
        fixed: Number of channels of part b, C // 2 by default; with 0 all depends on the condition.
        swap: Let part a be the last channels rather than the first.
        dtype: Precision in which g runs, such as ``torch.bfloat16``; the state keeps its own. None: as it
            comes.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors.

    Shapes:
        x, z: (B, C, ...). c: (B, K, ...), the size of x. logdet: (B,).

    Raises:
        ValueError: If no channel is left to change, or none and no condition to depend on.

    Source:
        Dinh et al., Density estimation using Real NVP, ICLR 2017, section 3; with a condition: Ardizzone et
        al., Guided image generation with conditional invertible neural networks, 2019, fig. 2.

    Example:
        >>> from posterior.conditioners import ResidualConditioner
        >>> layer = Coupling(4, 2, conditioner=ResidualConditioner)
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
        transform: Elementwise | None = None,
        fixed: int | None = None,
        swap: bool = False,
        dtype: torch.dtype | None = None,
        ndim: int = 2,
    ) -> None:
        super().__init__()
        check_ndim(ndim, vectors=True)
        self.fixed = channels // 2 if fixed is None else fixed
        if not 0 <= self.fixed < channels:
            raise ValueError(f"expected 0 to {channels - 1} fixed channels of {channels}, got {fixed}")
        if not self.fixed + cond_channels:
            raise ValueError(
                f"expected a condition or at least 2 channels, got {channels} of which {self.fixed} are fixed"
            )
        self.channels, self.cond_channels, self.ndim = channels, cond_channels, ndim
        self.transform = Affine() if transform is None else transform
        self.swap, self.dtype = swap, dtype
        self.conditioner: nn.Module = conditioner(
            self.fixed + cond_channels, self.transform.width * (channels - self.fixed)
        )
        self._apart = isinstance(self.conditioner, DataConditioner)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (cat(f(x_a), x_b), log-determinant)."""
        return self.record(x, c)[:2]

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (cat(f^-1(z_a), z_b), log-determinant of this direction)."""
        return self.record(z, c, inverse=True)[:2]

    @property
    def needs_whole_batch(self) -> bool:
        """Whether a layer in the conditioner must see the whole batch."""
        inner = (one for one in self.conditioner.modules() if isinstance(one, Invertible))
        return any(one.needs_whole_batch for one in inner)

    def record(
        self, x: Tensor, c: Tensor | None = None, *, inverse: bool = False, keep: bool = False
    ) -> tuple[Tensor, Tensor, Trace]:
        """Call either direction; the trace is (state of the generators, parameters of f)."""
        check_image("z" if inverse else "x", x, self.channels, self.ndim)
        if not self._apart:
            check_condition(x, c, self.cond_channels)
        if self.slabs is None:
            return self._record(x, c, inverse=inverse, keep=keep)
        return within_budget(
            self,
            x,
            lambda: self._record(x, c, inverse=inverse, keep=keep),
            lambda slabs: record_in_slabs(self, slabs, x, c, inverse=inverse, keep=keep),
        )

    def _record(
        self, x: Tensor, c: Tensor | None, *, inverse: bool, keep: bool
    ) -> tuple[Tensor, Tensor, Trace]:
        changed, fixed = self.split(x)
        before = generator_state(x.device)
        with self.precision(x):
            raw = self.conditioner(*self.inputs(fixed, c))
        drawn = () if same_state(before, generator_state(x.device)) else before
        parameters = self.transform.natural(raw.to(x.dtype))
        call = self.transform.inverse if inverse else self.transform.forward
        changed, logdet = call(changed, parameters)
        kept = parameters if keep and self.transform.compact else ()
        return self.join(changed, fixed), logdet, (drawn, kept)

    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Rebuild x and differentiate with a single evaluation of the conditioner."""
        return self._undo(self.transform.undo_forward, (z, c), (grad_z, grad_logdet), trace)

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Rebuild z and differentiate with a single evaluation of the conditioner."""
        return self._undo(self.transform.undo_inverse, (x, c), (grad_x, grad_logdet), trace)

    def _undo(
        self, undo: Undo, point: tuple[Tensor, Tensor | None], grads: tuple[Tensor, Tensor], trace: Trace
    ) -> ReverseStep:
        if self.slabs is None:
            return self._fused(undo, point, grads, trace)
        return within_budget(
            self,
            point[0],
            lambda: self._fused(undo, point, grads, trace),
            lambda slabs: reverse_in_slabs(self, slabs, undo, point, grads, trace),
        )

    @torch.no_grad()
    def _fused(
        self, undo: Undo, point: tuple[Tensor, Tensor | None], grads: tuple[Tensor, Tensor], trace: Trace
    ) -> ReverseStep:
        (out, c), (grad_out, grad_logdet) = point, grads
        drawn, parameters = trace or ((), ())
        changed, fixed = self.split(out)
        grad_changed, grad_fixed = self.split(grad_out)
        with replayed(drawn, out.device), self.precision(out):
            raw, pullback = linearise(self.conditioner, self.inputs(fixed, c), value=not parameters)
        if raw is not None:
            parameters = self.transform.natural(raw.to(out.dtype))
        changed, grad_changed, grad_raw = undo(changed, parameters, grad_changed, grad_logdet)
        grad_inputs, grad_parameters = pullback(grad_raw)
        more, grad_c = self._take_apart(grad_inputs)
        if more is not None:
            grad_fixed = grad_fixed + more
        return ReverseStep(
            self.join(changed, fixed),
            self.join(grad_changed, grad_fixed),
            grad_c if c is not None and c.requires_grad else None,
            grad_parameters,
        )

    def inputs(self, fixed: Tensor, c: Tensor | None) -> list[Tensor]:
        """What the conditioner sees: one image, or the fixed part and the data."""
        if self._apart and c is not None:
            return [channels_last(fixed), c]
        joined = fixed if c is None else torch.cat((fixed, c), 1) if self.fixed else c
        return [channels_last(joined)]

    def _take_apart(self, grads: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of the fixed part and of the condition from those of :meth:`inputs`."""
        if len(grads) == 2:
            return grads[0], grads[1]
        joined = grads[0]
        return (None, None) if joined is None else (joined[:, : self.fixed], joined[:, self.fixed :])

    def precision(self, x: Tensor) -> AbstractContextManager[object]:
        """The surroundings in which the conditioner runs: as they are, or in ``dtype``."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(x.device.type, self.dtype, self.dtype != x.dtype, cache_enabled=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Parts (a, b), changed and fixed, as whole blocks of memory: arithmetic on other slices is slow."""
        x = x.contiguous()
        if self.swap:
            fixed, changed = x.split((self.fixed, self.channels - self.fixed), 1)
        else:
            changed, fixed = x.split((self.channels - self.fixed, self.fixed), 1)
        return changed, fixed

    def join(self, changed: Tensor, fixed: Tensor) -> Tensor:
        """Undo :meth:`split`."""
        if not self.fixed:
            return changed
        return torch.cat((fixed, changed) if self.swap else (changed, fixed), 1)


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
    lowered = torch.is_autocast_enabled(x.device.type)  # as autocast lowers what a pyramid computes
    if c.device != x.device or not (c.dtype == x.dtype or lowered):
        raise ValueError(f"expected c in {x.dtype} on {x.device} as x is, got {c.dtype} on {c.device}")
