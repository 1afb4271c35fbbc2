"""Monotone rational-quadratic splines, the most flexible family of functions for couplings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor

from posterior.layers.elementwise import Elementwise, Parameters, Undone


@final
@dataclass(frozen=True)
class RationalQuadraticSpline(Elementwise):
    r"""A monotone spline of K bins on [-b, b], the identity outside.

    In a bin from (x_0, y_0) to (x_1, y_1), of width w, height h and mean slope s = h / w, with slopes d_0 and
    d_1 at its ends:

    .. math::
        z = y_0 + h \frac{s \theta^2 + d_0 \theta \bar\theta}
            {s (\theta^2 + \bar\theta^2) + (d_0 + d_1) \theta \bar\theta}, \qquad
        \theta = \frac{x - x_0}{w}, \quad \bar\theta = 1 - \theta

    Value and slope are continuous, at the ends too, where the slope is 1. A cell's raw numbers are K for the
    widths, K for the heights and K - 1 for the slopes at the inner knots; zeros give the identity. The
    inverse is in closed form. Both directions are written without a difference that cancels, so float32
    serves; where the spline is very flat, though, a rounded z no longer tells x.

    Args:
        bins: Number K of bins, at least 2.
        bound: The bound b. Values beyond it pass unchanged: the data should be of unit scale.
        min_width: Smallest width of a bin, as a fraction of 2b.
        min_height: Smallest height of a bin, as a fraction of 2b.
        min_derivative: Smallest slope at a knot.

    Raises:
        ValueError: If there are too few bins, the bound is not positive, or a minimum leaves no room.

    Source:
        Durkan et al., Neural spline flows, NeurIPS 2019, eq. (4) to (8) and appendix A; there the inverse is
        the root of a quadratic, here in the form of :func:`_position`.

    Example:
        >>> spline = RationalQuadraticSpline(bins=4)
        >>> z, logdet = spline.forward(torch.randn(8, 2), (torch.randn(8, 2 * spline.width),))
        >>> spline.width, z.shape, logdet.shape
        (11, torch.Size([8, 2]), torch.Size([8]))
    """

    bins: int = 8
    bound: float = 5.0
    min_width: float = 1e-3
    min_height: float = 1e-3
    min_derivative: float = 1e-3
    width: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ValueError(f"expected at least 2 bins, got {self.bins}")
        if not self.bound > 0.0:
            raise ValueError(f"expected a positive bound, got {self.bound}")
        for name, limit in (("width", 1.0 / self.bins), ("height", 1.0 / self.bins), ("derivative", 1.0)):
            value = getattr(self, f"min_{name}")
            if not 0.0 < value < limit:
                raise ValueError(
                    f"expected min_{name} between 0 and {limit:g} for {self.bins} bins, got {value}"
                )
        object.__setattr__(self, "width", 3 * self.bins - 1)

    def forward(self, x: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return (z, sum over cells of log dz/dx)."""
        return self._ahead(x, self._bin(parameters[0], x, inverse=False))

    def inverse(self, z: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return (x, sum over cells of log dx/dz)."""
        return self._back(z, self._bin(parameters[0], z, inverse=True))

    @torch.no_grad()
    def undo_forward(self, z: Tensor, parameters: Parameters, grad_z: Tensor, grad_logdet: Tensor) -> Undone:
        """The bin is searched once, x and z share it; the raw numbers' gradient is in closed form."""
        bins = self._bin(parameters[0], z, inverse=True)
        x = self._back(z, bins)[0]
        return x, *self._pull(self._ahead, (x, parameters[0], bins), (grad_z, grad_logdet))

    @torch.no_grad()
    def undo_inverse(self, x: Tensor, parameters: Parameters, grad_x: Tensor, grad_logdet: Tensor) -> Undone:
        """The mirrored step."""
        bins = self._bin(parameters[0], x, inverse=False)
        z = self._ahead(x, bins)[0]
        return z, *self._pull(self._back, (z, parameters[0], bins), (grad_x, grad_logdet))

    def _ahead(self, x: Tensor, where: _Bin) -> tuple[Tensor, Tensor]:
        inside = x.abs() < self.bound
        theta = _held((x.clamp(-self.bound, self.bound) - where.left) / where.width)
        share, log_slope = _curve(theta, 1.0 - theta, where)
        z = where.bottom + where.height * share
        return torch.where(inside, z, x), _total(inside, log_slope)

    def _back(self, z: Tensor, where: _Bin) -> tuple[Tensor, Tensor]:
        inside = z.abs() < self.bound
        share = _held((z.clamp(-self.bound, self.bound) - where.bottom) / where.height)
        theta, rest = _position(share, where)
        _, log_slope = _curve(theta, rest, where)
        x = where.left + where.width * theta
        return torch.where(inside, x, z), -_total(inside, log_slope)

    def _bin(self, raw: Tensor, value: Tensor, *, inverse: bool) -> _Bin:
        """The bin in which each cell's x, or with ``inverse`` its z, lies."""
        widths, heights, slopes = self._split(raw)
        across, along = self._knots(widths, self.min_width), self._knots(heights, self.min_height)
        number = (value[:, None] >= (along if inverse else across)).sum(1, keepdim=True)
        left, right = _at_ends(across, number, (-self.bound, self.bound))
        bottom, top = _at_ends(along, number, (-self.bound, self.bound))
        first, last = (self._slope(some) for some in _at_ends(slopes, number, (0.0, 0.0)))
        return _Bin(number, left, right - left, bottom, top - bottom, first, last)

    def _split(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Raw widths, heights and slopes, (B, K or K - 1, C, ...) each."""
        return raw.unflatten(1, (self.width, -1)).split((self.bins, self.bins, self.bins - 1), 1)

    def _knots(self, raw: Tensor, smallest: float) -> Tensor:
        """The K - 1 inner knots, (B, K - 1, C, ...)."""
        fractions = smallest + (1.0 - smallest * self.bins) * raw.softmax(1)[:, :-1]
        return (fractions.cumsum(1) - 0.5) * (2.0 * self.bound)

    def _slope(self, raw: Tensor) -> Tensor:
        """A slope above ``min_derivative``, 1 for a raw zero."""
        return self.min_derivative + F.softplus(raw + math.log(math.expm1(1.0 - self.min_derivative)))

    def _pull(
        self,
        call: Callable[[Tensor, _Bin], tuple[Tensor, Tensor]],
        point: tuple[Tensor, Tensor, _Bin],
        grads: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Gradients of the value and of the raw numbers, through those of the ends of each cell's bin."""
        value, raw, where = point
        leaves = [one.detach().requires_grad_() for one in (value, *where[1:])]
        with torch.enable_grad():
            outputs = call(leaves[0], _Bin(where.number, *leaves[1:]))
        grad, left, width, bottom, height, first, last = torch.autograd.grad(outputs, leaves, grads)
        widths, heights, _ = self._split(raw)
        parts = (
            self._pull_knots(widths, self.min_width, (left - width, width), where.number),
            self._pull_knots(heights, self.min_height, (bottom - height, height), where.number),
            self._pull_slopes(where, (first, last)),
        )
        return grad, torch.cat(parts, 1).flatten(1, 2)

    def _pull_knots(
        self, raw: Tensor, smallest: float, ends: tuple[Tensor, Tensor], number: Tensor
    ) -> Tensor:
        """A wider bin moves every knot right of it; the softmax takes that width from all bins."""
        knots = _from_ends(ends, number, self.bins - 1)
        grad = F.pad(knots.flip(1).cumsum(1).flip(1).movedim(1, -1), (0, 1)).movedim(-1, 1)
        softmax = raw.softmax(1)
        scale = 2.0 * self.bound * (1.0 - smallest * self.bins)
        return softmax.mul_(grad.sub_((softmax * grad).sum(1, keepdim=True))).mul_(scale)

    def _pull_slopes(self, where: _Bin, ends: tuple[Tensor, Tensor]) -> Tensor:
        """Through the softplus: its derivative is 1 - exp(-softplus)."""
        first, last = (
            grad * -torch.expm1(self.min_derivative - slope)
            for grad, slope in zip(ends, (where.first, where.last), strict=True)
        )
        return _from_ends((first, last), where.number, self.bins - 1)


class _Bin(NamedTuple):
    """Every cell's bin: its number, (B, 1, C, ...); where it lies and the slopes at its ends, (B, C, ...)."""

    number: Tensor
    left: Tensor
    width: Tensor
    bottom: Tensor
    height: Tensor
    first: Tensor
    last: Tensor


def _at_ends(inner: Tensor, number: Tensor, outer: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Values at the left and right end of bin ``number``, from those at the inner and the outer knots."""
    count = inner.shape[1]
    left = inner.gather(1, (number - 1).clamp_min(0)).masked_fill(number == 0, outer[0])
    right = inner.gather(1, number.clamp_max(count - 1)).masked_fill(number == count, outer[1])
    return left.squeeze(1), right.squeeze(1)


def _from_ends(ends: tuple[Tensor, Tensor], number: Tensor, count: int) -> Tensor:
    """The adjoint of :func:`_at_ends`: gradients of the ``count`` inner values; outer knots stay."""
    left, right = (grad[:, None] for grad in ends)
    inner = left.new_zeros(left.shape[0], count, *left.shape[2:])
    inner.scatter_add_(1, (number - 1).clamp_min(0), left.masked_fill(number == 0, 0.0))
    return inner.scatter_add_(1, number.clamp_max(count - 1), right.masked_fill(number == count, 0.0))


def _held(share: Tensor) -> Tensor:
    """Keep a share within [0, 1]: rounding may carry a rebuilt value past the end of its bin."""
    # The value is held, not its gradient.
    return share + (share.clamp(0.0, 1.0) - share).detach()


def _curve(theta: Tensor, rest: Tensor, where: _Bin) -> tuple[Tensor, Tensor]:
    """The share of the bin's height below z, and log dz/dx, where theta of its width lies left of x."""
    mean, both = where.height / where.width, theta * rest
    denominator = mean * (theta.square() + rest.square()) + (where.first + where.last) * both
    share = theta * (mean * theta + where.first * rest) / denominator
    slope = where.last * theta.square() + 2.0 * mean * both + where.first * rest.square()
    return share, (slope * (mean / denominator).square()).log()


def _position(share: Tensor, where: _Bin) -> tuple[Tensor, Tensor]:
    r"""Undo the share of :func:`_curve`: (theta, 1 - theta), both to full relative precision.

    With e = d_0 (1 - share) - d_1 share, u = 2 s share, v = 2 s (1 - share) and r^2 = e^2 + u v, the root of
    the quadratic in [0, 1] is u / (u + e + r), and the same number is (r - e) / (v + r - e). The sign of e
    tells in which of them nothing cancels.
    """
    rest, mean = 1.0 - share, where.height / where.width
    excess = where.first * rest - where.last * share
    below, above = 2.0 * mean * share, 2.0 * mean * rest
    rising = excess >= 0.0
    large = torch.where(rising, excess, -excess) + (excess.square() + below * above).sqrt()
    total = large + torch.where(rising, below, above)
    return torch.where(rising, below, large) / total, torch.where(rising, large, above) / total


def _total(inside: Tensor, log_slopes: Tensor) -> Tensor:
    """Sum over the cells of each sample; outside the bound the slope is 1."""
    return torch.where(inside, log_slopes, 0.0).flatten(1).sum(1)
