"""The likelihood as a callable: value and gradient for a batch of models, on shots or sums of shots."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self, cast, final

import torch
from torch import Tensor

from posterior.files import sha256_bytes
from posterior.linear_map import LinearMap

Modelling = Callable[[Tensor, Tensor], Tensor]
"""Maps models x (B, C, ...) and weights (B, K, N_s) to noise-free data (B, K, *shot), differentiably."""


@final
@dataclass(frozen=True)
class Batch:
    r"""Which experiments an evaluation of the likelihood uses: shots, or weighted sums of shots.

    .. math:: d_{bk} = \sum_i w_{bki} d_i, \qquad \mathbb E\, w_{bk} w_{bk}^T = I / N_s

    A row of weights with a single 1 is a shot; a dense one is a simultaneous source, which costs a wave
    equation as a shot does. The whole data are the N_s rows of the identity.

    Args:
        weights: (B, K, N_s): K experiments for each of B models.
    """

    weights: Tensor

    @property
    def scale(self) -> float:
        """N_s / K: times this, the sum over the rows is in expectation that over all shots."""
        return self.weights.shape[2] / self.weights.shape[1]

    @property
    def experiments(self) -> int:
        """Rows in all, B K: each costs one forward solve, and one adjoint solve where a gradient is asked."""
        return self.weights.shape[0] * self.weights.shape[1]

    @classmethod
    def all_shots(cls, samples: int, num_sources: int) -> Self:
        """Every shot once, for each of so many models; the scale is 1."""
        return cls(torch.eye(num_sources).expand(samples, -1, -1))


class Likelihood(Protocol):
    r"""The negative log-likelihood of models in physical units, as a refinement needs it.

    For the experiments of a batch it is, up to a constant, the plain sum

    .. math:: \ell_b = \sum_k -\log p(d_{bk} \mid x_b)

    *without* the factor N_s / K, which the refinement applies. For Gaussian noise twice its value over all
    shots is the chi-square of ``num_data`` data. It may leave torch; what is not finite is rejected.
    """

    @property
    def num_sources(self) -> int:
        """Number of shots N_s."""
        ...

    @property
    def num_data(self) -> int:
        """Number of data values over all shots."""
        ...

    @property
    def num_forward(self) -> int:
        """Forward solves so far: one for each model and experiment."""
        ...

    @property
    def num_adjoint(self) -> int:
        """Adjoint solves so far."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of data and noise: a run is not resumed with others."""
        ...

    def __call__(self, x: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Value (B,) and its gradient, like x (B, C, ...)."""
        ...

    def value(self, x: Tensor, batch: Batch) -> Tensor:
        """The value alone, (B,), for half the solves."""
        ...


@final
class GaussianLikelihood:
    r"""White Gaussian noise around the data of any differentiable modelling.

    .. math:: \ell_b = \frac12 \sum_k \lvert (F(x_b) w_{bk} - d\, w_{bk}) / \sigma \rvert^2

    Args:
        modelling: Data (B, K, *shot) of models (B, C, ...) in physical units and weights (B, K, N_s), with a
            gradient: built on a :class:`~posterior.linear_map.LinearMap`, or on ``physics.autograd``.
        data: Observed shots, (N_s, *shot).
        noise_std: Standard deviation sigma of the noise in units of the data, a number or (*shot); the same
            for all shots, so that random sums of them keep it.

    Attributes:
        num_forward, num_adjoint: Solves so far, one a model and experiment.

    Raises:
        ValueError: If data are not finite, noise is not positive, or modelled data have another shape.

    Example:
        >>> A = torch.randn(6, 4)
        >>> operator = LinearMap(lambda x: x @ A.T, lambda d: d @ A)
        >>> likelihood = GaussianLikelihood.linear(operator, torch.zeros(6), 0.5)
        >>> value, gradient = likelihood(torch.randn(3, 4), Batch.all_shots(3, 1))
        >>> value.shape, gradient.shape, likelihood.num_forward
        (torch.Size([3]), torch.Size([3, 4]), 3)
    """

    def __init__(self, modelling: Modelling, data: Tensor, noise_std: float | Tensor) -> None:
        self._modelling, self._data = modelling, data
        self._noise = torch.as_tensor(noise_std)
        if data.ndim < 2 or not torch.isfinite(data).all():
            raise ValueError(f"expected finite data of shape (N_s, *shot), got shape {tuple(data.shape)}")
        if self._noise.shape not in ((), data.shape[1:]) or not bool((self._noise > 0.0).all()):
            raise ValueError(
                f"expected a positive noise_std, a number or {tuple(data.shape[1:])}, got shape "
                f"{tuple(self._noise.shape)} and smallest value {float(self._noise.min()):.4g}"
            )
        self.num_sources, self.num_data = len(data), data.numel()
        self.num_forward = self.num_adjoint = 0

    @classmethod
    def linear(cls, operator: LinearMap, data: Tensor, noise_std: float | Tensor) -> Self:
        """Linear data d = A x + e that one solve models as a whole: a survey of a single experiment.

        Args:
            operator: A, from x (B, C, ...) to (B, *d).
            data: (*d).
            noise_std: a number or (*d).
        """

        def modelling(x: Tensor, weights: Tensor) -> Tensor:
            whole = operator.forward(x)
            return weights.to(whole).view(*weights.shape[:2], *(1,) * data.ndim) * whole[:, None]

        return cls(modelling, data[None], noise_std)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of data and noise."""
        parts = [values.detach().cpu().double().numpy().tobytes() for values in (self._data, self._noise)]
        return sha256_bytes(b"".join(parts))

    def __call__(self, x: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Value and gradient."""
        with torch.enable_grad():
            models = x.detach().requires_grad_()
            value = self._misfit(models, batch)
            (gradient,) = torch.autograd.grad(value.sum(), models)
        self.num_adjoint += batch.experiments
        return value.detach(), gradient

    @torch.no_grad()
    def value(self, x: Tensor, batch: Batch) -> Tensor:
        """The value alone."""
        return self._misfit(x, batch)

    def _misfit(self, x: Tensor, batch: Batch) -> Tensor:
        weights, data = batch.weights.to(x), self._data.to(x)
        predicted, observed = self._modelling(x, weights), torch.tensordot(weights, data, 1)
        if predicted.shape != observed.shape:
            raise ValueError(
                f"expected modelled data of shape {tuple(observed.shape)}, got {tuple(predicted.shape)}"
            )
        self.num_forward += batch.experiments
        return 0.5 * ((predicted - observed) / self._noise.to(x)).double().square().flatten(1).sum(1)


def with_gradient(function: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """Value (B,) of a function of a batch, differentiable in x by the gradient that the function returns.

    Where the gradient is not finite the value becomes nan, so that it is found before it goes any further.

    Args:
        function: Maps x (B, ...) to (value (B,), gradient (B, ...)); may leave torch.
        x: The batch.

    Raises:
        ValueError: If value or gradient have another shape.
    """
    return cast("Tensor", _External.apply(function, x))


class _External(torch.autograd.Function):
    """A function that brings its own gradient, as a node of the graph."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
        value, gradient = function(x.detach())
        if value.shape != (len(x),) or gradient.shape != x.shape:
            raise ValueError(
                f"expected a value of shape ({len(x)},) and a gradient of shape {tuple(x.shape)}, got "
                f"{tuple(value.shape)} and {tuple(gradient.shape)}"
            )
        ctx.save_for_backward(gradient.to(x))
        finite = gradient.flatten(1).isfinite().all(1).to(value.device)
        return torch.where(finite, value, math.nan).to(x.device)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        (gradient,) = ctx.saved_tensors
        return None, gradient * grads[0].to(gradient).view(-1, *(1,) * (gradient.ndim - 1))
