from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from section_data import (
    ABOUT,
    AXES,
    DRAWS,
    FIGURES,
    NUM,
    SHAPE,
    SLOWNESS,
    TRUTH,
    VELOCITY,
    bimodality,
    correlation,
    exceedance,
    modes,
    picks,
    two_modes,
)

from posterior import plots, uq
from posterior.plots.z_scores import gaussian_share


def test_samples_show_truth_mean_and_draws_with_shared_limits():
    _, grid = plots.samples(DRAWS, truth=TRUTH, count=3, **ABOUT)
    assert [ax.get_title() for ax in grid] == ["Truth", "Mean of 60 draws", "Draw 1", "Draw 2", "Draw 3"]
    images = [ax.images[0] for ax in grid]
    for image, expected in zip(images, (TRUTH, DRAWS.mean(0), *DRAWS[:3]), strict=True):
        np.testing.assert_allclose(image.get_array(), 1e6 * expected.T)
    assert len({image.get_clim() for image in images}) == 1
    # Distance where nothing is below: the fourth draw's column has no second row.
    assert [bool(ax.get_xlabel()) for ax in grid] == [False, True, True, True, True]


def test_spread_shows_the_numbers_of_uq():
    figure, grid = plots.spread(DRAWS, level=0.8, **ABOUT)
    lower, upper = uq.credible_interval(DRAWS, 0.8)
    low, high = uq.highest_density_interval(DRAWS, 0.8)
    mean, std = uq.mean(DRAWS), uq.std(DRAWS)
    expected = [
        1e6 * np.median(DRAWS, axis=0),
        1e6 * std,
        uq.normalised_std(mean, std),
        1e6 * (upper - lower),
        1e6 * (high - low),
        (high - low) / (upper - lower),
    ]
    for ax, values in zip(grid, expected, strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), values.T)
    assert grid[3].images[0].get_clim() == grid[4].images[0].get_clim()
    assert grid[3].get_title() == "Equal-tailed 80 % interval"
    bars = [ax.get_xlabel() for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert bars[0] == "Squared-slowness perturbation (s²/km²)"
    assert (bars[1], bars[2], bars[3]) == ("std (s²/km²)", "ratio", "width (s²/km²)")


def test_spread_of_velocities_is_relative_to_their_mean():
    draws = 2000.0 + 1e10 * DRAWS
    figure, grid = plots.spread(draws, axes=AXES, quantity=VELOCITY, relative="mean")
    ratio = uq.coefficient_of_variation(uq.mean(draws), uq.std(draws))
    np.testing.assert_allclose(grid[2].images[0].get_array(), ratio.T)
    assert grid[2].get_title() == "Std over the mean"
    assert grid[0].images[0].get_cmap().name == "viridis"
    assert "Velocity (km/s)" in [ax.get_xlabel() for ax in figure.axes]


def test_overlay_grows_opaque_with_the_std():
    _, grid = FIGURES["overlay"]()
    for ax in grid:
        mean, std = ax.images
        np.testing.assert_allclose(mean.get_array(), 1e6 * uq.mean(DRAWS).T)
        np.testing.assert_allclose(std.get_array(), 1e6 * uq.std(DRAWS).T)
        opacity = std.get_cmap()(np.linspace(0.0, 1.0, 9))[:, 3]
        assert opacity[0] == 0.0
        assert (np.diff(opacity) > 0.0).all()


def test_juxtapose_stacks_the_row_and_the_column_it_marks():
    _, (main, above, beside) = plots.juxtapose(DRAWS, at=(5, 7), **ABOUT)
    np.testing.assert_allclose(main.images[0].get_array(), 1e6 * DRAWS.mean(0).T)
    np.testing.assert_allclose(above.images[0].get_array(), 1e6 * DRAWS[:, :, 7])
    np.testing.assert_allclose(beside.images[0].get_array(), 1e6 * DRAWS[:, 5].T)
    limits = {ax.images[0].get_clim() for ax in (main, above, beside)}
    assert len(limits) == 1
    assert [line.get_xdata()[0] for line in main.lines[:1]] == [162.5]
    assert main.lines[1].get_ydata()[0] == 120.0
    assert above.get_xlim() == main.get_xlim()
    assert beside.get_ylim() == main.get_ylim()
    # Panels stand exactly over and beside the section.
    places = [ax.get_position() for ax in (main, above, beside)]
    assert (places[0].x0, places[0].x1) == pytest.approx((places[1].x0, places[1].x1))
    assert (places[0].y0, places[0].y1) == pytest.approx((places[2].y0, places[2].y1))
    assert (above.get_title(), beside.get_title()) == ("Row z = 120 m", "Column\nx = 162.5 m")


def test_exceedance_states_threshold_and_error():
    _, ax = exceedance(truth=TRUTH)
    share = (DRAWS > 1e-8).mean(axis=0)
    np.testing.assert_allclose(ax.images[0].get_array(), 100.0 * share.T)
    assert ax.images[0].get_clim() == (0.0, 100.0)
    error = 100.0 * np.sqrt(share * (1.0 - share) / NUM).max()
    assert ax.get_title() == (
        f"Squared-slowness perturbation > 0.01 s²/km²\n60 draws, standard error at most {error:.1f} points"
    )
    assert len(ax.collections) == 1


def test_exceedance_draws_no_line_where_the_truth_never_passes():
    _, ax = exceedance(1.0, truth=TRUTH)
    assert not ax.collections
    assert ax.get_title().startswith("Squared-slowness perturbation > 1e+06 s²/km²")


def test_horizons_draw_quantiles_and_presence():
    _, (above, below) = plots.horizons(picks(6), TRUTH, truth=np.full(24, 155.0), **ABOUT)
    assert above.get_title() == "Interface found in 90 to 100 % of 60 draws"
    horizon = picks(6)
    lines = {line.get_label(): line for line in below.lines}
    np.testing.assert_allclose(lines["truth"].get_ydata(), 155.0 - horizon.mean)
    np.testing.assert_allclose(above.lines[0].get_ydata(), horizon.mean)
    assert [band.get_label() for band in below.collections] == ["90 %", "50 %"]
    vertices = below.collections[0].get_paths()[0].vertices[:, 1]
    outer = horizon.quantiles([0.05, 0.95]) - horizon.mean
    assert (vertices.min(), vertices.max()) == pytest.approx((outer.min(), outer.max()))
    assert below.yaxis_inverted()
    assert below.get_ylabel() == "Depth less\nmean (m)"


def test_modes_state_what_they_explain_and_where_the_truth_is():
    result = uq.principal_modes(DRAWS, 4)
    _, grid = modes()
    for number in range(4):
        image = result.images[number] * np.sqrt(result.variance[number])
        np.testing.assert_allclose(grid[number].images[0].get_array(), 1e6 * image.T)
        assert grid[number].get_title() == f"Mode {number + 1}: {100 * result.explained[number]:.1f} %"
    heights = [bar.get_height() for bar in grid[4].patches]
    np.testing.assert_allclose(heights, 100.0 * result.explained)
    dots, star = grid[5].collections
    assert len(dots.get_offsets()) == NUM
    np.testing.assert_allclose(np.std(dots.get_offsets(), axis=0, ddof=1), 1.0)  # scores count in std
    expected = result.scores(TRUTH[None])[0, :2] / np.sqrt(result.variance[:2])
    np.testing.assert_allclose(star.get_offsets()[0], expected)


def test_correlation_marks_the_point_and_whitens_noise():
    _, ax = correlation((8, 12))
    noise = uq.correlation_noise(NUM)
    assert ax.get_title() == (
        f"Correlation with the cell at x = 200, z = 170 m\nwhite: |r| < {noise:.2f}, noise of 60 draws (95 %)"
    )
    assert (ax.lines[0].get_xdata()[0], ax.lines[0].get_ydata()[0]) == (200.0, 170.0)
    drawn = ax.images[0]
    for value, white in ((0.9 * noise, True), (-0.9 * noise, True), (1.2 * noise, False), (-0.8, False)):
        assert (tuple(drawn.to_rgba(value)[:3]) == (1.0, 1.0, 1.0)) == white


def test_bimodality_finds_the_cell_with_two_modes():
    _, (left, right) = bimodality()
    marker = left.lines[0]
    assert (marker.get_xdata()[0], marker.get_ydata()[0]) == (162.5, 120.0)
    assert right.get_title() == "Cell at x = 162.5, z = 120 m"
    assert sum(bar.get_height() for bar in right.patches) == NUM
    assert right.lines[0].get_xdata()[0] == pytest.approx(1e6 * TRUTH[5, 7])
    fraction = uq.bimodality(two_modes()).fraction()
    assert left.get_title() == f"{100 * fraction:.1f} % of cells bimodal (chance: at most 5 %)"


def test_histograms_are_densities_of_the_named_cells():
    _, grid = FIGURES["histograms"]()
    assert [ax.get_title() for ax in grid] == [
        "x = 137.5, z = 90 m",
        "x = 250, z = 150 m",
        "x = 350, z = 200 m",
    ]
    for ax, (i, j) in zip(grid, [(3, 4), (12, 10), (20, 15)], strict=True):
        assert ax.lines[-1].get_xdata()[0] == pytest.approx(1e6 * TRUTH[i, j])
        assert sorted(ax.get_legend_handles_labels()[1]) == ["amortised", "corrected", "prior", "truth"]
        vertices = ax.patches[0].get_xy()  # the outline of the prior's histogram
        area = 0.5 * abs(np.sum(vertices[:-1, 0] * vertices[1:, 1] - vertices[1:, 0] * vertices[:-1, 1]))
        assert area == pytest.approx(1.0)


def test_traces_draw_every_line_where_it_belongs():
    _, (left, right) = plots.traces(DRAWS, truth=TRUTH, at=(5, 7), **ABOUT)
    lines = {line.get_label(): line for line in left.lines}
    np.testing.assert_allclose(lines["truth"].get_xdata(), 1e6 * TRUTH[5])
    np.testing.assert_allclose(lines["truth"].get_ydata(), 50.0 + 10.0 * np.arange(20))
    np.testing.assert_allclose(lines["mean of 60"].get_xdata(), 1e6 * DRAWS.mean(0)[5])
    assert len(left.lines) == 40 + 3  # draws, their entry in the legend, mean, truth
    assert "40 of 60 draws" in lines
    assert left.yaxis_inverted()
    rows = {line.get_label(): line for line in right.lines}
    np.testing.assert_allclose(rows["truth"].get_ydata(), 1e6 * TRUTH[:, 7])
    assert (left.get_xlabel(), left.get_ylabel()) == (SLOWNESS.label, "Depth (m)")
    assert (right.get_xlabel(), right.get_ylabel()) == ("Distance (m)", SLOWNESS.label)


def test_z_scores_turn_red_over_two_and_compare_shares():
    scores = np.zeros(SHAPE)
    scores[:12, 0] = -2.5
    _, ax = plots.z_scores(scores, num_samples=100, axes=AXES)
    drawn = ax.images[0]
    assert tuple(drawn.to_rgba(2.01)[:3]) == to_rgb("#C00000")
    red, green, blue, _ = drawn.to_rgba(1.9)
    assert red == pytest.approx(green, abs=0.01)
    assert red == pytest.approx(blue, abs=0.01)
    assert ax.get_title() == (
        "|z| > 2 (red) in 2.5 % of cells\nGaussian posterior, 100 draws: 4.8 % expected"
    )


def test_z_scores_leave_out_cells_that_do_not_count():
    counts = np.ones(SHAPE, dtype=bool)
    counts[:, :10] = False
    scores = np.where(counts, 0.0, 5.0)
    scores[0, 15] = np.inf
    _, ax = plots.z_scores(scores, num_samples=50, axes=AXES, where=counts)
    assert "in 0.4 % of cells" in ax.get_title()  # 1 of 240
    assert np.isnan(np.ma.filled(ax.images[0].get_array(), np.nan)).sum() == 240


@pytest.mark.parametrize(("num", "share"), [(2, 0.29517), (11, 0.07339), (100, 0.04824), (10**6, 0.04550)])
def test_gaussian_share_is_that_of_student(num, share):
    # Tables of Student's t: P(|T| > 2) at 1, 10, 99 degrees of freedom, and the normal law.
    assert gaussian_share(2.0, num) == pytest.approx(share, abs=2e-5)


def test_latents_state_their_chi_square():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((64, 48))
    _, (right, wrong) = plots.latents({"right": noise, "wrong": 1.2 * noise})
    mean_square = (noise**2).mean()
    assert right.get_title().startswith(f"right\n$\\chi^2/n$ = {mean_square:.3f}, p = 0.")
    assert wrong.get_title() == f"wrong\n$\\chi^2/n$ = {1.44 * mean_square:.3f}, p < 0.01"
    assert right.images[0].get_clim() == (-3.0, 3.0)
    np.testing.assert_array_equal(right.images[0].get_array(), noise.T)
