"""Figures of the report: which are drawn, under which name, with which caption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from matplotlib.figure import Figure

from posterior import plots, uq
from posterior.dataset import PairDataset
from posterior.report.evaluate import LEVEL, Array, PairDraws, SplitResult, best_image, score_pair
from posterior.report.splits import CHANNEL
from posterior.report.text import coverage_verdict, gain_verdict, sbc_verdict, slope_verdict

Metrics = Mapping[str, Any]

_PLACES = {"(0, 0)": "shallow left", "(0, 1)": "deep left", "(1, 0)": "shallow right", "(1, 1)": "deep right"}


@final
@dataclass(frozen=True)
class Scene:
    """What all figures of a run share."""

    axes: plots.ImageAxes
    quantity: plots.Quantity
    scored: Array
    """Cells that count, (nx, nz)."""
    depth_weight: Array
    """Weight that the migrated image carries, (nz,)."""
    recalibration: uq.IntervalRecalibration | None

    @classmethod
    def of(cls, pairs: PairDataset, recalibration: uq.IntervalRecalibration | None) -> Scene:
        """That of a dataset: its grid, and the name and unit of the channel the report is about.

        Raises:
            ValueError: If the pairs are volumes.
        """
        if len(pairs.x_shape) != 3:
            raise ValueError(
                f"expected pairs of sections (nx, nz), got volumes of {tuple(pairs.x_shape[1:])}: the report "
                "draws sections only"
            )
        dx, dz = (float(step) for step in pairs.spacing)
        x0, z0 = (float(start) for start in pairs.origin)
        name = pairs.x_channels[CHANNEL].replace("_", " ")
        quantity = plots.Quantity.from_si(name[:1].upper() + name[1:], pairs.x_units[CHANNEL])
        axes = plots.ImageAxes((dx, dz), (x0, z0))
        return cls(axes, quantity, pairs.scored, pairs.depth_weight, recalibration)


@final
@dataclass(frozen=True)
class Drawing:
    """A figure with what the page says of it."""

    name: str
    verdict: str
    """One sentence, or empty."""
    caption: str
    figure: Figure


def chosen_pairs(result: SplitResult, count: int) -> dict[int, str]:
    """Pairs to draw: from the weakest to the best by SNR of the mean in equal steps.

    For a count of 1 it is the median one.

    Args:
        result: The split.
        count: How many; fewer if the split has fewer.

    Returns:
        Index of the pair to what it is.
    """
    order = sorted(result.scores, key=lambda score: score.snr_db)
    shares = [0.5] if count == 1 else np.linspace(0.0, 1.0, count)
    places = sorted({round(float(share) * (len(order) - 1)) for share in shares})
    return {order[place].index: f"rank {place + 1} of {len(order)} by SNR, worst first" for place in places}


def pair_drawings(split: str, pair: PairDraws, place: str, scene: Scene) -> Iterator[Drawing]:
    """Panel, profiles and z-scores of one pair.

    Args:
        split: Name of the split.
        pair: The pair with its draws.
        place: Where the pair stands among the others.
        scene: What all figures share.
    """
    stem = pair_stem(split, pair)
    caption = (
        f"Pair {pair.index} of {split} ({place}). Grey sections share one scale, clipped at the 98th "
        "percentile "
        "of the truth; |error| and std share another. The std is the network's own. Scores leave out muted "
        "rows."
    )
    yield Drawing(f"{stem}-panel", "", caption, _panel(pair, scene))
    caption = (
        f"Vertical profiles of pair {pair.index} of {split}: posterior mean, 50 % and 90 % credible intervals"
        f"{' after recalibration' if scene.recalibration else ''}, truth."
    )
    yield Drawing(f"{stem}-profiles", "", caption, _profiles(pair, scene))
    caption = (
        f"Errors of the posterior mean of pair {pair.index} of {split} in posterior std, raw. Red cells are "
        "farther from "
        "the truth than two std; where they cluster the std is too small there, or the prior does not hold."
    )
    yield Drawing(f"{stem}-z-scores", "", caption, _z_scores(pair, scene))


def pair_stem(split: str, pair: PairDraws) -> str:
    """First part of the names of a pair's files."""
    return f"{split}-pair-{pair.index:06d}"


