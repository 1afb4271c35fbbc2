"""The spline against its own formula in scalar arithmetic, its laws, and its limits in float32."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from posterior.layers.elementwise import Elementwise
from posterior.layers.spline import RationalQuadraticSpline

SPLINES = {
    "default": RationalQuadraticSpline(),
    "2 bins": RationalQuadraticSpline(bins=2, bound=2.0),
    "12 bins": RationalQuadraticSpline(
        bins=12, bound=3.0, min_width=0.01, min_height=0.02, min_derivative=0.1
    ),
}
every = pytest.mark.parametrize("spline", SPLINES.values(), ids=SPLINES.keys())


def problem(
    spline: RationalQuadraticSpline, shape: tuple[int, ...] = (3, 2, 5, 4), scale: float = 1.5
) -> tuple[Tensor, Tensor]:
    """Values, some of them beyond the bound, and raw numbers."""
    torch.manual_seed(0)
    x = 1.3 * spline.bound * (2.0 * torch.rand(shape, dtype=torch.float64) - 1.0)
    raw = scale * torch.randn(shape[0], spline.width * shape[1], *shape[2:], dtype=torch.float64)
    return x, raw


def knots(spline: RationalQuadraticSpline, raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Knots in x, in z and the slopes there of one cell, with numpy."""

    def places(numbers: NDArray[np.float64], smallest: float) -> NDArray[np.float64]:
        shares = np.exp(numbers) / np.exp(numbers).sum()
        widths = 2.0 * spline.bound * (smallest + (1.0 - smallest * spline.bins) * shares)
        return np.concatenate([[0.0], np.cumsum(widths)]) - spline.bound

    shift = math.log(math.exp(1.0 - spline.min_derivative) - 1.0)
    slopes = spline.min_derivative + np.log1p(np.exp(raw[2 * spline.bins :] + shift))
    x_knots = places(raw[: spline.bins], spline.min_width)
    z_knots = places(raw[spline.bins : 2 * spline.bins], spline.min_height)
    return x_knots, z_knots, np.concatenate([[1.0], slopes, [1.0]])


def evaluated(spline: RationalQuadraticSpline, x: float, raw: NDArray[np.float64]) -> tuple[float, float]:
    """(z, log dz/dx) by eq. (4) and (5) of Durkan et al., as printed."""
    if abs(x) >= spline.bound:
        return x, 0.0
    x_knots, z_knots, slopes = knots(spline, raw)
    k = int(np.searchsorted(x_knots, x, side="right")) - 1
    width, height = x_knots[k + 1] - x_knots[k], z_knots[k + 1] - z_knots[k]
    xi, s = (x - x_knots[k]) / width, height / width
    denominator = s + (slopes[k + 1] + slopes[k] - 2.0 * s) * xi * (1.0 - xi)
    z = z_knots[k] + height * (s * xi**2 + slopes[k] * xi * (1.0 - xi)) / denominator
    numerator = slopes[k + 1] * xi**2 + 2.0 * s * xi * (1.0 - xi) + slopes[k] * (1.0 - xi) ** 2
    return z, math.log(s**2 * numerator / denominator**2)


@every
def test_zeros_give_the_identity(spline: RationalQuadraticSpline) -> None:
    x, raw = problem(spline)
    for call in (spline.forward, spline.inverse):
        z, logdet = call(x, (torch.zeros_like(raw),))
        torch.testing.assert_close(z, x, atol=1e-14, rtol=1e-14)
        torch.testing.assert_close(logdet, torch.zeros_like(logdet), atol=1e-12, rtol=0.0)


@every
def test_value_and_slope_are_those_of_the_paper(spline: RationalQuadraticSpline) -> None:
    x, raw = problem(spline, (2, 3, 4))
    z, logdet = spline.forward(x, (raw,))
    numbers = raw.unflatten(1, (spline.width, 3)).numpy()
    for sample in range(2):
        total = 0.0
        for channel, cell in np.ndindex(3, 4):
            expected, log_slope = evaluated(
                spline, x[sample, channel, cell].item(), numbers[sample, :, channel, cell]
            )
            # The printed form cancels a little; both are right to some 1e-14.
            assert z[sample, channel, cell].item() == pytest.approx(expected, abs=1e-12)
            total += log_slope
        assert logdet[sample].item() == pytest.approx(total, abs=1e-11)


@every
def test_knots_meet_knots_exactly(spline: RationalQuadraticSpline) -> None:
    _, raw = problem(spline, (1, 1))
    x_knots, z_knots, slopes = (torch.from_numpy(some) for some in knots(spline, raw[0].numpy()))
    same = raw.expand(spline.bins + 1, -1)
    z, _ = spline.forward(x_knots[:, None], (same,))
    x, _ = spline.inverse(z_knots[:, None], (same,))
    # The knots of numpy and torch are sums in another order: a few units in the last place apart.
    torch.testing.assert_close(z[:, 0], z_knots, atol=1e-13, rtol=0.0)
    torch.testing.assert_close(x[:, 0], x_knots, atol=1e-13, rtol=0.0)
    _, log_slopes = spline.forward(x_knots[:, None] + 1e-9, (same,))
    torch.testing.assert_close(log_slopes, slopes.log(), atol=1e-5, rtol=1e-5)


