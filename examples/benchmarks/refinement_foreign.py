"""A survey unlike those a network was trained on, with its likelihood, and a prior that has not seen data.

The network of ``examples/parihaka.toml`` knows 8 shots at 12 dB over Parihaka's geology. The survey is a
patch of Marmousi seen by half the shots, with twice the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from physics.config import AugmentConfig, PairConfig, PatchPriorConfig, SpreadConfig
from physics.pairs import PairSimulator
from posterior.cli.config import load
from posterior.cli.refine import born_likelihood, exact
from posterior.dataset import PairDataset
from posterior.refine import FlowPrior, GaussianLikelihood
from posterior.sample import AmortizedPosterior
from posterior.training.fit import fit_posterior

RUN_FILE = Path(__file__).parents[1] / "parihaka.toml"
HALF_THE_SHOTS, TWICE_THE_NOISE = 2, 20.0 * math.log10(2.0)
PRIOR_STEPS = 1500


def foreign(run_file: Path = RUN_FILE) -> PairConfig:
    """Marmousi, half the shots, twice the noise, the same in all shots; all else as in training."""
    pairs = load(run_file, []).pairs("test")
    assert isinstance(pairs.acquisition, SpreadConfig)  # the run file has it
    shots = pairs.acquisition.num_sources // HALF_THE_SHOTS
    return replace(
        exact(pairs),
        stream="foreign",
        prior=PatchPriorConfig(model="marmousi", augment=AugmentConfig(probability=0.0)),
        acquisition=replace(pairs.acquisition, num_sources=shots),
        noise=replace(pairs.noise, snr_db=pairs.noise.snr_db - TWICE_THE_NOISE, ratio="survey"),
    )


@final
@dataclass(frozen=True, eq=False)
class Survey:
    """One survey as a refinement takes it.

    Attributes:
        truth: Perturbation (1, nx, nz) [s^2/m^2].
        y: Migrated image, scaled as that of all the shots of the training would be, and background.
        scored: Cells where scores count, (nx, nz).
        likelihood: Of its shots, on whitened records: Born modelling, the noise's covariance known.
    """

    truth: NDArray[np.float32]
    y: NDArray[np.float32]
    scored: NDArray[np.bool_]
    likelihood: GaussianLikelihood


def survey(simulator: PairSimulator, index: int, *, image_scale: float = HALF_THE_SHOTS) -> Survey:
    """Survey number ``index``."""
    draw = simulator.draw(index)
    y = simulator.observe(draw)
    y[0] *= image_scale
    return Survey(
        truth=draw.dm[None],
        y=y,
        scored=simulator.weights.scored.astype(bool),
        likelihood=born_likelihood(simulator, draw),
    )


@final
class Blank:
    """Pairs whose migrated image is zero: what is known of x before any data, its background.

    Args:
        pairs: The pairs.
    """

    def __init__(self, pairs: PairDataset) -> None:
        self._pairs = pairs
        self.fingerprint = f"blank {pairs.fingerprint}"

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        x, y = self._pairs[position]
        return x, blank(y)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[position] for position in range(len(self)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pairs, name)


def blank(y: Tensor) -> Tensor:
    """The observation without its image."""
    return torch.cat((torch.zeros_like(y[:1]), y[1:]))


def prior_network(run: Path, run_file: Path = RUN_FILE) -> AmortizedPosterior:
    """The flow of p(x | background), trained on the run's pairs without their images; read if it is there."""
    if not (run / "prior" / "model").is_dir():
        config = load(run_file, [])
        train, validation = (Blank(PairDataset(run / "data" / split)) for split in ("train", "validation"))
        training = replace(config.train, iterations=PRIOR_STEPS)
        fit_posterior(
            train,  # type: ignore[arg-type]  # a dataset in all that training asks for
            validation,  # type: ignore[arg-type]
            run / "prior",
            network=config.network,
            config=training,
        )
    return AmortizedPosterior.load(run / "prior" / "model")


def prior_of(network: AmortizedPosterior, survey: Survey) -> FlowPrior:
    """The prior of one survey."""
    return FlowPrior(network, blank(torch.from_numpy(survey.y)))


if __name__ == "__main__":
    prior_network(Path("runs/parihaka"))
