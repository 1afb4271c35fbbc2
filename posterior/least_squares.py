"""Least-squares inversion by conjugate gradients: what a learned reconstruction is measured against."""

from __future__ import annotations

import torch
from torch import Tensor

from posterior.invertible import per_sample
from posterior.linear_map import LinearMap


@torch.no_grad()
def least_squares(operator: LinearMap, d: Tensor, *, iterations: int, weight: Tensor | None = None) -> Tensor:
    r"""Lower :math:`|A x - d|^2` from x = 0 by conjugate gradients (CGLS), each sample by itself.

    It applies A ``iterations`` times and A^T as often: stopped early, that is its only regularisation.

    Args:
        operator: The operator A.
        d: Data, (B, ...).
        iterations: Number of iterations, at least 1.
        weight: Diagonal preconditioner p >= 0, which broadcasts to x: the iterations run on y in
            :math:`x = \sqrt{p}\, y`, so every gradient is weighted by p. None for one.

    Returns:
        x, (B, ...).

    Raises:
        ValueError: If there is no iteration, or a weight is negative.

    Source:
        Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems, 1952; CGLS as in
        Bjoerck, Numerical methods for least squares problems, SIAM 1996, section 7.4.

    Example:
        >>> matrix = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> operator = LinearMap(lambda x: x @ matrix.T, lambda d: d @ matrix)
        >>> least_squares(operator, torch.tensor([[2.0, 3.0]]), iterations=2)
        tensor([[1.0000, 3.0000]])
    """
    if iterations < 1:
        raise ValueError(f"expected at least 1 iteration, got {iterations}")
    if weight is not None:
        if not bool((weight >= 0.0).all()):
            raise ValueError(f"expected weights of at least 0, got {float(weight.min())}")
        root = weight.sqrt()
        scaled = LinearMap(lambda y: operator.forward(root * y), lambda r: root * operator.adjoint(r))
        return root * least_squares(scaled, d, iterations=iterations)
    residual = d
    gradient = operator.adjoint(residual)
    direction, energy = gradient, _energy(gradient)
    x = torch.zeros_like(gradient)
    for iteration in range(iterations):
        modelled = operator.forward(direction)
        step = _ratio(energy, _energy(modelled))
        x = x + per_sample(step, x).to(x.dtype) * direction
        if iteration == iterations - 1:
            break
        residual = residual - per_sample(step, residual).to(residual.dtype) * modelled
        gradient = operator.adjoint(residual)
        previous, energy = energy, _energy(gradient)
        direction = gradient + per_sample(_ratio(energy, previous), x).to(x.dtype) * direction
    return x


def _energy(values: Tensor) -> Tensor:
    """Squared norm of each sample, in float64."""
    return values.double().square().flatten(1).sum(1)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """The ratio, 0 where a sample has converged to the last bit."""
    return torch.where(below > 0.0, above / below, torch.zeros_like(above))
