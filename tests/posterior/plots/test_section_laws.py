from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from figure_laws import check_text, check_width
from section_data import (
    ABOUT,
    AXES,
    DRAWS,
    FIGURES,
    SHAPE,
    TRUTH,
    VELOCITY,
    VOLUME_AXES,
    make_draws,
    make_volume,
    modes,
    picks,
)

from posterior import plots, uq
from posterior.plots.z_scores import gaussian_share


@pytest.mark.parametrize("name", FIGURES)
def test_text_is_readable_apart_and_inside_the_page(name):
    before = dict(matplotlib.rcParams)
    figure, _ = FIGURES[name]()
    assert dict(matplotlib.rcParams) == before
    check_width(figure)
    check_text(figure, apart=True)


@pytest.mark.parametrize("shape", [(60, 20), (20, 40)])
def test_wide_and_deep_sections_keep_their_titles_on_the_page(shape):
    draws, truth = make_draws(shape)
    above = uq.Exceedance(0.0)
    above.update(draws)
    for figure, _ in (
        plots.samples(draws, truth=truth, **ABOUT),
        plots.juxtapose(draws, **ABOUT),
        plots.modes(uq.principal_modes(draws, 4), draws, **ABOUT),
        plots.exceedance(above, truth=truth, **ABOUT),
        plots.overlay(truth, uq.std(draws), **ABOUT),
    ):
        check_text(figure, apart=True)


@pytest.mark.parametrize(
    "name", ["samples", "spread", "overlay", "juxtapose", "exceedance", "horizons", "modes", "correlation"]
)
def test_sections_point_downwards_at_true_proportions(name):
    _, grid = FIGURES[name]()
    ax = np.ravel(grid)[0]
    assert ax.yaxis_inverted()
    assert ax.get_aspect() == 1.0
    assert ax.get_ylabel() == "Depth (m)"
    # Cell edges: half a cell about centres at 50 .. 240 m.
    assert ax.get_ylim() == pytest.approx((245.0, 45.0))


def _bad(value):
    draws = DRAWS.copy()
    draws[3, 2, 1] = value
    return draws


DRAWING = {
    "samples": lambda draws: plots.samples(draws, **ABOUT),
    "spread": lambda draws: plots.spread(draws, **ABOUT),
    "juxtapose": lambda draws: plots.juxtapose(draws, **ABOUT),
    "traces": lambda draws: plots.traces(draws, **ABOUT),
    "histograms": lambda draws: plots.histograms({"one": draws}, [(0, 0)], **ABOUT),
    "modes": lambda draws: plots.modes(uq.principal_modes(DRAWS, 3), draws, **ABOUT),
    "bimodality": lambda draws: plots.bimodality(uq.bimodality(DRAWS), draws, **ABOUT),
}


@pytest.mark.parametrize("name", DRAWING)
def test_draws_must_be_finite_and_enough_and_of_one_channel(name):
    with pytest.raises(ValueError, match="finite samples, got 1 of 28800"):
        DRAWING[name](_bad(np.nan))
    with pytest.raises(
        ValueError, match=r"expected samples of shape \(S, ...\) with S >= \d draws, got \(1,"
    ):
        DRAWING[name](DRAWS[:1])
    with pytest.raises(ValueError, match=r"draws of one channel, \(S, nx, nz\), got \(60, 1, 24, 20\)"):
        DRAWING[name](DRAWS[:, None])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.samples(DRAWS, count=0, **ABOUT), "at least 1 draw to show, got 0"),
        (lambda: plots.samples(DRAWS, truth=TRUTH[1:], **ABOUT), r"truth of shape \(24, 20\), .* \(23, 20\)"),
        (lambda: plots.spread(DRAWS[:10], **ABOUT), "at least 19 draws"),
        (lambda: plots.overlay(TRUTH, -np.ones(SHAPE), **ABOUT), "std of at least 0"),
        (lambda: plots.overlay(TRUTH, np.ones((3, 3)), **ABOUT), r"shape \(24, 20\)"),
        (lambda: plots.juxtapose(DRAWS, at=(24, 0), **ABOUT), r"column within 0..23 .* got \(24, 0\)"),
        (lambda: plots.traces(DRAWS, at=(0, 20), **ABOUT), r"row within 0..19, got \(0, 20\)"),
        (lambda: plots.exceedance(uq.Exceedance(1.0), **ABOUT), "at least 1 draw"),
        (
            lambda: plots.horizons(picks(), TRUTH[1:], **ABOUT),
            r"picks \(S, nx\), got \(23, 20\) and \(60, 24\)",
        ),
        (
            lambda: plots.horizons(picks(), TRUTH, truth=np.zeros(3), **ABOUT),
            r"true depth of shape \(24,\), got \(3,\)",
        ),
        (
            lambda: plots.horizons(uq.Horizon(np.full((5, 24), np.nan)), TRUTH, **ABOUT),
            "in at least one draw, got none",
        ),
        (lambda: modes(1), "at least 2 modes, got 1"),
        (
            lambda: plots.correlation(2.0 * TRUTH / TRUTH, (0, 0), num_samples=9, axes=AXES),
            r"correlations in \[-1, 1\]",
        ),
        (
            lambda: plots.correlation(np.zeros(SHAPE), (24, 0), num_samples=9, axes=AXES),
            r"point within .* got \(24, 0\)",
        ),
        (
            lambda: plots.bimodality(uq.bimodality(DRAWS), DRAWS[1:], **ABOUT),
            r"the 60 draws of shape \(24, 20\) .* got \(59, 24, 20\)",
        ),
        (
            lambda: plots.histograms({"a": DRAWS, "b": DRAWS[:, 1:]}, [(0, 0)], **ABOUT),
            r"draws on one grid, got \[\(23, 20\), \(24, 20\)\]",
        ),
        (lambda: plots.histograms({"a": DRAWS}, [(0, 20)], **ABOUT), r"within .* got \[\(0, 20\)\]"),
        (lambda: plots.histograms({}, [(0, 0)], **ABOUT), "1 to 4 posteriors, got 0"),
        (
            lambda: plots.z_scores(np.full(SHAPE, np.nan), num_samples=9, axes=AXES),
            "z-scores of all cells that count, got NaN",
        ),
        (lambda: gaussian_share(2.0, 1), "at least 2 draws, got 1"),
        (lambda: plots.latents({}), "1 to 4 latents, got 0"),
        (lambda: plots.latents({"a": np.zeros((4, 4)), "b": np.zeros((4, 5))}), "latents of one shape"),
        (lambda: plots.latents({"a": np.full((4, 4), np.nan)}), "finite latents"),
        (
            lambda: plots.slices(TRUTH, axes=VOLUME_AXES, quantity=VELOCITY),
            r"volume of shape \(nx, ny, nz\), got \(24, 20\)",
        ),
        (
            lambda: plots.slices(make_volume(), axes=VOLUME_AXES, quantity=VELOCITY, at=(0, 12, 0)),
            r"planes within .* got \(0, 12, 0\)",
        ),
        (lambda: plots.Look((1.0, 1.0), "gray"), "limits that increase"),
        (lambda: plots.Look.of(np.array([1.0, np.nan])), "finite values"),
        (lambda: plots.Look.segmented((0.0, 1.0), water=0.7, salt=0.3), "0.0 < water < salt < 1.0"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
