"""The misfit of a linear operator, whose derivatives are exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from posterior.linear_map import LinearMap
from posterior.misfit import Misfit, compare_products, inner_products


@final
class LinearMisfit(Misfit):
    r"""The misfit of a linear operator, such as Born modelling.

    .. math:: g = A^T (A x - d), \qquad H v = A^T A v, \qquad -J v = -A v

    The derivatives are exact, of any order and kind.

    Args:
        operator: The operator A for the whole batch, or one for each of its samples.
        model_shape: Shape (C, ...) of one sample of x.

    Raises:
        ValueError: If there is no operator.

    Example:
        >>> matrix = torch.randn(12, 36)
        >>> operator = LinearMap(lambda x: x.flatten(1) @ matrix.T, lambda d: (d @ matrix).view(-1, 1, 6, 6))
        >>> misfit = LinearMisfit(operator, (1, 6, 6))
        >>> misfit.gradient(torch.zeros(2, 1, 6, 6), torch.randn(2, 12)).shape, misfit.num_adjoint
        (torch.Size([2, 1, 6, 6]), 2)
    """

    def __init__(self, operator: LinearMap | Sequence[LinearMap], model_shape: Sequence[int]) -> None:
        super().__init__(model_shape)
        self._each = [] if isinstance(operator, LinearMap) else [_counted(one) for one in operator]
        self.operator = operator if isinstance(operator, LinearMap) else one_each(self._each)

    @property
    def num_forward(self) -> int:
        """Samples to which A was applied so far."""
        return sum(one.num_forward for one in self._each or [self.operator])

    @property
    def num_adjoint(self) -> int:
        """Samples to which A^T was applied so far."""
        return sum(one.num_adjoint for one in self._each or [self.operator])

    def _gradient(self, x: Tensor, d: Tensor) -> Tensor:
        if len(self._each) != len(x):  # one operator for all, or a mistake that it names
            return self.operator.misfit_gradient(x, d)
        # Sample by sample: waves that A has just run through a model serve its A^T.
        parts = zip(self._each, x.split(1), d.split(1), strict=True)
        return torch.cat([one.misfit_gradient(*sample) for one, *sample in parts])

    @torch.no_grad()
    def pullback(
        self, x: Tensor, d: Tensor, v: Tensor, *, of_data: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return (A^T A v, -A v)."""
        pairs = zip(self._each, v.split(1), strict=True) if self._each else [(self.operator, v)]
        moved, products = [], []
        for one, values in pairs:
            moved.append(one.forward(values))
            products.append(one.adjoint(moved[-1]))
        return torch.cat(products), -torch.cat(moved) if of_data else None

    @torch.no_grad()
    def check(self, x: Tensor, d: Tensor, *, rtol: float | None = None) -> float:
        """Compare <A u, w> and <u, A^T w>, with u random and w = A u with noise as strong.

        So the products have no cancellation in them, which would hide or feign a mismatch.
        """
        draws = torch.Generator().manual_seed(0)
        u = torch.randn(x.shape, generator=draws).to(x)
        modelled = self.operator.forward(u)
        if modelled.shape != d.shape:
            raise ValueError(
                f"expected data of shape {tuple(modelled.shape)}, that of A x, got {tuple(d.shape)}"
            )
        noise = torch.randn(d.shape, generator=draws).to(modelled)
        w = modelled + noise * modelled.square().mean().sqrt()
        returned = self.operator.adjoint(w)
        self.check_shape("an adjoint", returned)
        return compare_products(
            "<A u, w> = <u, A^T w>", inner_products(modelled, w), inner_products(u, returned), x.dtype, rtol
        )


def _counted(operator: LinearMap) -> LinearMap:
    """The same operator, whose applications are counted from here on."""
    return LinearMap(operator.forward, operator.adjoint)


def one_each(operators: Sequence[LinearMap]) -> LinearMap:
    """One operator for a batch from one for each of its samples, which may differ in geometry.

    Raises:
        ValueError: If there is none; when applied, if the batch has another number of samples.
    """
    each = list(operators)
    if not each:
        raise ValueError("expected at least one operator, got none")

    def apply(which: str, values: Tensor) -> Tensor:
        if len(values) != len(each):
            raise ValueError(f"expected {len(each)} samples, one for each operator, got {len(values)}")
        pairs = zip(each, values.split(1), strict=True)
        return torch.cat([getattr(operator, which)(one) for operator, one in pairs])

    return LinearMap(lambda x: apply("forward", x), lambda d: apply("adjoint", d))
