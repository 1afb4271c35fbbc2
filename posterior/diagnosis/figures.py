"""Figures of a diagnosis: which are drawn, under which name, with which caption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from posterior import plots, uq
from posterior.diagnosis.density import Densities
from posterior.diagnosis.judge import Judgement
from posterior.diagnosis.prior import Prior
from posterior.report.evaluate import PairDraws
from posterior.report.figures import Drawing, Scene

Judgements = Mapping[str, Judgement]


@final
@dataclass(frozen=True)
class Surveyed:
    """What the watch said of the survey of a split that looks strangest."""

    references: tuple[uq.Reference, ...]
    verdict: uq.Verdict
    index: int


def drawings(
    split: str, judged: Judgements, scene: Scene, densities: Densities | None = None
) -> Iterator[Drawing]:
    """Figures over all pairs of a split.

    Args:
        split: Name of the split.
        judged: ``raw`` and, where there is an interval factor, ``recalibrated``.
        scene: Grid and quantity.
        densities: Densities of truths and draws.
    """
    raw = judged["raw"]
    yield _coverage(split, judged)
    yield from _maps(split, raw, scene)
    yield Drawing(
        f"{split}-ranks",
        "",
        "Ranks of functionals of the true section among those of the draws (raw), against the band that a "
        "calibrated posterior keeps to everywhere at once.",
        plots.ranks(raw.ranks)[0],
    )
    yield _tarp(split, raw, densities)
    yield _reliability(split, judged, scene)
    yield Drawing(
        f"{split}-contraction",
        "",
        "Where the data decide, are the error bars still right: z-scores of cells by the share of the prior "
        "variance that the data removed.",
        plots.contraction({name: (one.removed, one.z) for name, one in judged.items()})[0],
    )
    if len(judged) > 1:
        yield _scores(split, judged, scene)
    yield Drawing(
        f"{split}-sparsification",
        "",
        "Error of the cells that are left when the least certain ones are taken away; dashed: of a right "
        "Gaussian posterior with the same std.",
        plots.sparsification({name: one.sparsification for name, one in judged.items()})[0],
    )


def pair_drawing(split: str, pair: PairDraws, judgement: Judgement, prior: Prior) -> Drawing:
    """The local test at one pair.

    Args:
        split: Name of the split.
        pair: One of its pairs.
        judgement: Of the split, raw.
        prior: Whose modes are used.
    """
    drawn, true = prior.modes.scores(pair.draws), prior.modes.scores(pair.truth[None])[0]
    given = prior.image_modes.scores(pair.image[None])[0]
    return Drawing(
        f"{split}-c2st",
        "",
        f"Can a classifier tell truths from draws by three principal scores: over all pairs, and for pair "
        f"{pair.index}, with the places it holds to have too little or too much mass.",
        plots.c2st(judgement.c2st, drawn, given, truth=true)[0],
    )


def watch_drawing(split: str, surveyed: Surveyed) -> Drawing:
    """The scores of one survey among those of held-out surveys of the training distribution.

    Args:
        split: Name of the split.
        surveyed: The watch's verdict.
    """
    return Drawing(
        f"{split}-alarms",
        str(surveyed.verdict),
        f"The survey of {split} that looks strangest, pair {surveyed.index}, among held-out surveys of the "
        "training distribution; the data alone are looked at.",
        plots.alarms(surveyed.references, surveyed.verdict)[0],
    )


def _coverage(split: str, judged: Judgements) -> Drawing:
    caption = (
        "Share of cells inside the equal-tailed interval of each level, counted by ranks and so free of the "
        "bias of finitely many draws. "
        + "; ".join(f"{name}: p = {one.coverage_p:.2g} over all levels" for name, one in judged.items())
        + ". Signs are drawn by pair, so that cells may depend on one another."
    )
    curves = {name: one.coverage for name, one in judged.items()}
    return Drawing(f"{split}-coverage", "", caption, plots.calibration_curve(curves)[0])


def _maps(split: str, raw: Judgement, scene: Scene) -> Iterator[Drawing]:
    if raw.map_test is not None:
        figure, _ = plots.coverage_map(raw.coverage_map, raw.map_test, level=raw.map_level, axes=scene.axes)
        caption = (
            f"Coverage of the raw {100 * raw.map_level:.0f} % intervals cell by cell, the highest level that "
            "so many pairs can test; the threshold allows for the number of cells."
        )
        yield Drawing(f"{split}-coverage-map", "", caption, figure)
    yield Drawing(
        f"{split}-pit",
        "",
        f"Where the raw posterior is off centre, and where too narrow. PIT histogram over all cells: "
        f"p = {raw.pit_p:.2g}.",
        plots.pit(raw.pit_map, axes=scene.axes, where=scene.scored)[0],
    )


def _tarp(split: str, raw: Judgement, densities: Densities | None) -> Drawing:
    results: dict[str, Any] = dict(raw.tarp)
    if densities is not None:
        results["highest density"] = densities.credibilities
    caption = (
        "Credibility of the ball about a random point made from the image that the truth lies on, for all "
        "cells and for three principal scores"
        + ("" if densities is None else "; and of the region of highest density that the truth bounds")
        + ". Raw posterior."
    )
    return Drawing(f"{split}-tarp", "", caption, plots.tarp(results)[0])


def _scores(split: str, judged: Judgements, scene: Scene) -> Drawing:
    unit = f" ({scene.quantity.unit})" if scene.quantity.unit else ""
    labels = {"crps": f"CRPS{unit}", "energy": f"Energy score{unit}", "interval": f"Interval score{unit}"}
    values = {
        label: {name: scene.quantity.scale * one.scores[score] for name, one in judged.items()}
        for score, label in labels.items()
    }
    caption = "Proper scores, lower is better: means over pairs, and differences pair by pair."
    return Drawing(f"{split}-scores", "", caption, plots.scores(values)[0])


def _reliability(split: str, judged: Judgements, scene: Scene) -> Drawing:
    errors = {name: one.error for name, one in judged.items()}
    published = {name: one.published for name, one in judged.items()}
    caption = (
        "Error of the posterior mean for cells of like std, which is taken from other draws than the error. "
        "Published calibration errors stand below ours for comparison: none is zero for a right posterior."
    )
    figure, _ = plots.reliability(errors, quantity=scene.quantity, published=published)
    return Drawing(f"{split}-reliability", "", caption, figure)
