"""Warm-start variational inference: all weights of the flow, trained on for one observation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from posterior.model_folder import load_weights
from posterior.refine.config import RefineConfig
from posterior.refine.laws import TransportLaw
from posterior.refine.method import Found, Method
from posterior.refine.run import Run
from posterior.refine.target import Observed
from posterior.refine.transport import FlowTransport
from posterior.refine.variational import fit_transport


@final
@dataclass(frozen=True, kw_only=True)
class WarmStart(Method):
    r"""Train a copy T of the amortized flow, all its weights, on the data of one survey.

    .. math:: \min_T \; \mathbb E_{\zeta \sim N(0, I)} \Big[ \frac{N_s}{K} \sum_{k=1}^K \ell_k(T(\zeta))
        - \log \rho(T(\zeta)) - \log|\det \partial T / \partial \zeta| \Big]

    the KL divergence from the law of T(zeta) to rho(x) p(d | x), where rho is the given prior or else the
    amortized q(x | y). The density of rho is evaluated at the latent that *rho* gives T(zeta), at every step.
    The network is differentiated in its inverse direction, in memory that does not grow with its depth.

    Source:
        Siahkoohi et al., Preconditioned training of normalizing flows for variational inference in inverse
        problems, AABI 2021, equation (6).
    """

    name: ClassVar[str] = "preconditioned"

    @property
    def defaults(self) -> RefineConfig:
        """A small rate, clipped gradients, and more draws than an affine map needs."""
        return RefineConfig(iterations=1000, learning_rate=2e-3, clip_norm=1.0, batch_size=8)

    def refine(self, run: Run) -> Found:
        """Train the copy."""
        return fit_transport(run, FlowTransport(run.target.base), "warm-start inference")

    def to_json(self) -> dict[str, Any]:
        """Nothing to choose."""
        return asdict(self)

    @classmethod
    def restore(
        cls, settings: Mapping[str, Any], base: Observed, tensors: Mapping[str, Tensor]
    ) -> TransportLaw:
        """The amortized architecture with these weights."""
        transport = FlowTransport(base)
        load_weights(transport, tensors, "warm-start inference")
        return TransportLaw(transport, base.shape, base.device)
