"""One posterior before the truths of one split: every test and score of uq, streamed pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from posterior import uq
from posterior.diagnosis.prior import Prior
from posterior.report.evaluate import LEVEL, PairDraws
from posterior.uq.reliability import ErrorConvention

Array = NDArray[Any]

LEAST_PAIRS = 20
"""Fewer pairs can tell nothing."""
_PIT_BINS = 10
_PUBLISHED: tuple[tuple[ErrorConvention, int], ...] = (("slim", 64), ("laves", 10), ("ence", 10))
"""Published calibration errors with their numbers of bins."""
_MOST_CELLS = 1 << 22  # cells of which std and error are kept for curves over all of them


@final
@dataclass(frozen=True)
class Judgement:
    """What a split's truths say of a posterior."""

    coverage: uq.CoverageCurve
    coverage_p: float
    coverage_map: Array
    map_level: float
    map_test: uq.CoverageMapTest | None
    """None where there are too few pairs for a test cell by cell."""
    pit_map: uq.PitMap
    pit_p: float
    ranks: dict[str, uq.RankTest]
    tarp: dict[str, uq.TarpResult]
    c2st: uq.LocalC2st
    error: uq.CalibrationError
    published: tuple[uq.PublishedError, ...]
    spread: uq.StdRmse
    sparsification: uq.Sparsification
    correlation: tuple[float, float]
    z: Array
    """Signed z-scores of the cells kept, (n,)."""
    removed: Array
    """Share of the prior variance that the data removed from them, (n,)."""
    scores: dict[str, Array]
    """Name of a score to its value for each pair, (P,)."""
    var_map: Array
    """Mean posterior variance of each cell."""


