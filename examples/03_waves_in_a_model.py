"""Waves in a section of Marmousi: plan, survey, shot, snapshots, migrated image, image gathers, boundaries.

Run: python examples/03_waves_in_a_model.py [folder for the figures]
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from physics import Acquisition, BornOperator, EarthModel, ForwardOperator, load_model, ricker
from physics.acoustic import AcousticOperator
from physics.gathers import GatherOperator, symmetric_offsets
from physics.plan import Plan
from physics.plots.boundaries import plot_boundaries
from physics.plots.frame import Frame
from physics.plots.gathers import plot_gathers
from physics.plots.migration import plot_migration
from physics.plots.model import plot_model
from physics.plots.shot import Traces, plot_shot
from physics.plots.style import save_figure
from physics.plots.wavefield import plot_wavefield
from physics.preprocess import DepthWeight, DirectMute, WaterMute

GALLERY = Path(__file__).parent / "gallery"
SPACING = (15.0, 15.0)
F0, DT, NT = 10.0, 0.004, 701


@dataclass(frozen=True)
class Experiment:
    """A survey over an earth model, and a smooth background to migrate in."""

    true: EarthModel
    background: EarthModel
    survey: Acquisition
    wavelet: np.ndarray
    plan: Plan

    @classmethod
    def on_marmousi(cls) -> Experiment:
        """24 shots into 250 receivers, 20 m deep, over 5 km of Marmousi."""
        vp, own = load_model("marmousi")
        step = round(SPACING[0] / own)
        vp = vp[600:1268:step, ::step].astype(np.float64)
        m = vp**-2.0
        # The water is known; only the rock below it is smoothed.
        water = np.logical_and.accumulate(vp <= 1500.0, axis=-1)
        m0 = np.where(water, m, gaussian_filter(m, [150.0 / h for h in SPACING], mode="nearest"))
        wavelet = ricker(f0=F0, dt=DT, nt=NT)
        limits = float(m.max() ** -0.5), float(m.min() ** -0.5)
        plan = Plan.for_prior(limits, SPACING, wavelet=wavelet, dt=DT)
        true, background = plan.earth_model(m**-0.5), plan.earth_model(m0**-0.5)
        survey = Acquisition.surface(
            true.extent, 24, 250, source_depth=20.0, receiver_depth=20.0, dt=DT, nt=NT
        )
        return cls(true, background, survey, wavelet, plan)

    @property
    def shot(self) -> int:
        """The shot that is shown."""
        return self.survey.num_sources // 2

    @property
    def traces(self) -> Traces:
        """The horizontal axis of its record."""
        return Traces.of(self.survey.receivers_of(self.shot))

    @cached_property
    def observed(self) -> np.ndarray:
        """Records of the true model."""
        return ForwardOperator(self.true, self.survey, numerics=self.plan.numerics).forward(self.wavelet)

    @cached_property
    def reflected(self) -> np.ndarray:
        """What the background does not explain, after the direct wave."""
        smooth = ForwardOperator(self.background, self.survey, numerics=self.plan.numerics)
        mute = DirectMute(self.survey, velocity=1500.0, delay=2.5 / F0, taper=1.0 / F0)
        return mute.forward(self.observed - smooth.forward(self.wavelet))


def draw_model(it: Experiment) -> Figure:
    """The velocity with the survey over it."""
    survey = it.survey
    frame = Frame.of(it.true)
    return plot_model(it.true.vp, frame, sources=survey.sources, receivers=survey.receivers)[0]


def draw_shot(it: Experiment) -> Figure:
    """One shot as it is recorded, and what is migrated of it."""
    records = {"Record": it.observed[it.shot], "Muted residual": it.reflected[it.shot]}
    return plot_shot(records, it.traces, DT)[0]


def draw_wavefield(it: Experiment) -> Figure:
    """Six snapshots of one shot."""
    F = AcousticOperator(it.true, it.survey, wavelet=it.wavelet, numerics=it.plan.numerics)
    snapshots, times = F.wavefield(it.true.m, it.shot, every=50)
    shown = slice(2, 8)
    return plot_wavefield(
        snapshots[shown],
        times[shown],
        Frame.of(it.true),
        vp=it.true.vp,
        source=it.survey.sources[it.shot],
    )[0]


def draw_image(it: Experiment) -> Figure:
    """The migrated image of all shots."""
    J = BornOperator(
        it.background,
        it.survey,
        wavelet=it.wavelet,
        numerics=it.plan.numerics,
        imaging="inverse_scattering",
    )
    shape = it.true.shape
    mute = WaterMute(shape, SPACING, depth=60.0, taper=90.0)
    image = (DepthWeight(shape, power=1.0) @ mute).forward(J.adjoint(it.reflected))
    return plot_migration(
        image, Frame.of(it.true), truth=it.true.m - it.background.m, illumination=J.illumination()
    )[0]


def draw_gathers(it: Experiment) -> Figure:
    """Image gathers at four positions."""
    offsets = symmetric_offsets(375.0, SPACING[0])
    G = GatherOperator(
        it.background, it.survey, wavelet=it.wavelet, offsets=offsets, numerics=it.plan.numerics
    )
    shape = it.true.shape
    weight = DepthWeight(shape, power=1.0) @ WaterMute(shape, SPACING, depth=60.0, taper=90.0)
    gather = np.stack([weight.forward(image) for image in G.adjoint(it.reflected)])
    positions = [1000.0, 2000.0, 3000.0, 4000.0]
    return plot_gathers(gather, offsets, Frame.of(it.true), positions=positions)[0]


def draw_boundaries(it: Experiment) -> Figure:
    """One record with absorbing layers, and with edges so far away that no wave comes back."""
    one = it.survey.select([it.shot])
    far = round(0.5 * it.plan.velocity[1] * NT * DT / SPACING[0])
    models = {
        "wide": replace(
            it.true, nbl=0, vp=np.pad(it.true.vp, far, mode="edge"), origin=(-far * SPACING[0],) * 2
        ),
        "Sponge, 40 cells": replace(it.plan, boundary="sponge", nbl=40).earth_model(it.true.vp),
        f"Matched layer, {it.true.padding.layer} cells": it.true,
    }
    records = {
        name: ForwardOperator(model, one, numerics=it.plan.numerics).forward(it.wavelet)[0]
        for name, model in models.items()
    }
    return plot_boundaries(records.pop("wide"), records, it.traces, DT, factor=20.0)[0]


def main(folder: Path) -> None:
    """Draw all figures into a folder."""
    it = Experiment.on_marmousi()
    print(it.plan.report(it.true.shape, NT))
    for draw in (draw_model, draw_shot, draw_wavefield, draw_image, draw_gathers, draw_boundaries):
        start = time.perf_counter()
        path = save_figure(draw(it), folder / f"waves_{draw.__name__.removeprefix('draw_')}.png")
        print(f"{path}  {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else GALLERY)
