"""A linear operator handed in as two functions, differentiable: how physics reaches the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast, final

import torch
from torch import Tensor


@final
class LinearMap:
    r"""A linear operator A over batches, given by two functions and differentiable whatever they call.

    .. math:: d = A x, \qquad \frac{\partial L}{\partial x} = A^T \frac{\partial L}{\partial d}

    and the other way round for the adjoint; forward-mode derivatives and higher ones follow likewise. The
    functions may leave torch: they see tensors without a graph, never under autocast, and what they return is
    brought to the precision and device of what they were given.

    Args:
        forward: Maps x (B, ...) to d (B, ...), sample by sample.
        adjoint: Its exact adjoint, d to x.

    Attributes:
        num_forward: Samples to which A was applied so far, backward passes included.
        num_adjoint: Samples to which A^T was applied so far.

    Example:
        >>> matrix = torch.randn(5, 3)
        >>> operator = LinearMap(lambda x: x @ matrix.T, lambda d: d @ matrix)
        >>> operator.forward(torch.randn(8, 3)).shape, operator.num_forward
        (torch.Size([8, 5]), 8)
    """

    def __init__(self, forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]) -> None:
        self._calls = {"forward": forward, "adjoint": adjoint}
        self.num_forward = self.num_adjoint = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return A x."""
        return cast("Tensor", _Apply.apply(self, "forward", "adjoint", x))

    def adjoint(self, d: Tensor) -> Tensor:
        """Return A^T d."""
        return cast("Tensor", _Apply.apply(self, "adjoint", "forward", d))

    def misfit_gradient(self, x: Tensor, d: Tensor) -> Tensor:
        r"""Return :math:`A^T (A x - d)`, the gradient of :math:`\tfrac12 |A x - d|^2`.

        Raises:
            ValueError: If d has not the shape of A x, or the adjoint does not return to the shape of x.
        """
        predicted = self.forward(x)
        if predicted.shape != d.shape:
            raise ValueError(
                f"expected data of shape {tuple(predicted.shape)}, that of A x, got {tuple(d.shape)}"
            )
        gradient = self.adjoint(predicted - d)
        if gradient.shape != x.shape:
            raise ValueError(f"expected an adjoint to shape {tuple(x.shape)}, got {tuple(gradient.shape)}")
        return gradient

    def __deepcopy__(self, memo: dict[int, Any]) -> LinearMap:
        """Return itself: copies of a network share the operator, which may hold compiled code."""
        return self

    def _evaluate(self, which: str, values: Tensor) -> Tensor:
        """Call one of the two functions outside of autograd, and count."""
        with torch.no_grad(), torch.autocast(values.device.type, enabled=False):
            out = self._calls[which](values.detach())
        if len(out) != len(values):
            raise ValueError(
                f"expected {which} to return a batch of {len(values)}, got shape {tuple(out.shape)}"
            )
        if which == "forward":
            self.num_forward += len(values)
        else:
            self.num_adjoint += len(values)
        return out.to(values)


class _Apply(torch.autograd.Function):
    """A or A^T as a node of the graph; the other one takes gradients back."""

    @staticmethod
    def forward(operator: LinearMap, which: str, other: str, values: Tensor) -> Tensor:
        return operator._evaluate(which, values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.operator, ctx.which, ctx.other, _ = inputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, None, Tensor]:
        return None, None, None, _Apply.apply(ctx.operator, ctx.other, ctx.which, grads[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return _Apply.apply(ctx.operator, ctx.which, ctx.other, tangents[3])