def spread_drawing(split: str, pair: PairDraws, scene: Scene) -> Drawing:
    """Maps of a pair's spread.

    Args:
        split: Name of the split.
        pair: The pair with its draws.
        scene: What all figures share.
    """
    caption = (
        f"Spread of the raw draws of pair {pair.index} of {split}: std as it is and relative to the envelope "
        "of the mean, widths of the 90 % intervals. Where the shortest interval is much shorter than the "
        "equal-tailed one the posterior is skewed."
    )
    figure, _ = plots.spread(pair.draws, axes=scene.axes, quantity=scene.quantity)
    return Drawing(f"{pair_stem(split, pair)}-spread", "", caption, figure)


def split_drawings(split: str, result: SplitResult, metrics: Metrics, scene: Scene) -> Iterator[Drawing]:
    """Figures over all pairs of a split.

    Args:
        split: Name of the split.
        result: What its pairs came to.
        metrics: The same as plain numbers.
        scene: What all figures share.
    """
    curves, spreads = {"raw": result.raw}, {"raw": result.spread}
    if result.recalibrated is not None and scene.recalibration is not None:
        curves["recalibrated"] = result.recalibrated
        spreads["recalibrated"] = result.spread.scaled(scene.recalibration.factor)
    caption = (
        "Share of cells inside the equal-tailed credible interval of each level, counted by ranks and so "
        "free of "
        f"the bias that {result.num_samples} draws would bring."
    )
    figure, _ = plots.calibration_curve(curves)
    yield Drawing(f"{split}-calibration", coverage_verdict(metrics), caption, figure)
    caption = (
        "RMSE of the posterior mean over cells of like posterior std. The slope is the weighted "
        "least-squares one "
        "through the origin."
    )
    spread_figure, _ = plots.std_rmse(spreads, quantity=scene.quantity)
    yield Drawing(f"{split}-std-rmse", slope_verdict(metrics), caption, spread_figure)
    caption = (
        "Rank of the truth among the raw draws: mean and energy of the section, its middle cell, means of "
        "its "
        "quarters. Grey: band that a calibrated posterior keeps to in all bins at once with 95 % "
        "probability. "
        "Patches that overlap in the earth model are not independent, so that the test rejects more "
        "readily than "
        "it claims."
    )
    yield Drawing(f"{split}-sbc", sbc_verdict(metrics), caption, _sbc(result))
    scatter = 100.0 * np.sqrt(LEVEL * (1.0 - LEVEL) / len(result.scores))
    caption = (
        "Over all pairs: root mean posterior variance; share of pairs whose 90 % interval"
        f"{' (recalibrated)' if len(curves) > 1 else ''} holds the truth (chance alone scatters a cell by "
        f"{scatter:.0f} points); share of the prior variance removed, a map of resolution."
    )
    yield Drawing(f"{split}-maps", gain_verdict(metrics), caption, _maps(result, scene))


def _panel(pair: PairDraws, scene: Scene) -> Figure:
    mean, std = uq.mean(pair.draws), uq.std(pair.draws)
    score = score_pair(pair, mean, std**2, scored=scene.scored, depth_weight=scene.depth_weight)
    patch = plots.Patch(
        truth=pair.truth,
        image=best_image(pair, scene.scored, scene.depth_weight),
        mean=mean,
        std=std,
        draws=pair.draws[:3],
        snr_db=score.snr_db,
        snr_image_db=score.snr_image_db,
        rmse=score.mse**0.5,
        std_rms=score.var**0.5,
        ssim=score.ssim,
    )
    return plots.panel(patch, scene.axes, quantity=scene.quantity)[0]


def _profiles(pair: PairDraws, scene: Scene) -> Figure:
    draws = scene.recalibration.widen(pair.draws) if scene.recalibration else pair.draws
    bands = {level: uq.credible_interval(draws, level) for level in (0.5, 0.9)}
    mean = uq.mean(pair.draws)
    return plots.profiles(pair.truth, mean, bands, axes=scene.axes, quantity=scene.quantity)[0]


def _z_scores(pair: PairDraws, scene: Scene) -> Figure:
    scores = uq.z_scores(pair.draws, pair.truth)
    return plots.z_scores(scores, num_samples=len(pair.draws), axes=scene.axes, where=scene.scored)[0]


def _sbc(result: SplitResult) -> Figure:
    def readable(tests: Mapping[str, uq.RankTest]) -> dict[str, uq.RankTest]:
        return {_PLACES.get(name.removeprefix("block "), name): test for name, test in tests.items()}

    return plots.sbc(readable(result.histograms), readable(result.ecdfs))[0]


def _maps(result: SplitResult, scene: Scene) -> Figure:
    std = np.sqrt(result.var_map)
    drawn = plots.maps(
        std, result.coverage_map, result.contraction_map, axes=scene.axes, quantity=scene.quantity
    )
    return drawn[0]
