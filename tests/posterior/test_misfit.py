"""Misfits: gradients and their derivatives, counts, samples with operators of their own, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from posterior.linear_map import LinearMap
from posterior.linear_misfit import LinearMisfit, one_each
from posterior.misfit import AdjointError, NonFiniteGradientError
from posterior.nonlinear_misfit import NonlinearMisfit

MATRICES = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SHAPE = (2, 4)


def operator(matrix: Tensor, adjoint_of: Tensor | None = None) -> LinearMap:
    back = matrix if adjoint_of is None else adjoint_of
    return LinearMap(lambda x: x.flatten(1) @ matrix.T, lambda d: (d @ back).view(-1, *SHAPE))


def pair(batch: int = 3) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(1)
    x = torch.randn(batch, *SHAPE, generator=draws, dtype=torch.float64)
    return x, torch.randn(batch, 6, generator=draws, dtype=torch.float64)


def cubic(**options: bool) -> NonlinearMisfit:
    """F(x) = (A x)^3, with the Gauss-Newton product."""
    matrix = MATRICES[0]

    def jacobian(x: Tensor, d: Tensor, v: Tensor) -> Tensor:
        return 3.0 * (x.flatten(1) @ matrix.T).square() * (v.flatten(1) @ matrix.T)

    def adjoint(x: Tensor, r: Tensor) -> Tensor:
        return ((3.0 * (x.flatten(1) @ matrix.T).square() * r) @ matrix).view(x.shape)

    return NonlinearMisfit(
        lambda x, d: adjoint(x, (x.flatten(1) @ matrix.T) ** 3 - d),
        lambda x, d, v: adjoint(x, jacobian(x, d, v)),
        SHAPE,
        jacobian=jacobian if options.get("with_jacobian", True) else None,
    )


def test_linear_gradient_and_its_derivatives() -> None:
    misfit, (x, d) = LinearMisfit(operator(MATRICES[0]), SHAPE), pair()
    x.requires_grad_()
    value = 0.5 * (x.flatten(1) @ MATRICES[0].T - d).square().sum()
    (expected,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(misfit.gradient(x, d), expected, atol=1e-13, rtol=0.0)
    assert torch.autograd.gradcheck(misfit.gradient, (x, d.requires_grad_()))
    v = torch.randn_like(x)
    by_autograd = torch.autograd.grad(misfit.gradient(x, d), [x, d], v)
    for got, want in zip(misfit.pullback(x, d, v, of_data=True), by_autograd, strict=True):
        torch.testing.assert_close(got, want, atol=1e-13, rtol=0.0)


def test_nonlinear_backward_is_the_gauss_newton_product_and_exact_where_data_are_explained() -> None:
    misfit, (x, _) = cubic(), pair()
    explained = ((x.flatten(1) @ MATRICES[0].T) ** 3).detach()
    # The gradient is of third order in a step from the explained data, so differences see rounding alone
    # below 1e-5.
    assert torch.autograd.gradcheck(misfit.gradient, (x.requires_grad_(), explained.requires_grad_()))
    v, off = torch.randn_like(x), explained.detach() + 1.0
    (got,) = torch.autograd.grad(misfit.gradient(x, off), x, v)
    jacobian = torch.autograd.functional.jacobian(lambda u: (MATRICES[0] @ u.flatten()) ** 3, x[1].detach())
    flat = jacobian.view(6, 8)
    torch.testing.assert_close(got[1].flatten(), flat.T @ (flat @ v[1].flatten()), atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_applications_are_counted_by_sample(kind: str) -> None:
    misfit = LinearMisfit(operator(MATRICES[0]), SHAPE) if kind == "linear" else cubic()
    x, d = pair(5)
    gradient = misfit.gradient(x.requires_grad_(), d)
    assert (misfit.num_forward, misfit.num_adjoint) == (5, 5)
    gradient.sum().backward()
    assert (misfit.num_forward, misfit.num_adjoint) == (10, 10)


def test_every_sample_has_an_operator_of_its_own() -> None:
    misfit, (x, d) = LinearMisfit([operator(one) for one in MATRICES], SHAPE), pair()
    alone = [
        LinearMisfit(operator(one), SHAPE).gradient(x[i : i + 1], d[i : i + 1])
        for i, one in enumerate(MATRICES)
    ]
    torch.testing.assert_close(misfit.gradient(x, d), torch.cat(alone), atol=1e-14, rtol=0.0)
    assert misfit.num_adjoint == 3
    assert misfit.check(x, d) < 1e-12
    with pytest.raises(ValueError, match="expected 3 samples, one for each operator, got 2"):
        misfit.gradient(x[:2], d[:2])
    with pytest.raises(ValueError, match="expected at least one operator, got none"):
        one_each([])


def test_the_dot_test_passes_on_adjoints_and_names_the_figure_of_what_is_none() -> None:
    x, d = pair()
    assert LinearMisfit(operator(MATRICES[0]), SHAPE).check(x, d) < 1e-12
    assert cubic().check(x, d) < 1e-12
    scaled = LinearMisfit(operator(MATRICES[0], 1.001 * MATRICES[0]), SHAPE)
    with pytest.raises(
        AdjointError, match=r"<A u, w> = <u, A\^T w> within 1e-09, got .* mismatch of 0\.000999"
    ):
        scaled.check(x, d)
    assert scaled.check(x, d, rtol=2e-3) == pytest.approx(0.001 / 1.001, rel=1e-6)
    one_wrong = [operator(MATRICES[0]), operator(MATRICES[1], MATRICES[2]), operator(MATRICES[2])]
    with pytest.raises(AdjointError, match="for sample 1: a relative mismatch of"):
        LinearMisfit(one_wrong, SHAPE).check(x, d)
    skew = NonlinearMisfit(lambda x, d: x, lambda x, d, v: v.roll(1, -1), SHAPE)
    with pytest.raises(AdjointError, match="<H u, w> = <u, H w>"):
        skew.check(x, d)
    nothing = NonlinearMisfit(lambda x, d: x, lambda x, d, v: v * torch.nan, SHAPE)
    with pytest.raises(AdjointError, match="a relative mismatch of nan"):
        nothing.check(x, d)


@pytest.mark.parametrize("scale", [1e-12, 1e9])
def test_the_dot_test_in_single_precision_at_any_scale(scale: float) -> None:
    x, d = (values.float() for values in pair())
    assert LinearMisfit(operator(scale * MATRICES[0].float()), SHAPE).check(x, d) < 1e-5
    with pytest.raises(AdjointError, match=r"within 0\.0001"):
        LinearMisfit(operator(scale * MATRICES[0].float(), MATRICES[0].float()), SHAPE).check(x, d)


def test_what_does_not_fit_is_refused() -> None:
    misfit, (x, d) = LinearMisfit(operator(MATRICES[0]), SHAPE), pair()
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 2, 4\), got \(3, 4, 2\)"):
        misfit.gradient(x.mT, d)
    with pytest.raises(ValueError, match=r"expected data of 3 samples as x, got shape \(2, 6\)"):
        misfit.gradient(x, d[:2])
    with pytest.raises(ValueError, match=r"expected data of shape \(3, 6\), that of A x, got \(3, 5\)"):
        misfit.gradient(x, d[:, :5])
    with pytest.raises(ValueError, match=r"expected data of shape \(3, 6\), that of A x, got \(3, 5\)"):
        misfit.check(x, d[:, :5])
    with pytest.raises(NonFiniteGradientError, match=r"got nan or inf for samples \[1\] of 3"):
        misfit.gradient(x, d.index_fill(0, torch.tensor([1]), torch.nan))
    wrong = NonlinearMisfit(lambda x, d: x[:, :1], lambda x, d, v: v[..., :2], SHAPE)
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(B, 2, 4\), got \(3, 1, 4\)"):
        wrong.gradient(x, d)
    with pytest.raises(
        ValueError, match=r"expected a curvature product of shape \(B, 2, 4\), got \(3, 2, 2\)"
    ):
        wrong.pullback(x, d, x)
    without = cubic(with_jacobian=False)
    with pytest.raises(ValueError, match="expected data without gradient, as no jacobian was given"):
        without.gradient(x, d.requires_grad_()).sum().backward()


def test_operators_of_single_samples_run_there_and_back_before_the_next() -> None:
    # So that what one keeps between its two ways, such as wavefields, need be kept for one sample only.
    calls: list[tuple[int, str]] = []

    def noted(index: int) -> LinearMap:
        inner = operator(MATRICES[index])

        def call(which: str, values: Tensor) -> Tensor:
            calls.append((index, which))
            return inner.forward(values) if which == "forward" else inner.adjoint(values)

        return LinearMap(lambda x: call("forward", x), lambda d: call("adjoint", d))

    misfit, (x, d) = LinearMisfit([noted(index) for index in range(3)], SHAPE), pair()
    there_and_back = [(index, which) for index in range(3) for which in ("forward", "adjoint")]
    gradient = misfit.gradient(x, d)
    assert calls == there_and_back
    calls.clear()
    curved, moved = misfit.pullback(x, d, x, of_data=True)
    assert calls == there_and_back
    assert (misfit.num_forward, misfit.num_adjoint) == (6, 6)
    for index, matrix in enumerate(MATRICES):
        residual = matrix @ x[index].flatten() - d[index]
        torch.testing.assert_close(gradient[index].flatten(), matrix.T @ residual, atol=1e-12, rtol=0.0)
        torch.testing.assert_close(
            curved[index].flatten(), matrix.T @ (matrix @ x[index].flatten()), atol=1e-12, rtol=0.0
        )
        assert moved is not None
        torch.testing.assert_close(moved[index], -matrix @ x[index].flatten(), atol=1e-12, rtol=0.0)
