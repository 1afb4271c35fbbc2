"""What a refinement aims at: an amortized posterior or a given prior, times the likelihood of these data."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from posterior.flow import standard_normal_log_prob
from posterior.refine.likelihood import Batch, Likelihood, with_gradient
from posterior.sample import AmortizedPosterior, Flow

Prior = Callable[[Tensor], Tensor]
"""Log-density (B,) of models x (B, C, ...) per physical unit, differentiable by torch."""


@final
class Observed:
    """The amortized posterior's network for one observation, in the network's units u of x.

    A posterior that averages over symmetries is a mixture; here it is the network's answer to y as it came.

    Args:
        posterior: The amortized posterior.
        y: The observation (K, ...), physical units.
    """

    def __init__(self, posterior: AmortizedPosterior, y: ArrayLike | Tensor) -> None:
        self.posterior = posterior
        self.flow: nn.Module = posterior.flow
        self.y, self.device = posterior.observation(y), posterior.device
        self._conditional: Flow = posterior.flow  # type: ignore[assignment]  # a module hides its methods

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a model, and of its latent."""
        return self.posterior.info.x_shape

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map z to (u, log|det du/dz|)."""
        return self._conditional.decode(z, self.y)

    def encode(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Map u to (z, log|det dz/du|)."""
        return self._conditional.encode(u, self.y)

    def log_density(self, u: Tensor) -> Tensor:
        """Log of the amortized density of u, (B,) float64."""
        z, logdet = self.encode(u)
        return standard_normal_log_prob(z).double() + logdet.double()

    def restore(self, u: Tensor) -> Tensor:
        """Models in physical units."""
        return self.posterior.standardiser.restore_x(u)

    @property
    def log_volume(self) -> float:
        """Log |du/dx|: log p(x) = log p(u) + log_volume."""
        cells = torch.Size(self.shape[1:]).numel()
        return self.posterior.standardiser.log_volume(cells)


class Terms(NamedTuple):
    """The parts of a variational loss for each draw, (B,) float64: loss = misfit + prior - volume."""

    misfit: Tensor
    """Negative log-likelihood of all shots, estimated from those of the batch."""
    prior: Tensor
    """Negative log-density of the prior."""
    volume: Tensor
    """Log-determinant of the map from the standard normal to u."""


@final
class Target:
    r"""The density that a refinement approximates; there are two, and which it is matters.

    .. math:: \pi(x) \propto q(x \mid y)\, p(d \mid x) \quad\text{without a prior}, \qquad
        \pi(x) \propto p(x)\, p(d \mid x) \quad\text{with one}

    Without ``prior`` the amortized posterior stands in for the prior. That is Bayes' rule when y does not
    hold the data d (an image of an older survey, other shots); where y was computed from d, the data count
    twice: as the network understood them, and by the likelihood. Such a result leans to the training's noise
    and is too narrow, the less the more the likelihood outweighs q. With ``prior``, such as an unconditional
    flow trained on models alone or a Gaussian, the target is the honest posterior, and the amortized one is
    only where the search starts.

    Args:
        base: The amortized posterior for one observation.
        likelihood: Negative log-likelihood in physical units.
        prior: Log-density of x in physical units; None for q(x | y).
    """

    def __init__(self, base: Observed, likelihood: Likelihood, prior: Prior | None = None) -> None:
        self.base, self.likelihood, self._prior = base, likelihood, prior

    @property
    def name(self) -> str:
        """Which density it is."""
        return "q(x|y) p(d|x)" if self._prior is None else "p(x) p(d|x)"

    @property
    def has_prior(self) -> bool:
        """Whether a prior of its own was given."""
        return self._prior is not None

    def prior_energy(self, u: Tensor) -> Tensor:
        """Minus the log-density of the prior in the space of u, (B,)."""
        if self._prior is None:
            return -self.base.log_density(u)
        return self.base.log_volume - self._prior(self.base.restore(u)).double()

    def misfit(self, u: Tensor, batch: Batch) -> Tensor:
        """Negative log-likelihood of all shots, estimated from the batch, (B,); nan where u is not finite."""
        x = self.base.restore(u)
        if not x.isfinite().all():  # a wave solver would refuse it
            return (x.flatten(1).sum(1) * torch.nan).double()
        return batch.scale * with_gradient(lambda models: self.likelihood(models, batch), x).double()

    @torch.no_grad()
    def misfit_value(self, u: Tensor) -> Tensor:
        """The same of all shots, without a gradient: one forward solve a model and shot."""
        batch = Batch.all_shots(len(u), self.likelihood.num_sources)
        return self.likelihood.value(self.base.restore(u), batch).to(u.device).double()

    def latent_terms(self, z: Tensor, batch: Batch) -> Terms:
        """Terms of a point z of the amortized latent space; without a prior q's own determinant cancels."""
        u, logdet = self.base.decode(z)
        if self._prior is None:
            squares = 0.5 * z.double().square().flatten(1).sum(1)
            return Terms(self.misfit(u, batch), squares, torch.zeros_like(squares))
        return Terms(self.misfit(u, batch), self.prior_energy(u), logdet.double())
