"""A linear operator from two functions: derivatives of every kind, even where the functions leave torch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from posterior.linear_map import LinearMap

# Torch scripts a few of its own derivatives when forward mode is first used, and warns about that.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")

MATRIX = torch.randn(6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
A = MATRIX.numpy()


def through_numpy() -> LinearMap:
    """(B, 2, 4) -> (B, 3, 2) by numpy in float32, as a modelling code would."""

    def forward(x: Tensor) -> Tensor:
        return torch.from_numpy((x.numpy().reshape(-1, 8) @ A.T).reshape(-1, 3, 2))

    def adjoint(d: Tensor) -> Tensor:
        return torch.from_numpy((d.numpy().reshape(-1, 6) @ A).reshape(-1, 2, 4))

    return LinearMap(forward, adjoint)


def image(batch: int = 3) -> Tensor:
    return torch.randn(batch, 2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def data(batch: int = 3) -> Tensor:
    return torch.randn(batch, 3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_derivatives_of_every_kind() -> None:
    operator = through_numpy()
    for call, point in ((operator.forward, image()), (operator.adjoint, data())):
        assert torch.autograd.gradcheck(call, point.requires_grad_(), check_forward_ad=True)
        # A square makes the second derivative something other than zero.
        assert torch.autograd.gradgradcheck(lambda v, call=call: call(v).square(), point)


def test_gradient_of_the_misfit_and_its_derivatives() -> None:
    operator, x, d = through_numpy(), image().requires_grad_(), data().requires_grad_()
    misfit = 0.5 * (x.flatten(1) @ MATRIX.T - d.flatten(1)).square().sum()
    (expected,) = torch.autograd.grad(misfit, x)
    torch.testing.assert_close(operator.misfit_gradient(x, d), expected, atol=1e-13, rtol=0.0)
    assert torch.autograd.gradcheck(operator.misfit_gradient, (x, d), check_forward_ad=True)


def test_torch_func_sees_the_same_derivatives() -> None:
    operator, x, dx = through_numpy(), image(), image().flip(0)
    d, moved = torch.func.jvp(operator.forward, (x,), (dx,))
    torch.testing.assert_close(moved, operator.forward(dx), atol=1e-14, rtol=0.0)
    _, pull = torch.func.vjp(operator.forward, x)
    torch.testing.assert_close(pull(d)[0], operator.adjoint(d), atol=1e-14, rtol=0.0)


def test_applications_are_counted_by_sample() -> None:
    operator = through_numpy()
    d = operator.forward(image(5).requires_grad_())
    assert (operator.num_forward, operator.num_adjoint) == (5, 0)
    d.sum().backward()
    assert (operator.num_forward, operator.num_adjoint) == (5, 5)
    assert copy.deepcopy(operator) is operator  # copies of a network go on counting


def test_precision_is_that_of_the_input_and_never_that_of_autocast() -> None:
    operator = LinearMap(lambda x: x @ MATRIX.T.to(x.dtype), lambda d: (d @ MATRIX.to(d.dtype)).double())
    x = image().flatten(1).float()
    with torch.autocast("cpu", torch.bfloat16):
        d = operator.forward(x)
    torch.testing.assert_close(d, x @ MATRIX.T.float(), atol=1e-5, rtol=0.0)
    assert operator.adjoint(d).dtype == torch.float32


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected data of shape \(3, 3, 2\), that of A x, got \(3, 6\)"):
        through_numpy().misfit_gradient(image(), data().flatten(1))
    with pytest.raises(ValueError, match=r"expected forward to return a batch of 3, got shape \(1, 2, 4\)"):
        LinearMap(lambda x: x[:1], lambda d: d).forward(image())
    flat = LinearMap(lambda x: x, lambda d: d.flatten(1))
    with pytest.raises(ValueError, match=r"expected an adjoint to shape \(3, 2, 4\), got \(3, 8\)"):
        flat.misfit_gradient(image(), image())
