"""One call for every refinement: amortized posterior, data and likelihood in, corrected posterior out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from posterior.files import sha256_bytes
from posterior.refine.config import RefineConfig
from posterior.refine.importance import amortized
from posterior.refine.likelihood import Likelihood
from posterior.refine.method import Found, Method
from posterior.refine.methods import METHODS
from posterior.refine.refined import Refined, Report
from posterior.refine.run import OutOfBudgetError, Run
from posterior.refine.target import Observed, Prior, Target
from posterior.refine.verdict import Fit, data_doubts, fit
from posterior.sample import AmortizedPosterior

_FREE = ("budget", "checkpoint_every", "max_rejected")
"""Settings that change nothing about a step; all others belong to the run."""


def refine(
    posterior: AmortizedPosterior,
    y: ArrayLike | Tensor,
    likelihood: Likelihood,
    *,
    method: str | Method = "latent",
    config: RefineConfig | None = None,
    prior: Prior | None = None,
    truth: ArrayLike | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Refined:
    r"""Correct an amortized posterior by the data of one survey.

    .. math:: \pi(x) \propto \rho(x)\, p(d \mid x), \qquad \rho = p(x) \text{ if given, else } q(x \mid y)

    See :class:`posterior.refine.target.Target` for which of the two to take: without a prior the data count
    twice where y was made from them. ``method`` is "latent" (affine map of the latents), "latent_map" (a
    point), "preconditioned" (all weights) or "importance" (weights), or an instance of a method with settings
    of its own. Killed at any moment, the same call goes on from the last checkpoint of ``folder`` and ends
    with the same bits.

    Args:
        posterior: The amortized posterior; it is not changed. Where it averages over symmetries, its
            network's answer to y as it came is corrected.
        y: The observation that the network is conditioned on (K, ...), physical units.
        likelihood: Negative log-likelihood of the data in physical units of x, with its gradient.
        method: Name or instance.
        config: Settings of the run; None for the method's own.
        prior: Differentiable log-density (B,) of models (B, C, ...) in physical units.
        truth: The true model (C, ...), where it is known: the report then has calibration.
        folder: Gets the checkpoints.
        progress: Show a progress bar.

    Returns:
        The corrected posterior with its report: misfit and calibration before and after, solves, doubts.

    Raises:
        ValueError: Unknown method, wrong shapes, a folder of another run, or a budget that is spent before
            the first step.
        RefinementDivergedError: ``config.max_rejected`` evaluations in a row were not finite.
        RefinementInterrupted: SIGINT, SIGTERM or SIGUSR1 came; a checkpoint was written.
    """
    chosen = _method(method)
    settings = chosen.defaults if config is None else config
    target = Target(Observed(posterior, y), likelihood, prior)
    run = Run(
        target,
        settings,
        identity=_identity(target, chosen, settings),
        folder=None if folder is None else Path(folder),
        progress=progress,
    )
    with run.entered():
        before = _before(run, truth)
        found = chosen.refine(run)
        run.reserved = 0
        after = fit(run, found.law, truth)
    return Refined(posterior, y, found.law, _report(run, chosen, found, (before, after)), found.history)


def _method(method: str | Method) -> Method:
    if isinstance(method, Method):
        return method
    if method not in METHODS:
        raise ValueError(f"expected a method among {sorted(METHODS)}, got {method!r}")
    return METHODS[method]()


def _identity(target: Target, method: Method, config: RefineConfig) -> dict[str, Any]:
    """What makes a run this run, by dotted name."""
    base = target.base
    settings = {f"refine.{name}": value for name, value in asdict(config).items() if name not in _FREE}
    chosen = {f"{method.name}.{name}": value for name, value in method.to_json().items()}
    return (
        settings
        | chosen
        | {
            "method": method.name,
            "method.fingerprint": method.fingerprint,
            "target": target.name,
            "amortized": base.posterior.sha256,
            "observation": sha256_bytes(base.y.cpu().contiguous().numpy().tobytes()),
            "likelihood": target.likelihood.fingerprint,
        }
    )


def _before(run: Run, truth: ArrayLike | None) -> Fit | None:
    """Check the amortized posterior, once in a run's life, and keep back what the check at the end costs."""
    checks = run.config.check_draws * run.target.likelihood.num_sources
    run.reserved = checks
    law = amortized(run.target.base)
    if "before" not in run.counters.notes:
        try:
            run.afford(checks, gradient=False)
        except OutOfBudgetError:
            raise ValueError(
                f"expected a budget above the {2 * checks} solves of the checks, got {run.config.budget}"
            ) from None
        found = fit(run, law, truth)
        run.counters.notes["before"] = None if found is None else asdict(found)
    return Report.fit_from_json(run.counters.notes["before"])


def _report(run: Run, method: Method, found: Found, fits: tuple[Fit | None, Fit | None]) -> Report:
    doubts = [*found.doubts, *data_doubts(fits[1], run.target.likelihood.num_data)]
    if run.stopped == "budget":
        doubts.insert(0, f"partial: the budget of {run.config.budget} solves ran out")
    return Report(
        method=method.name,
        settings=method.to_json(),
        config=asdict(run.config),
        target=run.target.name,
        stopped=run.stopped,
        steps=run.counters.iteration,
        rejected=run.counters.rejected,
        solves=run.solves,
        before=fits[0],
        after=fits[1],
        numbers=found.numbers,
        doubts=tuple(doubts),
    )
