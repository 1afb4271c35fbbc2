"""``seispost reconstruct``: a network with the wave equation in every iteration, trained and scored."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posterior import uq
from posterior.cli.commands import say
from posterior.cli.config import claim, load
from posterior.cli.simulated_surveys import CONTEXT, SimulatedSurveys
from posterior.config import LoopNetworkConfig, ReconstructConfig, require
from posterior.files import write_atomic, writes_files
from posterior.least_squares import least_squares
from posterior.linear_misfit import LinearMisfit
from posterior.model_folder import load_model, load_weights, save_model
from posterior.networks.loop import LoopUnrolled
from posterior.reversible import Memory
from posterior.seeding import derive_seed
from posterior.training.first_guess import fit_first_guess
from posterior.training.reconstruct import fit_reconstruction

if TYPE_CHECKING:
    from posterior.cli.config import RunConfig

Images = dict[str, NDArray[np.float32]]
FOLDER, MODEL = "reconstruct", "model"
METHODS = ("migration", "least_squares", "preconditioned", "network")
_WEIGHTS = 100
"""Key of the stream that the first weights are drawn from."""


def build_loop(config: LoopNetworkConfig, *, seed: int, ndim: int = 2) -> LoopUnrolled:
    """The network that a configuration describes, with fresh weights.

    Args:
        config: The architecture, with a unit.
        seed: Of the weights.
        ndim: Number of spatial axes.
    """
    from posterior.layers.units import LinearUnits

    assert config.unit is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, _WEIGHTS))
        return LoopUnrolled(
            1,
            config.memory_channels,
            iterations=config.unrolled,
            step=config.step,
            update=config.update,
            link=LinearUnits(config.unit, ndim=ndim),
            start=config.start,
            context_channels=len(CONTEXT) if config.start == "network" else 0,
            hidden=config.hidden,
            strides=config.strides,
            memory=Memory(keep=config.keep),
            ndim=ndim,
        )


def load_loop(folder: str | Path) -> LoopUnrolled:
    """The trained network of a run's ``reconstruct/model``, in evaluation mode.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: It is damaged, or holds something else.
    """
    config, state = load_model(folder)
    if config.get("kind") != "loop":
        raise ValueError(f"expected a loop-unrolled network in {folder}, got {config.get('kind')!r}")
    network = LoopNetworkConfig(**config["network"])
    loop = build_loop(network, seed=0, ndim=config["ndim"])
    load_weights(loop, state, folder)
    return loop.eval()


@torch.no_grad()
def reconstruct_all(network: LoopUnrolled, surveys: SimulatedSurveys) -> tuple[Images, int]:
    """Images of every pair by each method.

    Returns:
        "truth", "migration" (weighted, and scaled to fit the truth best), "least_squares", the same
        "preconditioned" by the weight of the network's gradients, and "network", each (n, *shape)
        [s^2/m^2]; and the number of J, and of J^T, a pair that the network and least squares had each.
    """
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in ("truth", *METHODS)}
    spent = 0
    for position in range(len(surveys.pairs)):
        x, data = (one[None] for one in surveys.pairs[position])
        problem = surveys([position], data, None)
        misfit, d = problem.misfit, problem.d
        assert isinstance(misfit, LinearMisfit)
        image = network.eval().reconstruct(d, misfit, known=problem.known)
        spent, operator = misfit.num_forward, misfit.operator
        truth, migrated = x[0, 0].numpy(), (surveys.weight * operator.adjoint(d))[0, 0].numpy()
        for name, one in (
            ("truth", x),
            ("migration", torch.from_numpy(uq.best_scale(migrated, truth) * migrated)[None, None]),
            ("least_squares", least_squares(operator, d, iterations=spent)),
            ("preconditioned", least_squares(operator, d, iterations=spent, weight=surveys.weight)),
            ("network", image),
        ):
            found[name].append(one[0, 0].numpy().astype(np.float32))
    return {name: np.stack(images) for name, images in found.items()}, spent


def score(images: Images) -> dict[str, float]:
    """Mean SNR [dB] and SSIM ("wang", range of each truth) of every method over the pairs."""
    scores: dict[str, float] = {"pairs": len(images["truth"])}
    for name in METHODS:
        pairs = list(zip(images[name], images["truth"], strict=True))
        scores[f"snr_db_{name}"] = float(np.mean([uq.snr_db(*pair) for pair in pairs]))
        similar = [uq.ssim(*pair, data_range=float(np.ptp(pair[1]))).value for pair in pairs]
        scores[f"ssim_{name}"] = float(np.mean(similar))
    return scores


def reconstruct(config: RunConfig, out: Path, *, quiet: bool = False) -> dict[str, dict[str, float]]:
    """Train on the run's splits, reconstruct the held-out ones, and write ``out/reconstruct``.

    Its sections are ``loop``, the network, and ``reconstruct``, the training.

    Args:
        config: The run.
        out: The run's folder.
        quiet: No progress bars.

    Returns:
        Scores by split: of the network, of migration, and of least squares with as many J and J^T.
    """
    folder, network = out / FOLDER, config.loop or LoopNetworkConfig()
    training = config.reconstruct or ReconstructConfig()
    draw = partial(_simulated, config, encodings=network.encodings, quiet=quiet)
    count, apart = config.splits["train"].count, training.first_guess_pairs if training.first_guess else 0
    require(apart < count, "reconstruct.first_guess_pairs", f"fewer than the {count} of splits.train", apart)
    train, validation = draw("train", first=apart), draw("validation")
    network = replace(network, unit=network.unit or _rms(train.pairs.x))
    loop = build_loop(network, seed=training.seed, ndim=train.pairs.x.ndim - 2)
    if training.first_guess and loop.first_guess is not None:
        begin = draw("train", count=apart) if apart else train
        sets = (begin.surveys, validation.surveys)
        fit_first_guess(loop, *sets, training, folder / "first_guess", progress=not quiet)
    fit_reconstruction(loop, train.surveys, validation.surveys, training, folder, progress=not quiet)
    scores = {}
    for split in config.held_out:
        images, applications = reconstruct_all(loop, _simulated(config, split, quiet=quiet))
        scores[split] = score(images) | {"applications": applications}
        if writes_files():
            np.savez(folder / f"{split}.npz", allow_pickle=False, **images)
    if writes_files():
        write_atomic(folder / "scores.json", json.dumps(scores, indent=1).encode())
        about = {"kind": "loop", "network": asdict(network), "ndim": loop.ndim, "context": CONTEXT}
        save_model(folder / MODEL, about | {"unit": "s^2/m^2"}, loop.state_dict())
    return scores


def run(run_file: Path, out: Path, overrides: list[str], *, quiet: bool) -> None:
    """Run the command on a TOML file, and print the scores."""
    config = load(run_file, overrides)
    claim(out, config)
    for split, scores in reconstruct(config, out, quiet=quiet).items():
        say(f"{split}: {scores['pairs']} pairs, {scores['applications']} J and J^T for each image")
        for name in METHODS:
            say(f"  {name:14} SNR {scores[f'snr_db_{name}']:6.2f} dB   SSIM {scores[f'ssim_{name}']:.3f}")


def _simulated(
    config: RunConfig, split: str, *, first: int = 0, count: int = 0, encodings: int = 0, quiet: bool
) -> SimulatedSurveys:
    """Pairs of a split from the ``first`` on, ``count`` or all."""
    number = count or config.splits[split].count - first
    return SimulatedSurveys(config.pairs(split), number, first=first, encodings=encodings, quiet=quiet)


def _rms(images: Tensor) -> float:
    return float(images.double().square().mean().sqrt())
