"""Draws of a small section that the tests of its figures share, and the figures of them."""

from __future__ import annotations

import numpy as np

from posterior import plots, uq

AXES = plots.ImageAxes((12.5, 10.0), (100.0, 50.0))
SLOWNESS = plots.Quantity.from_si("Squared-slowness perturbation", "s^2/m^2")
VELOCITY = plots.Quantity.from_si("Velocity", "m/s")
ABOUT = {"axes": AXES, "quantity": SLOWNESS}
SHAPE = (24, 20)
NUM = 60


def make_draws(shape=SHAPE, num=NUM):
    """Posterior draws and a truth that is one more of them."""
    rng = np.random.default_rng(3)
    centre = 2e-8 * rng.standard_normal(shape)
    amplitude = rng.standard_normal((num + 1, 1, 1)) * np.linspace(0.0, 1e-8, shape[1])
    every = centre + amplitude + 5e-9 * rng.standard_normal((num + 1, *shape))
    return every[1:], every[0]


DRAWS, TRUTH = make_draws()


def exceedance(threshold=1e-8, **more):
    """Probability map of the draws."""
    result = uq.Exceedance(threshold)
    result.update(DRAWS)
    return plots.exceedance(result, **ABOUT, **more)


def picks(missing=0):
    """Picks about 150 m; on one trace some draws lack the interface."""
    rng = np.random.default_rng(0)
    picks = 150.0 + 8.0 * rng.standard_normal((NUM, SHAPE[0]))
    picks[:missing, 3] = np.nan
    return uq.Horizon(picks)


def modes(count=4, truth=TRUTH):
    """Modes of the draws."""
    return plots.modes(uq.principal_modes(DRAWS, count), DRAWS, truth=truth, **ABOUT)


def correlation(point=(8, 12)):
    """Correlation map of the draws."""
    found = uq.correlation_map(DRAWS, point)
    return plots.correlation(found, point, num_samples=NUM, axes=AXES)


def two_modes():
    """The draws, those of cell (5, 7) in two groups far apart."""
    draws = DRAWS.copy()
    draws[::2, 5, 7] += 2e-7
    return draws


def bimodality():
    """Bimodality of :func:`two_modes`."""
    draws = two_modes()
    return plots.bimodality(uq.bimodality(draws), draws, truth=TRUTH, **ABOUT)


def z_scores(**more):
    """z-scores of the truth."""
    return plots.z_scores(uq.z_scores(DRAWS, TRUTH), num_samples=NUM, axes=AXES, **more)


def make_volume():
    """A volume of velocities."""
    rng = np.random.default_rng(1)
    return 1500.0 + 100.0 * rng.random((20, 12, 16))


VOLUME_AXES = plots.VolumeAxes((100.0, 100.0, 50.0), (0.0, 500.0, 0.0))


FIGURES = {
    "samples": lambda: plots.samples(DRAWS, truth=TRUTH, **ABOUT),
    "spread": lambda: plots.spread(DRAWS, **ABOUT),
    "overlay": lambda: plots.overlay(uq.mean(DRAWS), uq.std(DRAWS), **ABOUT),
    "juxtapose": lambda: plots.juxtapose(DRAWS, **ABOUT),
    "juxtapose of two columns": lambda: plots.juxtapose(DRAWS, width="double", **ABOUT),
    "exceedance": lambda: exceedance(truth=TRUTH),
    "horizons": lambda: plots.horizons(picks(), TRUTH, truth=np.full(24, 155.0), **ABOUT),
    "modes": modes,
    "two modes": lambda: modes(2, None),
    "correlation": correlation,
    "bimodality": bimodality,
    "histograms": lambda: plots.histograms(
        {"prior": 3.0 * DRAWS, "amortised": DRAWS, "corrected": 0.8 * DRAWS},
        [(3, 4), (12, 10), (20, 15)],
        truth=TRUTH,
        **ABOUT,
    ),
    "traces": lambda: plots.traces(DRAWS, truth=TRUTH, **ABOUT),
    "z_scores": z_scores,
    "latents": lambda: plots.latents({"one": TRUTH / 2e-8, "other": DRAWS[0] / 2e-8}),
    "slices": lambda: plots.slices(make_volume(), axes=VOLUME_AXES, quantity=VELOCITY),
}
