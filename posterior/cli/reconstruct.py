"""``seispost reconstruct``: a network with the wave equation in every iteration, trained and scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posterior import uq
from posterior.cli.commands import say
from posterior.cli.config import claim, load
from posterior.config import LoopNetworkConfig, ReconstructConfig
from posterior.dataset import TensorPairs
from posterior.files import write_atomic, writes_files
from posterior.least_squares import least_squares
from posterior.linear_map import LinearMap
from posterior.linear_misfit import LinearMisfit
from posterior.misfit import Misfit
from posterior.networks.loop import LoopUnrolled
from posterior.progress import Progress
from posterior.reversible import Memory
from posterior.seeding import derive_seed
from posterior.training.reconstruct import Surveys, fit_reconstruction

if TYPE_CHECKING:
    from physics.config import PairConfig
    from posterior.cli.config import RunConfig

Images = dict[str, NDArray[np.float32]]
FOLDER, METHODS = "reconstruct", ("migration", "least_squares", "network")
_WEIGHTS = 100
"""Key of the stream that the first weights are drawn from."""


@final
class SimulatedSurveys:
    """Pairs of a split with their Born operators, drawn again from the configuration.

    Args:
        config: The split's pairs.
        count: Number of pairs.
        encodings: Simultaneous shots where encodings are asked for; 0 for the shots one by one.
        quiet: No progress bar.
    """

    def __init__(self, config: PairConfig, count: int, *, encodings: int = 0, quiet: bool = False) -> None:
        from physics.pairs import PairSimulator

        # Every step of the wavefield in the image: the adjoint is exact, as gradients through it must be.
        exact = replace(config, survey=replace(config.survey, subsample=1))
        self._simulator, self._encodings = PairSimulator(exact), encodings
        bar = Progress(f"draw {config.stream}", count, shown=not quiet and writes_files())
        self._draws = []
        for index in range(count):
            self._draws.append(self._simulator.draw(index))
            bar.advance()
        bar.close()
        x = torch.from_numpy(np.stack([one.dm[None] for one in self._draws]))
        self.pairs = TensorPairs(x, torch.from_numpy(np.stack([one.records for one in self._draws])))

    def __call__(
        self, positions: Sequence[int], data: Tensor, rng: np.random.Generator | None
    ) -> tuple[Misfit, Tensor]:
        """Born modelling at the backgrounds of these pairs; with ``rng``, of random sums of their shots."""
        from physics.autograd import apply

        shape = (1, *self.pairs.x.shape[2:])
        if rng is None or not self._encodings:
            operators = [self._simulator.born(self._draws[one]) for one in positions]
            return LinearMisfit(_as_map(operators), shape), data
        pairs = [self._encoded(one, rng) for one in positions]
        few = apply([encoding for encoding, _ in pairs], data)
        return LinearMisfit(_as_map([operator for _, operator in pairs]), shape), few

    @property
    def surveys(self) -> Surveys:
        """Pairs and physics together, as training takes them."""
        return Surveys(self.pairs, self)

    def _encoded(self, position: int, rng: np.random.Generator) -> tuple[Any, Any]:
        from physics.encoding import random_signs
        from physics.linear import BornOperator

        draw, simulator = self._draws[position], self._simulator
        encoding = random_signs(draw.survey, self._encodings, rng=rng, dtype=draw.records.dtype)
        operator = BornOperator(
            draw.background,
            draw.survey,
            wavelet=simulator.wavelet,
            numerics=simulator.plan.numerics,
            imaging=simulator.config.imaging.condition,
            encoding=encoding,
        )
        return encoding, operator


def _as_map(operators: Sequence[Any]) -> LinearMap:
    from physics.autograd import apply

    back = [one.H for one in operators]
    return LinearMap(lambda x: apply(operators, x[:, 0]), lambda d: apply(back, d)[:, None])


def build_loop(config: LoopNetworkConfig, images: Tensor, *, seed: int) -> LoopUnrolled:
    """The network that a configuration describes, with fresh weights.

    Args:
        config: The architecture.
        images: Training images (n, 1, ...) whose rms is the unit, unless the configuration has one.
        seed: Of the weights.
    """
    from posterior.layers.units import LinearUnits

    unit = float(images.double().square().mean().sqrt()) if config.unit is None else config.unit
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, _WEIGHTS))
        return LoopUnrolled(
            1,
            config.memory_channels,
            iterations=config.unrolled,
            step=config.step,
            update=config.update,
            link=LinearUnits(unit, ndim=images.ndim - 2),
            start=config.start,
            hidden=config.hidden,
            strides=config.strides,
            memory=Memory(keep=config.keep),
            ndim=images.ndim - 2,
        )


@torch.no_grad()
def reconstruct_all(network: LoopUnrolled, surveys: SimulatedSurveys) -> tuple[Images, int]:
    """Images of every pair by each method.

    Returns:
        "truth", "migration" (scaled to fit the truth best), "least_squares" and "network", each (n, *shape)
        [s^2/m^2]; and the number of J, and of J^T, a pair that the network and least squares had each.
    """
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in ("truth", *METHODS)}
    spent = 0
    for position in range(len(surveys.pairs)):
        x, data = (one[None] for one in surveys.pairs[position])
        misfit, d = surveys([position], data, None)
        assert isinstance(misfit, LinearMisfit)
        image = network.eval().reconstruct(d, misfit)
        spent = misfit.num_forward
        fitted = least_squares(misfit.operator, d, iterations=spent)
        truth, migrated = x[0, 0].numpy(), misfit.operator.adjoint(d)[0, 0].numpy()
        scaled = (uq.best_scale(migrated, truth) * migrated).astype(np.float32)
        for name, one in (("truth", truth), ("migration", scaled)):
            found[name].append(one)
        found["least_squares"].append(fitted[0, 0].numpy())
        found["network"].append(image[0, 0].numpy())
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
    train, validation = (
        _simulated(config, split, encodings=network.encodings, quiet=quiet)
        for split in ("train", "validation")
    )
    loop = build_loop(network, train.pairs.x, seed=training.seed)
    fit_reconstruction(loop, train.surveys, validation.surveys, training, folder, progress=not quiet)
    scores = {}
    for split in config.held_out:
        images, applications = reconstruct_all(loop, _simulated(config, split, encodings=0, quiet=quiet))
        scores[split] = score(images) | {"applications": applications}
        if writes_files():
            np.savez(folder / f"{split}.npz", allow_pickle=False, **images)
    if writes_files():
        write_atomic(folder / "scores.json", json.dumps(scores, indent=1).encode())
        torch.save(loop.state_dict(), folder / "weights.pt")
    return scores


def run(run_file: Path, out: Path, overrides: list[str], *, quiet: bool) -> None:
    """Run the command on a TOML file, and print the scores."""
    config = load(run_file, overrides)
    claim(out, config)
    for split, scores in reconstruct(config, out, quiet=quiet).items():
        say(f"{split}: {scores['pairs']} pairs, {scores['applications']} J and J^T for each image")
        for name in METHODS:
            say(f"  {name:14} SNR {scores[f'snr_db_{name}']:6.2f} dB   SSIM {scores[f'ssim_{name}']:.3f}")


def _simulated(config: RunConfig, split: str, *, encodings: int, quiet: bool) -> SimulatedSurveys:
    return SimulatedSurveys(config.pairs(split), config.splits[split].count, encodings=encodings, quiet=quiet)
