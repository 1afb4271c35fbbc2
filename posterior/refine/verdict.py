"""How a law fits the data and the truth, how far it is from where it began, and why not to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from posterior.flow import standard_normal_log_prob
from posterior.refine.laws import Law
from posterior.refine.run import Run
from posterior.refine.target import Observed
from posterior.refine.transport import Transport
from posterior.seeding import derive_seed, latents
from posterior.uq.calibration import rank, rank_coverage

FAR, WIDE = 2.0, 1.2
"""Nats a dimension from the amortized posterior, and root mean square of its latents, above which a result
lies where the network was hardly trained: of its own draws they are 0 and 1."""

_CHECK, _DISTANCE = 4, 5
"""Streams of the draws that are checked."""

_DRAWS = 64
"""Draws, of the network alone, that calibration and the distance are taken from."""


@final
@dataclass(frozen=True)
class Calibration:
    """A law against the truth of one survey, over all cells."""

    rmse: float
    """Root mean square error of the mean, physical units."""
    std: float
    """Root mean square of the std: equal to the RMSE, on average over surveys, if the law is right."""
    coverage: float
    """Share of cells whose truth lies within the central 90 % interval."""


@final
@dataclass(frozen=True)
class Fit:
    """How draws of a law explain the data."""

    chi_square: float | None
    """Mean over draws of ``sum ((F(x) - d) / sigma)^2 / n``; about 1 for a right posterior. None if there is
    no finite one."""
    chi_square_std: float | None
    """Standard deviation over draws."""
    draws: int
    """Draws with finite values."""
    calibration: Calibration | None
    """Where the truth is known."""

    def __str__(self) -> str:
        parts = []
        if self.chi_square is not None:
            parts.append(f"chi-square {self.chi_square:.4g} +- {self.chi_square_std:.2g}")
        if (known := self.calibration) is not None:
            parts.append(f"rmse {known.rmse:.4g}, std {known.std:.4g}")
            parts.append(f"90 % intervals cover {100.0 * known.coverage:.0f} %")
        return ", ".join(parts)


@torch.no_grad()
def fit(run: Run, law: Law, truth: ArrayLike | None) -> Fit | None:
    """Model the data of ``config.check_draws`` draws, all shots; None if no draw is checked."""
    config, target = run.config, run.target
    values: list[float] = []
    for number in range(config.check_draws):
        u = law.draw(derive_seed(config.seed, _CHECK), [number])
        values += (2.0 * target.misfit_value(u) / target.likelihood.num_data).tolist()
    finite = np.array([value for value in values if math.isfinite(value)])
    known = None if truth is None else _calibration(law, target.base, truth, config.seed)
    if not values and known is None:
        return None
    if not len(finite):
        return Fit(None, None, 0, known)
    return Fit(float(finite.mean()), float(finite.std()), len(finite), known)


def _calibration(law: Law, base: Observed, truth: ArrayLike, seed: int) -> Calibration:
    draws = base.restore(law.draw(derive_seed(seed, _CHECK), range(_DRAWS))).cpu().numpy().astype(np.float64)
    target: NDArray[np.float64] = np.asarray(truth, dtype=np.float64).reshape(draws.shape[1:])
    covered = rank_coverage(_DRAWS, [0.9])[0][rank(draws, target)]
    return Calibration(
        rmse=float(np.sqrt(((draws.mean(0) - target) ** 2).mean())),
        std=float(np.sqrt(draws.var(0, ddof=1).mean())),
        coverage=float(covered.mean()),
    )


@torch.no_grad()
def distance_from_start(transport: Transport, base: Observed, seed: int) -> dict[str, float]:
    """How far a law is from the amortized posterior, by some of its draws.

    Returns:
        "kl_to_amortized", the KL divergence [nats a dimension], and "latent_rms", the root mean square of the
        amortized latents of the draws.
    """
    z = latents(derive_seed(seed, _DISTANCE), 0, _DRAWS, base.shape).to(base.device)
    u, logdet = transport.decode(z)
    own: Tensor = standard_normal_log_prob(z).double() - logdet.double()
    moved, start = base.encode(u)
    amortized = standard_normal_log_prob(moved).double() + start.double()
    divergence = float((own - amortized).mean()) / math.prod(base.shape)
    return {"kl_to_amortized": divergence, "latent_rms": float(moved.double().square().mean().sqrt())}


def falling_doubts(still_falling: float) -> list[str]:
    """Whether the loss had come to rest."""
    if not still_falling:
        return []
    if math.isinf(still_falling):
        return ["not known to have converged: too few steps or too noisy to tell"]
    return [f"not converged: the loss still fell by {still_falling:.3f} nats a dimension"]


def distance_doubts(numbers: Mapping[str, float], base: Observed) -> list[str]:
    """Whether a law is far from its start; ``numbers`` are those of :func:`distance_from_start`."""
    divergence, rms, doubts = numbers.get("kl_to_amortized", 0.0), numbers["latent_rms"], []
    bound = WIDE + 3.0 / math.sqrt(2.0 * math.prod(base.shape))
    if not divergence <= FAR:
        doubts.append(f"far from the amortized posterior: {divergence:.2f} nats a dimension, above {FAR}")
    if not rms <= bound:
        doubts.append(f"latents the network hardly saw in training: rms {rms:.2f}, above {bound:.2f}")
    return doubts


def data_doubts(after: Fit | None, num_data: int) -> list[str]:
    """Whether the draws explain the data, to within 10 % and three standard deviations of chance.

    Source: the cube root of a chi-square is normal: Wilson and Hilferty, PNAS 17 (1931).
    """
    if after is None or after.chi_square is None:
        return ["data misfit not checked, or not finite"]
    spread = 2.0 / (9.0 * num_data)
    low, high = (
        share * max(1.0 - spread + sign * 3.0 * math.sqrt(spread), 0.0) ** 3
        for share, sign in ((0.9, -1), (1.1, 1))
    )
    if low <= after.chi_square <= high:
        return []
    what = "the data are not explained" if after.chi_square > 1.0 else "the noise is fitted, or overestimated"
    return [f"{what}: chi-square {after.chi_square:.3g}, expected {low:.2g} to {high:.2g}"]
