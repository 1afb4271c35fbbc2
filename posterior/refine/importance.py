"""Importance-weighted correction: draws of a proposal, weighted by target over proposal."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol, final

import torch
from torch import Tensor

from posterior.files import sha256_bytes
from posterior.layers.pixel_affine import PixelAffine
from posterior.model_folder import SUMS, model_files
from posterior.refine.config import RefineConfig
from posterior.refine.laws import Law, TransportLaw, WeightedLaw, stored
from posterior.refine.method import Found, Method
from posterior.refine.psis import Smoothed, largest_good_shape, smooth
from posterior.refine.run import OutOfBudgetError, Run
from posterior.refine.target import Observed
from posterior.refine.transport import LatentTransport
from posterior.seeding import derive_seed

_PROPOSAL, _CHUNK, _LEAST = 6, 16, 25


class Proposal(Protocol):
    """A refined posterior whose draws are weighted, such as :class:`posterior.refine.refined.Refined`."""

    @property
    def law(self) -> Law:
        """Its distribution."""
        ...

    @property
    def method(self) -> str:
        """Name of the method that found it."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """The method's settings."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class Importance(Method):
    r"""Weight draws by what the proposal lacks of the target, smooth the weights' tail, and draw again.

    .. math:: x_s \sim q', \qquad w_s \propto \frac{\rho(x_s)\, p(d \mid x_s)}{q'(x_s)}

    with rho the given prior, or else the amortized q(x | y); q' is the amortized posterior, where w is then
    the likelihood alone, or a corrected one, which repairs most and leaves the weights a small rest. One
    forward solve a draw and shot, no adjoint. Exact for many draws, and it tells when they are too few:
    below 10 % effective draws, or where the Pareto shape of the weights is above 0.7, the result is not to be
    trusted. The draws needed grow exponentially with the divergence in nats, not in nats a dimension.

    Args:
        proposal: A refined posterior with a density; None for the amortized one.
        num_draws: Number of draws S, at least 25.

    Source:
        Vehtari et al., Pareto smoothed importance sampling, JMLR 25 (2024).
    """

    name: ClassVar[str] = "importance"
    proposal: Proposal | None = None
    num_draws: int = 400

    def __post_init__(self) -> None:
        if self.num_draws < _LEAST:
            raise ValueError(f"expected at least {_LEAST} draws, got {self.num_draws}")

    @property
    def defaults(self) -> RefineConfig:
        """Chunks of draws are the steps."""
        return RefineConfig(checkpoint_every=1)

    def refine(self, run: Run) -> Found:
        """Weight draw after draw."""
        base = run.target.base
        law = amortized(base) if self.proposal is None else self.proposal.law
        seed = derive_seed(run.config.seed, _PROPOSAL)
        found = self._weigh(run, law, seed)
        if len(found) < _LEAST:
            raise ValueError(
                f"expected a budget for at least {_LEAST} draws, got {run.config.budget} solves, enough for "
                f"{len(found)}"
            )
        smoothed = smooth(found.cpu().numpy())
        weighted = WeightedLaw(law, seed, torch.from_numpy(smoothed.log_weights))
        weights = weighted.weights
        # KL from the weighted draws to the proposal: sum w log(S w).
        gain = float((weights * (weighted.log_weights + math.log(len(found)))).nan_to_num().sum())
        numbers = {
            "draws": float(len(found)),
            "effective_share": smoothed.effective / len(found),
            "pareto_k": smoothed.pareto_k,
            "kl_to_proposal": gain / math.prod(base.shape),
        }
        return Found(weighted, numbers, _doubts(smoothed))

    def _weigh(self, run: Run, law: Law, seed: int) -> Tensor:
        """Log-weights (S',) float64 of the draws that the budget allows; -inf where not finite."""
        found = torch.empty(0, dtype=torch.float64) if run.resumed is None else run.resumed["log_weights"]
        shots = run.target.likelihood.num_sources
        with run.progress("importance weights", math.ceil(self.num_draws / _CHUNK)) as bar:
            while len(found) < self.num_draws:
                stop = min(len(found) + _CHUNK, self.num_draws)
                try:
                    run.afford((stop - len(found)) * shots, gradient=False)
                except OutOfBudgetError:
                    run.stopped = "budget"
                    break
                drawn = law.draw(seed, range(len(found), stop))
                found = torch.cat((found, self._log_weights(run, law, drawn)))
                run.after_step(partial(dict, log_weights=found))
                bar.advance(solves=run.solves.total, rejected=run.counters.rejected)
        run.save({"log_weights": found})
        return found

    @torch.no_grad()
    def _log_weights(self, run: Run, law: Law, u: Tensor) -> Tensor:
        target = run.target
        density = law.log_density(u)
        if density is None:
            raise ValueError("expected a proposal with a density, got a point or weighted draws")
        weights = -target.misfit_value(u) - target.prior_energy(u) - density
        finite = weights.isfinite()
        if not finite.any():
            run.reject("weights")
        elif not finite.all():
            run.counters.rejected += int((~finite).sum())
            warnings.warn(f"{int((~finite).sum())} weights not finite: rejected", stacklevel=2)
        if finite.any():
            run.counters.in_a_row = 0
        return torch.where(finite, weights, -math.inf).cpu()

    def to_json(self) -> dict[str, Any]:
        """The proposal's method and settings, and the number of draws."""
        inner = None
        if self.proposal is not None:
            inner = {"method": self.proposal.method, "settings": self.proposal.settings}
        return {"proposal": inner, "num_draws": self.num_draws}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the proposal's tensors."""
        if self.proposal is None:
            return ""
        return sha256_bytes(model_files({}, self.proposal.law.state())[SUMS])

    @classmethod
    def restore(
        cls, settings: Mapping[str, Any], base: Observed, tensors: Mapping[str, Tensor]
    ) -> WeightedLaw:
        """The proposal first, then the weights."""
        law: Law = amortized(base)
        if (inner := settings["proposal"]) is not None:
            from posterior.refine.methods import METHODS  # which imports this module

            method = METHODS[inner["method"]]
            law = method.restore(inner["settings"], base, stored(tensors, "proposal."))
        return WeightedLaw(law, int(tensors["seed"]), tensors["log_weights"])


def amortized(base: Observed) -> TransportLaw:
    """The amortized posterior as a law."""
    return TransportLaw(LatentTransport(base, PixelAffine(base.shape)), base.shape, base.device)


def _doubts(smoothed: Smoothed) -> list[str]:
    share, doubts = smoothed.effective / len(smoothed.log_weights), []
    if share < 0.1:
        doubts.append(f"effective sample size {100.0 * share:.1f} % of the draws, less than 10 %")
    if smoothed.pareto_k > (bound := largest_good_shape(len(smoothed.log_weights))):
        doubts.append(f"Pareto k {smoothed.pareto_k:.2f}, more than {bound:.2f}: the proposal is too narrow")
    return doubts
