"""Linear operators: the contract, composition, adjoint, and the test that both directions belong together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics.errors import PhysicsError


class LinearOperator(ABC):
    """A linear map between arrays of fixed shapes, with its adjoint.

    Implementing an operator: call ``super().__init__`` with the two shapes and the dtype; implement `forward`
    and `adjoint`, each of which checks its argument with `physics.errors.as_array`; add one line to the table
    in ``tests/physics/test_linear.py``, which runs the dot test and the other laws over it.

    Args:
        domain_shape: Shape of what `forward` takes.
        range_shape: Shape of what `forward` returns.
        dtype: Precision of the results.

    Law:
        <A x, y> = <x, A^T y> for all x and y; see `dot_test`.
    """

    def __init__(self, domain_shape: tuple[int, ...], range_shape: tuple[int, ...], dtype: Any) -> None:
        self.domain_shape = domain_shape
        self.range_shape = range_shape
        self.dtype = np.dtype(dtype)

    @abstractmethod
    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """A x: from ``domain_shape`` to ``range_shape``."""

    @abstractmethod
    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """A^T y: from ``range_shape`` to ``domain_shape``."""

    @property
    def H(self) -> LinearOperator:  # noqa: N802  (the field's own symbol)
        """The adjoint as an operator."""
        return Adjoint(self)

    @overload
    def __matmul__(self, other: LinearOperator) -> LinearOperator: ...
    @overload
    def __matmul__(self, other: NDArray[Any]) -> NDArray[Any]: ...
    def __matmul__(self, other: LinearOperator | NDArray[Any]) -> LinearOperator | NDArray[Any]:
        """``A @ B`` is the composition, ``A @ x`` is ``A.forward(x)``."""
        if isinstance(other, LinearOperator):
            return Composition(self, other)
        return self.forward(other)


class Adjoint(LinearOperator):
    """The adjoint of an operator, with forward and adjoint exchanged."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.range_shape, operator.domain_shape, operator.dtype)
        self._operator = operator

    @property
    def H(self) -> LinearOperator:  # noqa: N802  (the field's own symbol)
        """The operator whose adjoint this is."""
        return self._operator

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """A^T x."""
        return self._operator.adjoint(x)

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """A y."""
        return self._operator.forward(y)


class Composition(LinearOperator):
    """The product A B: first ``inner`` = B, then ``outer`` = A."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        if outer.domain_shape != inner.range_shape:
            raise PhysicsError(
                f"expected the inner operator of A @ B to return shape {outer.domain_shape}, "
                f"got {inner.range_shape}"
            )
        super().__init__(inner.domain_shape, outer.range_shape, np.result_type(outer.dtype, inner.dtype))
        self._outer = outer
        self._inner = inner

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """A (B x)."""
        return self._outer.forward(self._inner.forward(x))

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """B^T (A^T y)."""
        return self._inner.adjoint(self._outer.adjoint(y))


def dot_test(
    op: LinearOperator, *, rng: np.random.Generator | None = None, rtol: float | None = None
) -> float:
    r"""Relative mismatch of <A x, y> and <x, A^T y> for random x and y.

    .. math:: |\langle A x, y \rangle - \langle x, A^T y \rangle| \,/\, \max(|\cdot|, |\cdot|)

    Args:
        op: The operator.
        rng: Random generator; a fixed seed by default.
        rtol: Largest mismatch; by default 1e-11 in double and 1e-4 in single precision, which leaves room for
            rounding over some thousand steps.

    Returns:
        The mismatch.

    Raises:
        ValueError: If the mismatch is above ``rtol``; the message has both inner products.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    limit = (1e-11 if op.dtype == np.float64 else 1e-4) if rtol is None else rtol
    x = rng.standard_normal(op.domain_shape).astype(op.dtype)
    y = rng.standard_normal(op.range_shape).astype(op.dtype)
    left = float(np.vdot(op.forward(x).astype(np.float64), y.astype(np.float64)))
    right = float(np.vdot(x.astype(np.float64), op.adjoint(y).astype(np.float64)))
    scale = max(abs(left), abs(right))
    mismatch = abs(left - right) / scale if scale > 0.0 else 0.0
    if not mismatch <= limit:
        raise PhysicsError(
            f"expected <A x, y> = <x, A^T y> within {limit:g}, got {left!r} and {right!r} "
            f"(relative mismatch {mismatch:.3g}) for {type(op).__name__}"
        )
    return mismatch
