"""``seispost refine``: the posterior of one pair of a run, corrected by the pair's own shots."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posterior.files import write_atomic

if TYPE_CHECKING:
    from physics.config import PairConfig
    from physics.geometry import Acquisition
    from physics.likelihood import BornShots, Linearised, Whitening
    from physics.linear import BornOperator, Encoding
    from physics.pairs import Draw, PairSimulator
    from posterior.refine import GaussianLikelihood, RefineConfig

REFINE = "correct the posterior of one pair by its own shots: latent correction, MAP, warm start, importance"
METHODS = ("latent", "latent_map", "preconditioned", "importance")
FOLDER = "refined"


def add_refine(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``seispost refine``."""
    add = parser.add_argument
    add("run", type=Path, help="the run's TOML file")
    add("--out", type=Path, help="run folder (default: runs/<name of the file>)")
    add("--split", default="test", help="whose pair (default: test)")
    add("--pair", type=int, default=0, metavar="N", help="number of the pair in its split (default: 0)")
    add("--method", choices=METHODS, default="latent", help="default: latent")
    add("--passes", type=int, default=20, metavar="P", help="solves of each shot, there and back")
    add("--seed", type=int, default=0, help="of draws and shots")
    add("--quiet", action="store_true", help="no progress bar")


def refine(args: argparse.Namespace) -> int:
    """Refine one pair, write ``out/refined/<split>-<pair>-<method>`` and print the report.

    Returns:
        0.

    Raises:
        FileNotFoundError: If there is no such run, no model or no pair.
        ValueError: If the settings do not fit, or the run's records were not made by Born modelling.
    """
    from physics.pairs import PairSimulator
    from posterior.cli.commands import say
    from posterior.cli.config import load
    from posterior.dataset import PairDataset
    from posterior.refine import refine as correct
    from posterior.sample import AmortizedPosterior

    config, out = load(args.run, []), args.out or Path("runs") / args.run.stem
    posterior = AmortizedPosterior.load(out / "model")
    x, y = _pair(PairDataset(out / "data" / args.split), args.pair)
    simulator = PairSimulator(exact(config.pairs(args.split)))
    likelihood = born_likelihood(simulator, simulator.draw(args.pair))
    folder = out / FOLDER / f"{args.split}-{args.pair:06d}-{args.method}"
    settings = settings_of(args.method, likelihood.num_sources, args.passes, seed=args.seed)
    found = correct(
        posterior,
        y,
        likelihood,
        method=args.method,
        config=settings,
        truth=x.numpy(),
        folder=folder / "checkpoints",
        progress=not args.quiet,
    )
    found.save(folder / "posterior")
    write_atomic(folder / "report.json", json.dumps(asdict(found.report), indent=1).encode())
    say(f"{found.report}\nrefine: {folder}")
    return 0


def settings_of(method: str, num_sources: int, passes: int, *, seed: int = 0) -> RefineConfig:
    """A method's defaults, with one shot a draw and two draws a step, for so many passes over the shots."""
    from posterior.refine.methods import METHODS as KNOWN

    own = replace(KNOWN[method]().defaults, seed=seed)
    if method == "importance":
        return own
    if own.optimiser == "lbfgs":
        checks = 2 * own.check_draws * num_sources
        return replace(own, budget=2 * passes * num_sources + checks)
    return replace(own, iterations=max(1, passes * num_sources // 2), batch_size=2, rows=1)


def exact(config: PairConfig) -> PairConfig:
    """The pairs with every step of the wavefield in the image: the adjoint is exact, as gradients must be."""
    return replace(config, survey=replace(config.survey, subsample=1))


def linearised(simulator: PairSimulator, draw: Draw) -> Linearised:
    """J at the background of a draw, for any of its shots or sums of them."""
    from physics.linear import BornOperator

    def jacobian(survey: Acquisition, encoding: Encoding | None) -> BornOperator:
        return BornOperator(
            draw.background,
            survey,
            wavelet=simulator.wavelet,
            numerics=simulator.plan.numerics,
            imaging=simulator.config.imaging.condition,
            encoding=encoding,
        )

    return jacobian


def born_shots(simulator: PairSimulator, draw: Draw) -> tuple[BornShots, Whitening]:
    """Born modelling of a draw's shots in records whose noise is white, and what makes them so.

    The noise has the wavelet's spectrum, independent from trace to trace, and the draw's own mean strength.
    """
    from physics.likelihood import BornShots, Whitening, trace_covariance

    noise = float((draw.records - draw.clean).std())
    white = Whitening(trace_covariance(simulator.wavelet, noise), *draw.survey.record_shape[::2])
    return BornShots(linearised(simulator, draw), draw.survey, white), white


def born_likelihood(simulator: PairSimulator, draw: Draw) -> GaussianLikelihood:
    """The likelihood of a draw's records, for perturbations of the squared slowness.

    Raises:
        ValueError: If the records are not Born's, or the noise is not that of the wavelet's spectrum.
    """
    import torch

    from physics.config import WaveletSpectrumConfig
    from posterior.refine import GaussianLikelihood

    config = simulator.config
    noise = config.noise
    plain = isinstance(noise.spectrum, WaveletSpectrumConfig) and noise.swell is None
    if config.survey.data != "born" or not plain or noise.correlation_length > 0.0:
        raise ValueError(
            'expected survey.data = "born" and noise of the wavelet\'s spectrum, independent between traces, '
            f"got {config.survey.data!r} and {noise}: build a likelihood of physics.likelihood by hand"
        )
    shots, white = born_shots(simulator, draw)
    return GaussianLikelihood(shots, torch.from_numpy(white.forward(draw.records)), 1.0)


def _pair(pairs: Any, number: int) -> Any:
    positions = {int(index): position for position, index in enumerate(pairs.index)}
    if number not in positions:
        raise ValueError(f"--pair: expected one of the {len(positions)} pairs of the split, got {number}")
    return pairs[positions[number]]
