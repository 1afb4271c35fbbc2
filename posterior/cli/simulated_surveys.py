"""Pairs of a split with the wave equation between, for reconstructions with physics in the loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from posterior.dataset import TensorPairs
from posterior.files import writes_files
from posterior.linear_map import LinearMap
from posterior.linear_misfit import LinearMisfit
from posterior.networks.loop import Known
from posterior.progress import Progress
from posterior.training.reconstruct import Problem, Surveys

if TYPE_CHECKING:
    from physics.config import PairConfig

CONTEXT = ("background", "weight")
"""Images that a starting network reads besides the migrated one."""


@final
class SimulatedSurveys:
    """Pairs of a split with their Born operators, drawn again from the configuration.

    What is known of a pair besides its records is the background, and the weight of gradients: the mute and
    the depth weight of the configuration's imaging.

    Args:
        config: The split's pairs.
        count: Number of pairs.
        first: Index of the first of them.
        encodings: Simultaneous shots where encodings are asked for; 0 for the shots one by one.
        quiet: No progress bar.
    """

    def __init__(
        self, config: PairConfig, count: int, *, first: int = 0, encodings: int = 0, quiet: bool = False
    ) -> None:
        from physics.pairs import PairSimulator
        from physics.preprocess import DepthWeight, WaterMute

        # Every step of the wavefield in the image: the adjoint is exact, as gradients through it must be.
        exact = replace(config, survey=replace(config.survey, subsample=1))
        self._simulator, self._encodings = PairSimulator(exact), encodings
        bar = Progress(f"draw {config.stream}", count, shown=not quiet and writes_files())
        self._draws, records = [], []
        for index in range(first, first + count):
            draw = self._simulator.draw(index)
            records.append(torch.from_numpy(draw.records))
            # Nothing else is as large as the records, and they are held once.
            self._draws.append(replace(draw, clean=np.empty(0), records=np.empty(0, draw.records.dtype)))
            bar.advance()
        bar.close()
        x = torch.from_numpy(np.stack([one.dm[None] for one in self._draws]))
        self.pairs = TensorPairs(x, torch.stack(records))
        self._operators: dict[int, Any] = {}
        survey, imaging, half = config.survey, config.imaging, 0.5 * config.imaging.taper_depth
        mute = WaterMute(survey.shape, survey.spacing, depth=half, taper=half)
        ones = np.ones(survey.shape, np.float32)
        weight = DepthWeight(survey.shape, power=imaging.depth_power).forward(mute.forward(ones))
        self.weight = torch.from_numpy(weight.astype(np.float32))[None]

    def __call__(self, positions: Sequence[int], data: Tensor, rng: np.random.Generator | None) -> Problem:
        """Born modelling at the backgrounds of these pairs; with ``rng``, of random sums of their shots."""
        from physics.autograd import apply

        shape, known = (1, *self.pairs.x.shape[2:]), self._known(positions)
        if rng is None or not self._encodings:
            operators = [self._operator(one) for one in positions]
            return Problem(LinearMisfit([_as_map(one) for one in operators], shape), data, known)
        pairs = [self._encoded(one, rng) for one in positions]
        few = apply([encoding for encoding, _ in pairs], data)
        return Problem(LinearMisfit([_as_map(operator) for _, operator in pairs], shape), few, known)

    @property
    def surveys(self) -> Surveys:
        """Pairs and physics together, as training takes them."""
        return Surveys(self.pairs, self)

    def _known(self, positions: Sequence[int]) -> Known:
        m0 = np.stack([self._draws[one].background.m[None] for one in positions]).astype(np.float32)
        weight = self.weight.expand(len(positions), *self.weight.shape)
        return Known(torch.cat((torch.from_numpy(m0), weight), 1), self.weight)

    def _operator(self, position: int) -> Any:
        """J of a pair; the wavefields of its sources serve the J^T after a J."""
        if position not in self._operators:
            self._operators[position] = self._simulator.born(self._draws[position], keep_wavefields=True)
        return self._operators[position]

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
            keep_wavefields=True,
            imaging=simulator.config.imaging.condition,
            encoding=encoding,
        )
        return encoding, operator


def _as_map(operator: Any) -> LinearMap:
    from physics.autograd import apply

    return LinearMap(lambda x: apply([operator], x[:, 0]), lambda d: apply([operator.H], d)[:, None])
