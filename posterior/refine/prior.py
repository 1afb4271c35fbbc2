"""A trained flow as the prior of a refinement: a differentiable log-density in physical units."""

from __future__ import annotations

from typing import final

from numpy.typing import ArrayLike
from torch import Tensor

from posterior.refine.target import Observed
from posterior.sample import AmortizedPosterior


@final
class FlowPrior:
    r"""Log-density of models by a flow that was trained without their data.

    .. math:: \log p(x) = \log p_f(u(x) \mid u(y_0)) - n \sum_c \log \sigma_c

    The flow is conditional as all are here; what makes it a prior is that in training y said nothing of the
    data, or only what the prior may know: for y = (image, background), pairs with an image of zeros give
    p(x | background).

    Args:
        network: The trained flow.
        y: What it is conditioned on (K, ...), of the kind it was trained with.

    Raises:
        ValueError: y of another shape than trained on, or not finite.

    Example::

        prior = FlowPrior(AmortizedPosterior.load("runs/prior/model"), blank)
        refined = refine(posterior, y, likelihood, prior=prior)
    """

    def __init__(self, network: AmortizedPosterior, y: ArrayLike | Tensor) -> None:
        self._base = Observed(network, y)

    def __call__(self, x: Tensor) -> Tensor:
        """Log-density (B,) float64 of models (B, C, ...) per physical unit."""
        u = self._base.posterior.standardiser.standardise_x(x)
        return self._base.log_density(u) + self._base.log_volume
