"""``seispost model``: look at a prior, a draw, a shot, an image before a day is spent on them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from physics.acoustic import AcousticOperator
from physics.config import PairConfig
from physics.gathers import symmetric_offsets
from physics.linear import ForwardOperator
from physics.model import EarthModel
from physics.pairs import Draw, PairSimulator
from physics.plots.frame import Frame
from physics.plots.gathers import plot_gathers
from physics.plots.migration import plot_migration
from physics.plots.model import plot_model
from physics.plots.prior import plot_prior
from physics.plots.shot import Traces, plot_shot
from physics.plots.style import save_figure
from physics.plots.wavefield import plot_wavefield
from physics.priors import make_prior
from physics.priors.statistics import summarise
from posterior.cli import VIEWS
from posterior.cli.config import load

_SNAPSHOTS = 6
_CROSSED = 0.9
"""Share of the way to the farthest corner at which the last snapshot is taken."""
_QUANTILE = 0.97
"""Share of an image that is not clipped: what is smeared about the sources outshines all reflectors."""
_GATHERS = 3
_MOST_OFFSETS = 20
"""Cells to either side of zero."""

View = tuple[str, Figure | None]
"""A table for people, and a figure."""


def look(run_file: Path, out: Path, words: list[str], *, split: str | None, index: int) -> None:
    """Print tables and write figures of one draw of a run; nothing else is written.

    Args:
        run_file: The run's TOML file.
        out: Folder for the figures.
        words: What to look at, all of `VIEWS` by default, and settings such as ``survey.f0=10.0``.
        split: Whose draw; the first by default.
        index: Which draw.

    Raises:
        ValueError: If a word, the split or the index is none, or the draw cannot be simulated.
    """
    chosen = [word for word in words if "=" not in word] or list(VIEWS)
    unknown = [word for word in chosen if word not in VIEWS]
    if unknown:
        raise ValueError(f"expected what to look at among {', '.join(VIEWS)}, got {', '.join(unknown)}")
    config = load(run_file, [word for word in words if "=" in word])
    name = next(iter(config.splits)) if split is None else split
    if name not in config.splits:
        raise ValueError(f"expected a split of the run ({', '.join(config.splits)}), got {name!r}")
    if index < 0:
        raise ValueError(f"expected the index of a draw, at least 0, got {index}")
    scene = Scene(config.pairs(name), index)
    out.mkdir(parents=True, exist_ok=True)
    for what in dict.fromkeys(chosen):
        table, figure = _VIEWS[what](scene)
        sys.stdout.write(f"{what}: {VIEWS[what]}\n{table}\n")
        if figure is not None:
            # A prior is that of all draws.
            stem = f"{name}-{what}" if what == "prior" else f"{name}-{index}-{what}"
            sys.stdout.write(f"{save_figure(figure, out / f'{stem}.png')}\n")
        sys.stdout.write("\n")
        sys.stdout.flush()


@final
class Scene:
    """One draw of a run as `simulate` makes it; what takes long is computed when it is asked for.

    Args:
        config: The run's pairs.
        index: Which draw: that of pair ``index``.
    """

    def __init__(self, config: PairConfig, index: int) -> None:
        self.index = index
        self.survey = config.survey
        self.prior = make_prior(config.prior, config.survey.shape, config.survey.spacing)
        self.simulator = PairSimulator(config, prior=self.prior)
        self.plan = self.simulator.plan
        self.frame = Frame(config.survey.spacing)

    @cached_property
    def draw(self) -> Draw:
        """What the pair is made of."""
        return self.simulator.draw(self.index)

    @cached_property
    def true(self) -> EarthModel:
        """The earth model."""
        return self.simulator.earth_model(self.draw.vp)

    @property
    def shot(self) -> int:
        """The shot that is shown: the middle one."""
        return self.draw.survey.num_sources // 2


def _prior(scene: Scene) -> View:
    statistics = summarise(scene.prior)
    table = statistics.table(f0=scene.survey.f0, space_order=scene.plan.space_order)
    return table, plot_prior(scene.prior, statistics)


def _model(scene: Scene) -> View:
    survey, true = scene.draw.survey, scene.true
    rows = {
        "velocity": f"{true.vmin:.0f} to {true.vmax:.0f} m/s",
        "cells": f"{' x '.join(map(str, true.shape))} of {' x '.join(f'{h:g}' for h in true.spacing)} m",
        "survey": f"{survey.num_sources} sources, {survey.num_receivers} receivers each",
        "records": f"{survey.nt} samples of {1e3 * survey.dt:.3g} ms",
    }
    figure, _ = plot_model(true.vp, scene.frame, sources=survey.sources, receivers=survey.receivers)
    return _table(rows), figure


def _shot(scene: Scene) -> View:
    draw = scene.draw
    one = draw.survey.select([scene.shot])
    full = ForwardOperator(scene.true, one, numerics=scene.plan.numerics).forward(scene.simulator.wavelet)[0]
    scattered = "Linearised, noisy" if scene.survey.data == "born" else "Scattered, noisy"
    rows = {
        "source": _place(one.sources[0]),
        "signal-to-noise ratio": f"{draw.snr_db:.1f} dB over all shots",
        "shown": "times t squared, each clipped at its own 98 % quantile",
    }
    records = {"Full record": full, scattered: draw.records[scene.shot]}
    return _table(rows), plot_shot(records, Traces.of(one.receivers_of(0)), one.dt)[0]


def _wavefield(scene: Scene) -> View:
    survey, true = scene.draw.survey, scene.true
    source = survey.sources[scene.shot]
    F = AcousticOperator(true, survey, wavelet=scene.simulator.wavelet, numerics=scene.plan.numerics)
    # From when the source has fired until the wave has nearly crossed the model.
    farthest = _size(np.maximum(source, np.subtract(true.extent, source)))
    last = 1.5 / scene.survey.f0 + _CROSSED * farthest * float(np.mean(1.0 / true.vp))
    every = max(1, int(min(last / survey.dt, survey.nt - 1.0) / (_SNAPSHOTS + 1)))
    snapshots, times = F.wavefield(true.m, scene.shot, every)
    shown = slice(2, 2 + _SNAPSHOTS)
    waves, frame = scene.frame.section(snapshots[shown], source[-2])
    vp, _ = scene.frame.section(true.vp, source[-2])
    figure, _ = plot_wavefield(waves, times[shown], frame, vp=vp, source=source[[0, -1]])
    return _table({"source": _place(source), "snapshots every": f"{1e3 * every * survey.dt:.3g} ms"}), figure


def _image(scene: Scene) -> View:
    draw = scene.draw
    truth, image = draw.dm, scene.simulator.observe(draw)[0]
    rows = {
        "shots": f"{draw.survey.num_sources}, signal-to-noise ratio {draw.snr_db:.1f} dB",
        "correlation with the truth": f"{np.corrcoef(truth.ravel(), image.ravel())[0, 1]:.2f}",
    }
    light = scene.simulator.born(draw).illumination()
    figure, _ = plot_migration(image, scene.frame, truth=truth, illumination=light, quantile=_QUANTILE)
    return _table(rows), figure


def _gather(scene: Scene) -> View:
    nx, dx = scene.true.shape[0], scene.true.spacing[0]
    given = np.sort(scene.simulator.offsets)
    default = symmetric_offsets(max(1, min(nx // 6, _MOST_OFFSETS)) * dx, dx)
    offsets = given if len(given) > 1 else default
    weights = scene.simulator.weights
    gathers = scene.simulator.gathers(scene.draw, offsets).adjoint(scene.draw.records)
    # Weighted as the image, and blank where it is muted.
    gather, frame = scene.frame.section(gathers * weights.depth * weights.scored, 0.5 * scene.true.extent[-2])
    positions = np.linspace(0.0, scene.true.extent[0], _GATHERS + 2)[1:-1]
    rows = {"half-offsets": f"{len(offsets)}, to {offsets[-1]:g} m in steps of {offsets[1] - offsets[0]:g} m"}
    figure, _ = plot_gathers(gather, offsets, frame, positions=positions, quantile=_QUANTILE)
    return _table(rows), figure


def _plan(scene: Scene) -> View:
    return scene.plan.report(scene.survey.shape, scene.simulator.nt), None


_VIEWS: dict[str, Callable[[Scene], View]] = {
    "prior": _prior,
    "model": _model,
    "shot": _shot,
    "wavefield": _wavefield,
    "image": _image,
    "gather": _gather,
    "plan": _plan,
}


def _size(values: NDArray[Any]) -> float:
    return float(np.linalg.norm(values.ravel().astype(np.float64)))


def _place(position: NDArray[np.float64]) -> str:
    return f"at ({', '.join(f'{coordinate:.5g}' for coordinate in position)}) m"


def _table(rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())
