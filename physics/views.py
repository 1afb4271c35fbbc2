"""Operators as other libraries see them: flat vectors in, flat vectors out."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import linalg

from physics.algebra import LinearOperator


@final
class ScipyView(linalg.LinearOperator):
    """An operator between arrays as one between vectors; see `as_scipy`."""

    def __init__(self, operator: LinearOperator) -> None:
        shape = (int(np.prod(operator.range_shape)), int(np.prod(operator.domain_shape)))
        super().__init__(operator.dtype, shape)
        self._operator = operator

    def _matvec(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._operator.forward(x.reshape(self._operator.domain_shape)).ravel()

    def _rmatvec(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._operator.adjoint(x.reshape(self._operator.range_shape)).ravel()


def as_scipy(operator: LinearOperator) -> ScipyView:
    """An operator for scipy's solvers, and for ``pylops.aslinearoperator``.

    Arrays are flattened in C order: ``reshape`` a solution to ``operator.domain_shape``. Vectors are cast to
    the operator's precision, and results have it.

    Args:
        operator: Any linear operator.

    Example:
        Least-squares migration, preconditioned by a mute of the water and a weight that grows with depth:

        >>> P = WaterMute(m0.shape, m0.spacing, depth=30.0, taper=30.0) @ DepthWeight(m0.shape, power=1.0)
        >>> A = J @ P
        >>> x = scipy.sparse.linalg.lsqr(as_scipy(A), d.ravel(), iter_lim=20)[0]
        >>> dm = P.forward(x.reshape(A.domain_shape))
    """
    return ScipyView(operator)
