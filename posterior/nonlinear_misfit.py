"""The misfit of a nonlinear forward map, such as full waveform modelling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from posterior.misfit import Misfit, compare_products, inner_products


@final
class NonlinearMisfit(Misfit):
    r"""The misfit of a nonlinear forward map, given by functions; built from full waveform modelling, say.

    With the Gauss-Newton product J^T J v for ``curvature`` the gradient of a network that has g inside is
    approximate, and exact for data that the model explains; with the full Hessian product it is exact.

    Args:
        gradient: Maps (x, d) to g; counts as one application of F and one of J^T a sample.
        curvature: Maps (x, d, v) to H v; counts as one of J and one of J^T.
        model_shape: Shape (C, ...) of one sample of x.
        jacobian: Maps (x, d, v) to J v, for gradients in the data; None where none are wanted.
    """

    def __init__(
        self,
        gradient: Callable[[Tensor, Tensor], Tensor],
        curvature: Callable[[Tensor, Tensor, Tensor], Tensor],
        model_shape: Sequence[int],
        *,
        jacobian: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(model_shape)
        self._calls = (gradient, curvature, jacobian)
        self._num_forward = self._num_adjoint = 0

    @property
    def num_forward(self) -> int:
        """Samples to which F or J was applied so far."""
        return self._num_forward

    @property
    def num_adjoint(self) -> int:
        """Samples to which J^T was applied so far."""
        return self._num_adjoint

    def _gradient(self, x: Tensor, d: Tensor) -> Tensor:
        return cast("Tensor", _Gradient.apply(self, x, d))

    def evaluate(self, x: Tensor, d: Tensor) -> Tensor:
        """Return g without a graph, outside of autograd and autocast."""
        return self._call(0, x, d)

    def pullback(
        self, x: Tensor, d: Tensor, v: Tensor, *, of_data: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return (H v, -J v).

        Raises:
            ValueError: If the gradient in the data is wanted and no ``jacobian`` was given.
        """
        if of_data and self._calls[2] is None:
            raise ValueError("expected data without gradient, as no jacobian was given: detach() them")
        product = self._call(1, x, d, v)
        self.check_shape("a curvature product", product)
        return product, -self._call(2, x, d, v, adjoint=False) if of_data else None

    def check(self, x: Tensor, d: Tensor, *, rtol: float | None = None) -> float:
        """Compare <H u, w> and <u, H w>, with u random and w = H u with noise as strong."""
        draws = torch.Generator().manual_seed(0)
        u = torch.randn(x.shape, generator=draws).to(x)
        curved, _ = self.pullback(x, d, u)
        w = curved + torch.randn(x.shape, generator=draws).to(x) * curved.square().mean().sqrt()
        returned, _ = self.pullback(x, d, w)
        return compare_products(
            "<H u, w> = <u, H w>", inner_products(curved, w), inner_products(u, returned), x.dtype, rtol
        )

    def _call(self, which: int, *arguments: Tensor, adjoint: bool = True) -> Tensor:
        x = arguments[0]
        self._num_forward += len(x)
        self._num_adjoint += len(x) * adjoint
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            return cast("Any", self._calls[which])(*(one.detach() for one in arguments)).to(x)


class _Gradient(torch.autograd.Function):
    """g of a nonlinear misfit as a node of the graph."""

    @staticmethod
    def forward(ctx: Any, misfit: NonlinearMisfit, x: Tensor, d: Tensor) -> Tensor:
        ctx.misfit = misfit
        ctx.save_for_backward(x, d)
        return misfit.evaluate(x, d)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor | None]:
        return None, *ctx.misfit.pullback(*ctx.saved_tensors, grad, of_data=ctx.needs_input_grad[2])