@final
class Judge:
    """Streams the pairs of a split through every test.

    Args:
        scored: Cells that count, (nx, nz).
        prior: What the training pairs say.
        count: Pairs of the split.
        seed: Of ties, reference points and permutations.
    """

    def __init__(self, scored: Array, prior: Prior, count: int, *, seed: int = 0) -> None:
        if count < LEAST_PAIRS:
            raise ValueError(f"expected at least {LEAST_PAIRS} pairs for a diagnosis, got {count}")
        self._scored, self._prior, self._count, self._seed = np.asarray(scored, bool), prior, count, seed
        self._level = max([q for q in (LEVEL, 0.8, 0.5) if count * (1.0 - q) >= 10.0 - 1e-9])
        self._coverage = uq.Coverage(map_level=self._level, seed=seed)
        self._pit = uq.PitMap(seed=seed)
        self._histograms: list[Array] = []
        self._ranks = uq.FunctionalRanks(functionals(self._scored, prior), seed=seed)
        unit = np.sqrt(prior.var[self._scored])
        self._tarp = {"cells": uq.Tarp(scale=np.where(unit > 0.0, unit, 1.0), seed=seed)}
        self._tarp["principal scores"] = uq.Tarp(scale=np.sqrt(prior.modes.variance), seed=seed)
        self._reduced: list[tuple[Array, Array, Array]] = []
        self._error, self._spread = uq.CalibrationErrorFit(), uq.StdRmseFit()
        self._cells: list[Array] = []
        self._scores: dict[str, list[float]] = {"crps": [], "energy": [], "interval": [], "log": []}
        self._var = np.zeros(self._scored.shape)

    def update(self, pair: PairDraws, draws: Array) -> None:
        """Take in one pair.

        Args:
            pair: Truth and image.
            draws: The posterior's draws, (S, nx, nz): the pair's own, or repaired ones.
        """
        self._coverage.update(draws, pair.truth, self._scored)
        self._pit.update(draws, pair.truth)
        self._ranks.update(draws, pair.truth)
        self._error.update(draws, pair.truth, self._scored)
        self._spread.update(draws, pair.truth, self._scored)
        self._update_pit(pair, draws)
        self._update_references(pair, draws)
        self._update_cells(pair, draws)

    def result(self) -> Judgement:
        """Close the split."""
        curve, coverage_map = self._coverage.curve(), self._coverage.map()
        samples = self._ranks.num_samples
        tested = self._count * (1.0 - self._level) >= 10.0 - 1e-9
        std, error, z, removed = np.concatenate(self._cells, axis=1)
        truths, drawn, given = (np.stack(part) for part in zip(*self._reduced, strict=True))
        return Judgement(
            coverage=curve,
            coverage_p=uq.coverage_test(curve, seed=self._seed),
            coverage_map=coverage_map,
            map_level=self._level,
            map_test=uq.coverage_map_test(coverage_map, self._level, pairs=self._count, num_samples=samples)
            if tested
            else None,
            pit_map=self._pit,
            pit_p=uq.sign_flip_test(np.stack(self._histograms) - 1.0 / _PIT_BINS, seed=self._seed),
            ranks=self._ranks.tests(),
            tarp={name: test.result() for name, test in self._tarp.items()},
            c2st=uq.local_c2st(truths, drawn, given, seed=self._seed),
            error=self._error.result(),
            published=tuple(
                uq.published_calibration_error(std, error, convention, bins=bins)
                for convention, bins in _PUBLISHED
            ),
            spread=self._spread.result(),
            sparsification=uq.sparsification(std, error, seed=self._seed),
            correlation=uq.error_std_correlation(std, error),
            z=z,
            removed=removed,
            scores={name: np.array(values) for name, values in self._scores.items()},
            var_map=self._var / self._count,
        )

    def _update_pit(self, pair: PairDraws, draws: Array) -> None:
        place = len(self._histograms)
        ranks = uq.rank(draws[:, self._scored], pair.truth[self._scored], seed=self._seed + place)
        values = uq.pit(ranks, len(draws), seed=self._seed + place)
        counts = np.histogram(values, bins=_PIT_BINS, range=(0.0, 1.0))[0]
        self._histograms.append(counts / counts.sum())

    def _update_references(self, pair: PairDraws, draws: Array) -> None:
        """TARP and the local test, whose references and conditions are made from the image alone."""
        prior, rng = self._prior, np.random.default_rng((self._seed, pair.index))
        point = prior.reference(pair.image, rng)
        where = self._scored
        self._tarp["cells"].update(draws[:, where], pair.truth[where], point[where])
        drawn, true, there = (prior.modes.scores(a) for a in (draws, pair.truth[None], point[None]))
        self._tarp["principal scores"].update(drawn, true[0], there[0])
        self._reduced.append((true[0], drawn, prior.image_modes.scores(pair.image[None])[0]))

    def _update_cells(self, pair: PairDraws, draws: Array) -> None:
        inside, truth = draws[:, self._scored], pair.truth[self._scored]
        std, error = uq.std(inside), uq.mean(inside) - truth
        self._var += uq.std(draws) ** 2
        most = max(1, _MOST_CELLS // self._count)
        kept = np.linspace(0, truth.size - 1, min(most, truth.size)).round().astype(int)
        removed = uq.contraction(std**2, self._prior.var[self._scored])
        self._cells.append(np.stack([std, error, uq.z_scores(inside, truth), removed])[:, kept])
        values = {
            "crps": uq.crps(inside, truth).mean(),
            "energy": uq.energy_score(inside, truth),
            "interval": uq.winkler_score(inside, truth, LEVEL).mean(),
            "log": uq.gaussian_log_score(inside, truth).mean(),
        }
        for name, value in values.items():
            self._scores[name].append(float(value))


def functionals(scored: Array, prior: Prior) -> dict[str, uq.Functional]:
    """What is ranked: mean, energy, quarters, single cells and principal scores of a section.

    Args:
        scored: Cells that count, (nx, nz).
        prior: Whose modes are used.
    """
    found: dict[str, uq.Functional] = {"mean": uq.block_mean(scored), "energy": uq.energy(scored)}
    nx, nz = scored.shape
    for across, columns in (("left", slice(0, nx // 2)), ("right", slice(nx // 2, nx))):
        for depth, rows in (("shallow", slice(0, nz // 2)), ("deep", slice(nz // 2, nz))):
            block = np.zeros_like(scored)
            block[columns, rows] = scored[columns, rows]
            if block.any():
                found[f"{depth} {across}"] = uq.block_mean(block)
                places = np.argwhere(block)
                found[f"cell {depth} {across}"] = uq.cell(*places[len(places) // 2])
    return found | uq.principal_scores(prior.modes)
