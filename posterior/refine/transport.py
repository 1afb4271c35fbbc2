"""Invertible maps from a standard normal to models: what the variational methods optimise and sample."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import final

from torch import Tensor, nn

from posterior.flow import standard_normal_log_prob
from posterior.invertible import Invertible
from posterior.refine.likelihood import Batch
from posterior.refine.target import Observed, Target, Terms


class Transport(nn.Module, ABC):
    """An invertible map from z ~ N(0, I) to u, a model in the network's units; its parameters are trained."""

    takes_draws = True

    @abstractmethod
    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map z to (u, log|det du/dz|)."""

    @abstractmethod
    def encode(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Map u to (z, log|det dz/du|)."""

    @abstractmethod
    def terms(self, z: Tensor, target: Target, batch: Batch) -> Terms:
        """Terms of the KL divergence to the target, for each z."""

    def log_density(self, u: Tensor) -> Tensor:
        """Log-density of u, (B,) float64."""
        z, logdet = self.encode(u)
        return standard_normal_log_prob(z).double() + logdet.double()


@final
class LatentTransport(Transport):
    r"""A map of the latents in front of the frozen amortized network: u = f(h(z); y).

    Args:
        base: f and y.
        inner: h, any invertible map of latent images; it alone is trained.
    """

    def __init__(self, base: Observed, inner: Invertible) -> None:
        super().__init__()
        self._base = base
        self.inner = inner.to(base.device)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """First h, then f."""
        moved, first = self.inner(z)
        u, second = self._base.decode(moved)
        return u, first + second

    def encode(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """First the inverse of f, then that of h."""
        moved, second = self._base.encode(u)
        z, first = self.inner.inverse(moved)
        return z, first + second

    def terms(self, z: Tensor, target: Target, batch: Batch) -> Terms:
        """Evaluated in latent space, where without a prior nothing but f itself is needed."""
        moved, logdet = self.inner(z)
        terms = target.latent_terms(moved, batch)
        return terms._replace(volume=terms.volume + logdet.double())


@final
class FlowTransport(Transport):
    """A conditional flow of its own for one observation, which starts as the amortized one.

    Args:
        base: The amortized flow, which is copied, and y.
    """

    def __init__(self, base: Observed) -> None:
        super().__init__()
        self.flow = copy.deepcopy(base.flow).eval().requires_grad_(True)  # noqa: FBT003 - torch's signature
        self._y = base.y

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The flow's own."""
        return self.flow.decode(z, self._y)  # type: ignore[operator]

    def encode(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The flow's own."""
        return self.flow.encode(u, self._y)  # type: ignore[operator]

    def terms(self, z: Tensor, target: Target, batch: Batch) -> Terms:
        """The prior is evaluated at the u that the present weights give."""
        u, logdet = self.decode(z)
        return Terms(target.misfit(u, batch), target.prior_energy(u), logdet.double())