@every
def test_round_trip_and_slope_by_autograd(spline: RationalQuadraticSpline) -> None:
    x, raw = problem(spline)
    for call, undo in ((spline.forward, spline.inverse), (spline.inverse, spline.forward)):
        x.requires_grad_()
        z, logdet = call(x, (raw,))
        (slope,) = torch.autograd.grad(z.sum(), x)
        back, logdet_back = undo(z.detach(), (raw,))
        x = x.detach()
        # Flat pieces, of slope 1e-4 or so, amplify the rounding of the value there.
        torch.testing.assert_close(back, x, atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(logdet, slope.log().flatten(1).sum(1), atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(logdet_back, -logdet, atol=1e-9, rtol=1e-10)


@every
def test_increases_and_is_the_identity_outside(spline: RationalQuadraticSpline) -> None:
    _, raw = problem(spline, (1, 1), scale=4.0)
    x = torch.linspace(-1.5 * spline.bound, 1.5 * spline.bound, 20_001, dtype=torch.float64)[:, None]
    same = raw.expand(len(x), -1)
    z, log_slopes = spline.forward(x, (same,))
    outside = x.abs() >= spline.bound
    assert (z.diff(dim=0) > 0.0).all()
    assert torch.equal(z[outside], x[outside])
    assert not log_slopes[outside[:, 0]].any()
    assert log_slopes.isfinite().all()
    ends = torch.tensor([[-spline.bound], [spline.bound]], dtype=torch.float64) * (1.0 - 1e-12)
    _, at_ends = spline.forward(ends, (raw.expand(2, -1),))
    # The slope is continuous at the bound: 1 there, up to curvature times the distance.
    torch.testing.assert_close(at_ends, torch.zeros_like(at_ends), atol=1e-6, rtol=0.0)


@every
@pytest.mark.parametrize("shape", [(4, 3), (3, 2, 5), (2, 2, 3, 4), (2, 1, 3, 2, 2)], ids=str)
def test_closed_gradients_equal_those_of_autograd(
    spline: RationalQuadraticSpline, shape: tuple[int, ...]
) -> None:
    x, raw = problem(spline, shape)
    grad, grad_logdet = torch.randn_like(x), torch.randn_like(x[:, :1]).flatten(1)[:, 0]
    for name, out in (("undo_forward", spline.forward(x, (raw,))[0]), ("undo_inverse", x)):
        arguments = (out, (raw.clone().requires_grad_(),), grad, grad_logdet)
        found = getattr(spline, name)(*arguments)
        for got, expected in zip(found, getattr(Elementwise, name)(spline, *arguments), strict=True):
            assert not got.requires_grad
            torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


@every
def test_gradients_agree_with_finite_differences(spline: RationalQuadraticSpline) -> None:
    x, raw = problem(spline, (2, 2, 3), scale=0.7)
    x.requires_grad_()
    raw.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, raw: spline.forward(x, (raw,)), (x, raw))
    assert torch.autograd.gradcheck(lambda z, raw: spline.inverse(z, (raw,)), (x, raw))


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_float32_stays_finite_and_the_inverse_hits_its_value(scale: float) -> None:
    spline = RationalQuadraticSpline()
    x, raw = (value.float() for value in problem(spline, (64, 3, 100), scale))
    back, logdet = spline.inverse(x, (raw,))
    z, _ = spline.forward(back, (raw,))
    # Steep pieces amplify the rounding of back, 5e-7 near the bound, by up to 2000: twice the steepest bin,
    # 10 high and 0.01 wide.
    torch.testing.assert_close(z, x, atol=1e-3, rtol=0.0)
    assert logdet.isfinite().all()
    for undo in (spline.undo_forward, spline.undo_inverse):
        for found in undo(x, (raw,), torch.ones_like(x), torch.ones(64)):
            assert found.isfinite().all()


def test_values_that_are_not_numbers_stay_so() -> None:
    spline = SPLINES["2 bins"]
    x = torch.tensor([[math.nan], [math.inf], [-math.inf]])
    z, _ = spline.forward(x, (torch.randn(3, spline.width),))
    torch.testing.assert_close(z, x, equal_nan=True)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="expected at least 2 bins, got 1"):
        RationalQuadraticSpline(bins=1)
    with pytest.raises(ValueError, match=r"expected a positive bound, got -1\.0"):
        RationalQuadraticSpline(bound=-1.0)
    with pytest.raises(ValueError, match=r"expected min_height between 0 and 0\.1 for 10 bins, got 0\.1"):
        RationalQuadraticSpline(bins=10, min_height=0.1)
    with pytest.raises(ValueError, match=r"expected min_derivative between 0 and 1 for 8 bins, got 0\.0"):
        RationalQuadraticSpline(min_derivative=0.0)
