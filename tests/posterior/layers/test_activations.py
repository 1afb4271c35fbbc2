"""Activations: their values, their ends, and gradients that stay exact where they saturate."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from posterior.layers.activations import Activation, ExpClamp, LeakyReLU, Sigmoid
from posterior.reversible import Memory, Sequential

F64 = torch.float64
BOUNDED = {"sigmoid": Sigmoid, "exp clamp": ExpClamp}
bounded = pytest.mark.parametrize("kind", BOUNDED.values(), ids=BOUNDED.keys())


def column(*values: float, dtype: torch.dtype = F64) -> Tensor:
    """One sample a number, as vectors of one channel."""
    return torch.tensor(values, dtype=dtype)[:, None]


def test_values() -> None:
    x = column(-1.5, 0.0, 2.0)
    torch.testing.assert_close(Sigmoid(ndim=0)(x)[0], torch.sigmoid(x))
    torch.testing.assert_close(Sigmoid(-3.0, 7.0, ndim=0)(x)[0], -3.0 + 10.0 * torch.sigmoid(x))
    torch.testing.assert_close(Sigmoid(ndim=0).inverse(column(0.1, 0.7))[0], torch.logit(column(0.1, 0.7)))
    torch.testing.assert_close(LeakyReLU(0.2, ndim=0)(x)[0], column(-0.3, 0.0, 2.0))
    torch.testing.assert_close(LeakyReLU(0.2, ndim=0)(x)[1].exp(), column(0.2, 1.0, 1.0)[:, 0])
    torch.testing.assert_close(ExpClamp(0.636 * math.pi, ndim=0)(x)[0], (1.272 * torch.atan(x)).exp())


def test_log_determinant_of_the_sigmoid_is_accurate_far_out() -> None:
    x = column(-800.0, -40.0, 40.0, 800.0)
    _, logdet = Sigmoid(0.0, 2.0, ndim=0)(x)
    # log f' = log 2 - |x| - 2 log(1 + e^-|x|), whose last term is below 1e-17 here.
    torch.testing.assert_close(logdet, math.log(2.0) - x.abs()[:, 0], atol=1e-14, rtol=1e-15)


def test_log_determinant_of_the_clamp_does_not_overflow() -> None:
    x = column(1e30, -1e30, dtype=torch.float32)
    _, logdet = ExpClamp(2.0, ndim=0)(x)
    expected = math.log(4.0 / math.pi) - 2.0 * math.log(1e30) + torch.tensor([2.0, -2.0])
    torch.testing.assert_close(logdet, expected, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("memory", ["invert", "checkpoint", "store"])
@bounded
def test_gradient_is_exact_where_the_output_is_saturated(kind: type[Activation], memory: Memory) -> None:
    x = column(-1e6, -120.0, -30.0, -0.4, 0.3, 30.0, 120.0, 1e6, dtype=torch.float32).requires_grad_()
    layer = kind(ndim=0)
    z, logdet = Sequential([layer, kind(ndim=0)], memory)(x)
    (2.0 * z.sum() + logdet.sum()).backward()
    wide = x.detach().double().requires_grad_()
    inner, first = layer(wide)
    outer, second = kind(ndim=0)(inner)
    (2.0 * outer.sum() + first.sum() + second.sum()).backward()
    assert x.grad is not None
    assert wide.grad is not None
    torch.testing.assert_close(x.grad.double(), wide.grad, atol=1e-5, rtol=1e-5)


def test_only_what_saturates_keeps_its_input_and_only_going_forward() -> None:
    x = column(0.3, 0.6)
    for layer in (Sigmoid(ndim=0), ExpClamp(ndim=0)):
        out, logdet, trace = layer.record(x)
        assert [torch.equal(a, b) for a, b in zip((out, logdet), layer(x), strict=True)] == [True, True]
        assert trace[0] is x
        assert layer.record(out, inverse=True)[2] == ()
    assert LeakyReLU(ndim=0).record(x)[2] == ()


@bounded
@pytest.mark.parametrize("place", ["below", "end", "above", "nan"])
def test_inverse_refuses_what_no_input_gives(kind: type[Activation], place: str) -> None:
    end = math.exp(-2.0) if kind is ExpClamp else 0.0
    wrong = {"below": end - 1.0, "end": end, "above": 9.0, "nan": math.nan}[place]
    with pytest.raises(ValueError, match=r"expected z strictly between .* and .*, got values from .* to .*"):
        kind(ndim=0).inverse(column(0.5, wrong))


def test_message_names_interval_and_range() -> None:
    with pytest.raises(
        ValueError, match=r"expected z strictly between 1500 and 4500, got values from 1.4 to 4500.5"
    ):
        Sigmoid(1500.0, 4500.0, ndim=0).inverse(column(1.4, 2000.0, 4500.5))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"expected low below high, got 1\.0 and 1\.0"):
        Sigmoid(1.0, 1.0)
    with pytest.raises(ValueError, match=r"expected a positive slope, got 0\.0"):
        LeakyReLU(0.0)
    with pytest.raises(ValueError, match=r"expected a positive clamp, got -1\.0"):
        ExpClamp(-1.0)
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, or 0 for vectors, got 4"):
        Sigmoid(ndim=4)
    with pytest.raises(ValueError, match=r"expected x of shape \(B, C, nx, nz\), got \(3, 2\)"):
        Sigmoid()(torch.zeros(3, 2))
