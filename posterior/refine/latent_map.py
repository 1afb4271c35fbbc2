"""Latent MAP: the one model of highest density, sought in the latent space of the frozen network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from posterior.refine.config import RefineConfig
from posterior.refine.descent import Descent
from posterior.refine.laws import PointLaw
from posterior.refine.likelihood import Batch
from posterior.refine.method import Found, Method
from posterior.refine.run import Run
from posterior.refine.target import Observed, Target, Terms
from posterior.refine.verdict import distance_doubts, falling_doubts
from posterior.seeding import latents

Space = Literal["z", "x"]


@final
class Point(nn.Module):
    """A latent to optimise.

    Args:
        base: The frozen network.
        space: The space in which the density is highest.
    """

    takes_draws = False

    def __init__(self, base: Observed, space: Space) -> None:
        super().__init__()
        # Beside zero, not at it: a reversible chain judges the error of a rebuilt input relative to its size.
        self.z = nn.Parameter(0.01 * latents(0, 0, 1, base.shape).to(base.device))
        self._base, self._space = base, space

    def terms(self, z: Tensor, target: Target, batch: Batch) -> Terms:
        """Those of the point; the draws handed in have no part in it."""
        if self._space == "z":
            return target.latent_terms(self.z, batch)
        u, logdet = self._base.decode(self.z)
        squares = 0.5 * self.z.double().square().flatten(1).sum(1)
        prior = target.prior_energy(u) if target.has_prior else squares + logdet.double()
        return Terms(target.misfit(u, batch), prior, torch.zeros_like(prior))


@final
@dataclass(frozen=True, kw_only=True)
class LatentMap(Method):
    r"""Maximum a posteriori by descent in z, where the amortized network preconditions the problem.

    .. math:: \min_z \; \frac{N_s}{K} \sum_{k=1}^K \ell_k(f(z; y)) + \tfrac12 |z|^2
        \;\big[+ \log\lvert\det \partial f / \partial z\rvert\big]

    Without the bracket (space "z", the published objective) the mode is that of the latent density, with it
    (space "x") that of q(x | y) p(d | x); for an affine f they are one. With a prior, |z|^2 / 2 gives way to
    -log p(f) - log|det df/dz| in "z" and to -log p(f) in "x". The factor N_s / K makes the expectation that
    of all shots; published code that leaves it out weights the prior N_s times too much.

    The result is a point: its draws are all the same, and it says nothing of uncertainty.

    Args:
        space: "z" or "x", in which the density is highest.

    Source:
        Siahkoohi et al., Wave-equation-based inversion with amortized variational Bayesian inference, 2022,
        arXiv:2203.15881 (space "z").
    """

    name: ClassVar[str] = "latent_map"
    space: Space = "z"

    def __post_init__(self) -> None:
        if self.space not in ("z", "x"):
            raise ValueError(f'expected space "z" or "x", got {self.space!r}')

    @property
    def defaults(self) -> RefineConfig:
        """L-BFGS on all shots; where that is too much, Adam on some of them."""
        return RefineConfig(optimiser="lbfgs", iterations=100, check_draws=1)

    def refine(self, run: Run) -> Found:
        """Descend."""
        base = run.target.base
        point = Point(base, self.space)
        descent = Descent(run, point)
        descent.minimise("latent MAP")
        with torch.no_grad():
            u, _ = base.decode(point.z)
        falling = descent.still_falling
        numbers = {"latent_rms": float(point.z.detach().square().mean().sqrt())}
        return Found(
            PointLaw(u[0]),
            numbers | {"still_falling": falling},
            [
                "a point: it says nothing of uncertainty",
                *falling_doubts(falling),
                *distance_doubts(numbers, base),
            ],
            descent.history,
        )

    def to_json(self) -> dict[str, Any]:
        """The space."""
        return asdict(self)

    @classmethod
    def restore(cls, settings: Mapping[str, Any], base: Observed, tensors: Mapping[str, Tensor]) -> PointLaw:
        """The model itself."""
        return PointLaw(tensors["u"].to(base.device))
