"""The leapfrog step of a hyperbolic network: a pair of states, previous and current, moves on in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posterior.conditioners import convolution
from posterior.invertible import Invertible, ReverseStep, Trace, check_image, check_ndim
from posterior.layers.coupling import check_condition
from posterior.layers.squeeze import Squeeze, check_axes
from posterior.linearise import linearise

_ADJOINTS: dict[int, Callable[[Tensor, Tensor, int], Tensor]] = {
    0: lambda h, weight, _: h @ weight,
    1: lambda h, weight, padding: F.conv_transpose1d(h, weight, padding=padding),
    2: lambda h, weight, padding: F.conv_transpose2d(h, weight, padding=padding),
    3: lambda h, weight, padding: F.conv_transpose3d(h, weight, padding=padding),
}
"""Adjoint of the linear map with that weight, by number of spatial axes."""


@final
class SymmetricForce(nn.Module):
    r"""The nonlinear force of a layer, f(q, c) = K^T relu(K q + K_c c + b).

    K is a convolution, or a matrix for vectors, and K^T its exact adjoint with the same weights: the Jacobian
    df/dq is symmetric and positive semi-definite, that of a restoring force. The weights start Gaussian, with
    |K| about 1 whatever the numbers of channels.

    Args:
        channels: Channels of q.
        cond_channels: Channels of c; 0 for none.
        hidden: Channels between K and K^T.
        kernel: Size of the convolution's kernel, odd.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors.

    Shapes:
        q, f: (B, channels, ...). c: (B, cond_channels, ...).

    Source:
        Ruthotto and Haber, Deep neural networks motivated by partial differential equations, Journal of
        Mathematical Imaging and Vision 2020.
    """

    def __init__(self, channels: int, cond_channels: int, *, hidden: int, kernel: int, ndim: int) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"expected an odd kernel, which keeps the size, got {kernel}")
        self.channels, self.padding, self.ndim = channels, kernel // 2, ndim
        inputs = channels + cond_channels
        spread = convolution(inputs, hidden, kernel=kernel, ndim=ndim) if ndim else nn.Linear(inputs, hidden)
        self.spread = cast("nn.Conv2d", spread)
        # The largest singular value of a Gaussian matrix of unit variance is close to the sum of these roots.
        norm = kernel ** (0.5 * ndim) * (hidden**0.5 + channels**0.5)
        nn.init.normal_(self.spread.weight, std=1.0 / norm)
        nn.init.zeros_(cast("Tensor", self.spread.bias))

    def forward(self, q: Tensor, c: Tensor | None = None) -> Tensor:
        """Return f(q, c)."""
        h = F.relu(self.spread(q if c is None else torch.cat((q, c), 1)), inplace=True)
        return _ADJOINTS[self.ndim](h, self.spread.weight[:, : self.channels], self.padding)


@final
class HyperbolicLayer(Invertible):
    r"""One time step of a nonlinear wave equation, by leapfrog.

    .. math::
        (p, q) \mapsto (q,\; 2 q - p - \alpha f(q, c)), \qquad f(q, c) = K^T \mathrm{relu}(K q + K_c c + b)

    The state is the previous image p and the current one q, the two halves of the channels. The step is
    reversible in time and preserves volume, whatever f: its log-determinant is 0. Leapfrog is stable for
    alpha |K|^2 < 4; at the start |K| is about 1. One evaluation of f serves the inverse and the gradient in
    the reverse steps.

    Args:
        channels: Number of channels C of both halves together, even.
        cond_channels: Number of channels K' of the condition; 0 for none.
        hidden: Hidden channels of the force f.
        kernel: Size of the kernel of K, odd.
        step: The square alpha of the time step.
        ndim: Number of spatial axes, 1 to 3; 0 for vectors.

    Shapes:
        x, z: (B, C, ...). c: (B, K', ...), the size of x. logdet: (B,), zeros.

    Raises:
        ValueError: If the number of channels is odd, the kernel even or the step not positive.

    Source:
        Lensink, Peters and Haber, Fully hyperbolic convolutional neural networks, Research in the
        Mathematical Sciences 2022 (arXiv 1905.10484).

    Example:
        >>> layer = HyperbolicLayer(4, hidden=8)
        >>> z, logdet = layer(torch.randn(2, 4, 16, 16))
        >>> z.shape, logdet
        (torch.Size([2, 4, 16, 16]), tensor([0., 0.]))
    """

    draws_random = False

    def __init__(
        self,
        channels: int,
        cond_channels: int = 0,
        *,
        hidden: int,
        kernel: int = 3,
        step: float = 1.0,
        ndim: int = 2,
    ) -> None:
        super().__init__()
        check_ndim(ndim, vectors=True)
        if channels < 2 or channels % 2:
            raise ValueError(
                f"expected an even number of channels, two halves, got {channels}: squeeze first"
            )
        if not step > 0.0:
            raise ValueError(f"expected a positive step, got {step}")
        self.channels, self.cond_channels, self.step, self.ndim = channels, cond_channels, step, ndim
        self.force = SymmetricForce(channels // 2, cond_channels, hidden=hidden, kernel=kernel, ndim=ndim)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ((current, next), 0)."""
        previous, current = self._halves("x", x, c)
        following = self._leap(previous, current, self.force(current, c))
        return torch.cat((current, following), 1), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ((previous, current), 0): the same step back in time."""
        current, following = self._halves("z", z, c)
        previous = self._leap(following, current, self.force(current, c))
        return torch.cat((previous, current), 1), z.new_zeros(z.shape[0])

    @torch.no_grad()
    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Rebuild x and differentiate with a single evaluation of the force."""
        current, following = z.chunk(2, 1)
        grad_current, grad_following = grad_z.chunk(2, 1)
        force, through_force, grad_c, found = self._linearised(current, c, grad_following)
        x = torch.cat((self._leap(following, current, force), current), 1)
        grad_x = torch.cat((-grad_following, grad_current + through_force), 1)
        return ReverseStep(x, grad_x, grad_c, found)

    @torch.no_grad()
    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Rebuild z and differentiate with a single evaluation of the force: the mirrored step."""
        previous, current = x.chunk(2, 1)
        grad_previous, grad_current = grad_x.chunk(2, 1)
        force, through_force, grad_c, found = self._linearised(current, c, grad_previous)
        z = torch.cat((current, self._leap(previous, current, force)), 1)
        grad_z = torch.cat((grad_current + through_force, -grad_previous), 1)
        return ReverseStep(z, grad_z, grad_c, found)

    def _leap(self, behind: Tensor, current: Tensor, force: Tensor) -> Tensor:
        """2 q - p - alpha f: the state one step ahead, in either direction of time."""
        return 2.0 * current - behind - self.step * force.to(current.dtype)

    def _linearised(
        self, current: Tensor, c: Tensor | None, grad_ahead: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, Sequence[Tensor | None]]:
        """The force, and what the gradient of the state ahead gives to q, c and the parameters."""
        force, pullback = linearise(self.force, [current] if c is None else [current, c])
        (grad_current, *grad_c), found = pullback(-self.step * grad_ahead)
        assert force is not None
        assert grad_current is not None
        wanted = c is not None and c.requires_grad
        return force, grad_current.add_(grad_ahead, alpha=2.0), grad_c[0] if wanted else None, found

    def _halves(self, name: str, image: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        check_image(name, image, self.channels, self.ndim)
        check_condition(image, c, self.cond_channels)
        first, second = image.chunk(2, 1)
        return first, second


@final
class EachHalf(Invertible):
    """Squeeze each half of the channels by itself, with the same weights: a pair of states stays a pair.

    Args:
        inner: The squeeze of one half.

    Shapes:
        x: (B, C, 2n, ...), C even. z: (B, 2^d C, n, ...). logdet: (B,), zeros. The condition is not used.
    """

    draws_random = False

    def __init__(self, inner: Squeeze) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (both halves squeezed, 0)."""
        check_axes("x", x, self.inner.ndim)
        z, _ = self.inner(_halves_as_samples(x))
        return _samples_as_halves(z), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (both halves unsqueezed, 0)."""
        check_axes("z", z, self.inner.ndim)
        x, _ = self.inner.inverse(_halves_as_samples(z))
        return _samples_as_halves(x), z.new_zeros(z.shape[0])

    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The inner reverse step of both halves at once."""
        return self._of_both(self.inner.reverse_step, z, grad_z, grad_logdet)

    def reverse_step_inverse(
        self, x: Tensor, c: Tensor | None, grad_x: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """The mirrored step."""
        return self._of_both(self.inner.reverse_step_inverse, x, grad_x, grad_logdet)

    def _of_both(
        self, step: Callable[..., ReverseStep], out: Tensor, grad: Tensor, grad_logdet: Tensor
    ) -> ReverseStep:
        folded = [_halves_as_samples(image) for image in (out, grad)]
        image, grad, _, found = step(folded[0], None, folded[1], grad_logdet.repeat_interleave(2))
        return ReverseStep(_samples_as_halves(image), _samples_as_halves(grad), None, found)


def _halves_as_samples(image: Tensor) -> Tensor:
    """(B, C, ...) -> (2 B, C / 2, ...)."""
    if image.shape[1] % 2:
        raise ValueError(f"expected an even number of channels, two halves, got {tuple(image.shape)}")
    return image.unflatten(1, (2, -1)).flatten(0, 1)


def _samples_as_halves(image: Tensor) -> Tensor:
    """(2 B, C / 2, ...) -> (B, C, ...)."""
    return image.unflatten(0, (-1, 2)).flatten(1, 2)
