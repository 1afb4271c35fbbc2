"""What the physics tells a network: the gradient of the data misfit, and the derivative of that gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor


@final
class NonFiniteGradientError(ValueError):
    """A misfit's gradient is not finite; the message names the sample."""


@final
class AdjointError(ValueError):
    """An operator and its adjoint do not belong together; the message names the figure."""


class Misfit(ABC):
    r"""Half the squared distance of modelled from observed data, for a batch of models.

    .. math:: \Phi(x, d) = \tfrac12 \lVert F(x) - d \rVert^2, \qquad g = \nabla_x \Phi = J^T (F(x) - d)

    A network that has g inside needs, on the way back, the products of a vector v with the derivatives of g:

    .. math:: \frac{\partial \langle g, v \rangle}{\partial x} = H v, \qquad
              \frac{\partial \langle g, v \rangle}{\partial d} = -J v

    with H = J^T J for a linear F. Every sample may have an operator, a geometry or an encoding of its own.

    Attributes:
        model_shape: Shape (C, ...) of one sample of x.

    Shapes:
        x, g, v: (B, *model_shape). d: (B, ...), as F gives it.
    """

    def __init__(self, model_shape: Sequence[int]) -> None:
        self.model_shape = tuple(model_shape)

    @property
    @abstractmethod
    def num_forward(self) -> int:
        """Samples to which F or J was applied so far."""

    @property
    @abstractmethod
    def num_adjoint(self) -> int:
        """Samples to which J^T was applied so far."""

    def gradient(self, x: Tensor, d: Tensor) -> Tensor:
        """Return g, differentiable by autograd; one application of F and one of J^T a sample.

        Raises:
            ValueError: If a shape does not fit.
            NonFiniteGradientError: If g is not finite.
        """
        self.check_shape("x", x)
        if len(d) != len(x):
            raise ValueError(f"expected data of {len(x)} samples as x, got shape {tuple(d.shape)}")
        gradient = self._gradient(x, d)
        self.check_shape("a gradient", gradient)
        finite = gradient.detach().flatten(1).isfinite().all(1)
        if not bool(finite.all()):
            bad = finite.logical_not().nonzero().flatten().tolist()
            raise NonFiniteGradientError(
                f"expected a finite gradient of the misfit, got nan or inf for samples {bad} of {len(x)}"
            )
        return gradient

    @abstractmethod
    def _gradient(self, x: Tensor, d: Tensor) -> Tensor:
        """Return g, differentiable by autograd."""

    @abstractmethod
    def pullback(
        self, x: Tensor, d: Tensor, v: Tensor, *, of_data: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return (H v, -J v) without a graph; the second is None unless ``of_data``.

        One application of J and one of J^T a sample.
        """

    @abstractmethod
    def check(self, x: Tensor, d: Tensor, *, rtol: float | None = None) -> float:
        """Test that J^T is the adjoint of J, at a batch of models and data.

        Args:
            x: Models; their values matter to a nonlinear F alone.
            d: Data.
            rtol: Largest relative mismatch; by default 1e-9 in double and 1e-4 in single precision.

        Returns:
            The mismatch, the worst of the samples.

        Raises:
            AdjointError: If it is larger.
        """

    def check_shape(self, name: str, image: Tensor) -> None:
        """Raise a ValueError unless an image has shape (B, *model_shape)."""
        if image.ndim != 1 + len(self.model_shape) or image.shape[1:] != self.model_shape:
            expected = ", ".join(("B", *map(str, self.model_shape)))
            raise ValueError(f"expected {name} of shape ({expected}), got {tuple(image.shape)}")


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each sample, in float64."""
    return (a.double() * b.double()).flatten(1).sum(1)


def compare_products(
    claim: str, left: Tensor, right: Tensor, dtype: torch.dtype, rtol: float | None
) -> float:
    """The worst relative mismatch of two products of each sample.

    Raises:
        AdjointError: If it is above ``rtol``; None for 1e-9 in double and 1e-4 in single precision.
    """
    limit = (1e-9 if dtype == torch.float64 else 1e-4) if rtol is None else rtol
    scale = torch.maximum(left.abs(), right.abs())
    mismatch = torch.where(scale == 0.0, torch.zeros_like(scale), (left - right).abs() / scale)
    # A nan is the worst of all.
    worst = int(torch.where(mismatch.isnan(), torch.inf, mismatch).argmax())
    figure = float(mismatch[worst])
    if not figure <= limit:
        raise AdjointError(
            f"expected {claim} within {limit:g}, got {float(left[worst])!r} and {float(right[worst])!r} "
            f"for sample {worst}: a relative mismatch of {figure:.3g}"
        )
    return figure
