"""Latent correction: an affine map of the latents, fitted to the data through the frozen network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from posterior.model_folder import load_weights
from posterior.refine.config import RefineConfig
from posterior.refine.families import FAMILIES, Family
from posterior.refine.laws import TransportLaw
from posterior.refine.method import Found, Method
from posterior.refine.run import Run
from posterior.refine.target import Observed
from posterior.refine.transport import LatentTransport
from posterior.refine.variational import fit_transport


@final
@dataclass(frozen=True, kw_only=True)
class LatentCorrection(Method):
    r"""Correct the latent distribution by an affine map h, with the network f frozen.

    .. math:: \min_h \; \mathbb E_{\zeta \sim N(0, I)} \Big[ \frac{N_s}{K} \sum_{k=1}^K
        \ell_k(f(h(\zeta); y)) + \tfrac12 |h(\zeta)|^2 - \log|\det \partial h / \partial \zeta| \Big]

    with K of N_s shots a draw: the KL divergence from the law of h(zeta) to N(z; 0, I) p(d | f(z)), that is,
    to q(x | y) p(d | x). With a prior, -log p(f) - log|det df/dz| stands in place of |h|^2 / 2. Samples are
    f(h(zeta); y).

    The published correction is the diagonal family, h = e^a zeta + b. Of a Gaussian in z with precision P and
    mean m its optimum is b = m and e^a_i = P_ii^(-1/2): the mean is exact, and variances are the conditional
    ones, no larger than the marginal. "low_rank", "householder" and "blocks" add correlations.

    Args:
        family: Which affine maps.
        size: Rank, number of reflections or cells of a block; without effect on "diagonal".

    Source:
        Siahkoohi et al., Reliable amortized variational inference with physics-based latent distribution
        correction, Geophysics 2023 (the diagonal family); the other families are ours.
    """

    name: ClassVar[str] = "latent"
    family: Family = "diagonal"
    size: int = 8

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"expected a family among {sorted(FAMILIES)}, got {self.family!r}")

    @property
    def defaults(self) -> RefineConfig:
        """Adam, antithetic draws, the mean of the last quarter."""
        return RefineConfig()

    def refine(self, run: Run) -> Found:
        """Fit h."""
        base = run.target.base
        transport = LatentTransport(base, FAMILIES[self.family](base.shape, self.size))
        return fit_transport(run, transport, f"latent correction ({self.family})")

    def to_json(self) -> dict[str, Any]:
        """Family and size."""
        return asdict(self)

    @classmethod
    def restore(
        cls, settings: Mapping[str, Any], base: Observed, tensors: Mapping[str, Tensor]
    ) -> TransportLaw:
        """Family, then weights."""
        method = cls(**settings)
        transport = LatentTransport(base, FAMILIES[method.family](base.shape, method.size))
        load_weights(transport, tensors, "latent correction")
        return TransportLaw(transport.to(base.device), base.shape, base.device)
