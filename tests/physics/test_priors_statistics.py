"""Statistics and figure of a prior: against earths whose numbers are known."""

import warnings
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from physics.accuracy import points_per_wavelength, stable_time_step
from physics.config import PRIOR_KINDS, GaussianPriorConfig, LayeredPriorConfig
from physics.plots.prior import plot_prior
from physics.priors import make_prior
from physics.priors.grid import Grid
from physics.priors.statistics import summarise

SHAPE, SPACING = (40, 30), (20.0, 10.0)


class Steps:
    """A gradient of 1 1/s below 2000 m/s, and at random a step of velocity at 150 m by a factor of 1.5."""

    vmin, vmax = 1000.0, 5000.0
    grid = Grid(SHAPE, SPACING)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        z = self.grid.points[-1]
        return np.where(z >= 150.0, 1.5 if rng.random() < 0.5 else 1.0, 1.0).astype(np.float32) * (2000.0 + z)


def test_statistics_are_those_of_a_known_prior() -> None:
    statistics = summarise(Steps(), count=400, seed=1)  # type: ignore[arg-type]
    z = np.arange(SHAPE[1]) * SPACING[1]
    assert statistics.velocity == (2000.0, 1.5 * 2290.0)
    assert statistics.bounds == (1000.0, 5000.0)
    assert statistics.at_bounds == (0.0, 0.0)
    # Half of 400 draws have the step, give or take 5 %.
    np.testing.assert_allclose(statistics.mean, np.where(z >= 150.0, 1.25, 1.0) * (2000.0 + z), rtol=0.06)
    np.testing.assert_allclose(statistics.std[:15], 0.0, atol=1e-3)
    np.testing.assert_allclose(statistics.std[15:], 0.25 * (2000.0 + z[15:]), rtol=0.02)
    # At the step the coefficient is 0.2 or nothing; elsewhere it is the gradient's alone.
    assert int(np.argmax(statistics.reflectivity)) == 14
    np.testing.assert_allclose(statistics.reflectivity[14], 0.1, rtol=0.03)
    assert np.delete(statistics.reflectivity, 14).max() < 1e-6
    np.testing.assert_allclose(statistics.histogram.sum(), 1.0, rtol=1e-12)
    inside = (statistics.edges[1:] > 2000.0) & (statistics.edges[:-1] < 1.5 * 2290.0)
    np.testing.assert_allclose(statistics.histogram[inside].sum(), 1.0, rtol=1e-12)


def test_the_gradient_of_the_mean_is_its_slope() -> None:
    config = GaussianPriorConfig(surface_velocity=(2000.0, 2000.0), gradient=(0.8, 0.8), std=1.0)
    # A field of 1 m/s over 290 m: a slope known to 1e-3 from 20 draws.
    np.testing.assert_allclose(summarise(make_prior(config, SHAPE, SPACING), 20).gradient, 0.8, atol=5e-3)


@pytest.mark.parametrize(("smoothness", "factor"), [(0.5, 1.0), (1.5, 1.2397)])
def test_correlation_lengths_are_those_of_the_covariance(smoothness: float, factor: float) -> None:
    config = GaussianPriorConfig(
        velocity=(200.0, 6000.0),
        surface_velocity=(3000.0, 3000.0),
        gradient=(0.0, 0.0),
        lengths=(85.0, 34.0),
        smoothness=smoothness,
    )
    statistics = summarise(make_prior(config, (60, 50), (30.0, 12.0)), count=60)
    # Matern's correlation is 1 / e at that factor of its length. 60 draws hold some 60 * 20 * 17 correlated
    # patches: 1 % of the correlation; a line between lags of a third of a length leaves a few per cent.
    np.testing.assert_allclose(statistics.lengths, (85.0 * factor, 34.0 * factor), rtol=0.08)


def test_a_length_beyond_half_the_model_is_infinite() -> None:
    flat = summarise(make_prior(PRIOR_KINDS["flat-vel-a"](kind="flat-vel-a"), SHAPE, SPACING), 30)
    assert flat.lengths[0] == np.inf
    assert "correlation length x" in flat.table()
    assert "more than 400 m" in flat.table()


def test_what_is_cut_off_is_counted() -> None:
    config = GaussianPriorConfig(
        velocity=(2300.0, 2900.0), surface_velocity=(2500.0, 2500.0), gradient=(0.0, 0.0), std=200.0
    )
    statistics = summarise(make_prior(config, SHAPE, SPACING), count=200)
    # Normal tails beyond -1 and +2 standard deviations; correlated cells leave an error of 1 or 2 %.
    np.testing.assert_allclose(statistics.at_bounds, (0.1587, 0.0228), atol=0.02)
    assert f"{statistics.at_bounds[0]:.1%} lower" in statistics.table()


def test_the_grid_is_judged_for_a_wavelet() -> None:
    statistics = summarise(make_prior(LayeredPriorConfig(), SHAPE, SPACING), 20)
    points = statistics.velocity[0] / (1.5 * 15.0 * 20.0)
    np.testing.assert_allclose(statistics.points_per_wavelength(15.0), points)
    # Every draw that the prior allows is stable, not only those that came.
    assert statistics.stable_dt(8) == stable_time_step(8, SPACING, 4500.0)
    fine, coarse = statistics.table(f0=10.0), statistics.table(f0=60.0)
    assert "(enough)" in fine
    largest = 20.0 * statistics.points_per_wavelength(60.0) / points_per_wavelength(8)
    assert f"too few: space by at most {largest:.3g} m" in coarse
    assert f"{1e3 * statistics.stable_dt(8):.3g} ms" in fine


def test_statistics_are_reproducible_and_follow_the_seed() -> None:
    prior = make_prior(LayeredPriorConfig(), SHAPE, SPACING)
    first, again, other = (summarise(prior, 10, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mean, other.mean)


def test_one_draw_is_no_statistic() -> None:
    with pytest.raises(ValueError, match="expected at least 2 draws for statistics, got 1"):
        summarise(make_prior(LayeredPriorConfig(), SHAPE, SPACING), 1)


@pytest.mark.parametrize(("shape", "spacing"), [(SHAPE, SPACING), ((20, 12, 10), (20.0, 20.0, 15.0))])
def test_the_figure_shows_draws_profile_and_histogram(
    tmp_path: Path, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    prior = make_prior(LayeredPriorConfig(), shape, spacing)
    statistics = summarise(prior, 20)
    figure = plot_prior(prior, statistics, rows=2)
    # One column of a journal page.
    np.testing.assert_allclose(figure.get_figwidth() * 2.54, 8.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "prior.png", dpi=100)
    assert matplotlib.image.imread(tmp_path / "prior.png").std() > 0.1
    sections = [ax for ax in figure.axes if ax.images]
    assert len(sections) == 6
    bottom, top = sections[0].get_ylim()
    assert bottom > top == 0.0
    first = prior.draw(np.random.default_rng([0, 0]))
    middle = first if first.ndim == 2 else first[:, shape[1] // 2]
    np.testing.assert_allclose(sections[0].images[0].get_array(), middle.T / 1e3)
    assert len({ax.images[0].get_clim() for ax in sections}) == 1
    labels = {ax.get_xlabel() for ax in figure.axes} | {ax.get_ylabel() for ax in figure.axes}
    assert {"x (km)", "z (km)", "velocity (km/s)", "cells (%)"} <= labels
    profile = next(ax for ax in figure.axes if ax.get_title() == "mean ± std")
    np.testing.assert_allclose(profile.lines[0].get_xdata(), statistics.mean / 1e3)
    assert profile.get_ylim()[0] > profile.get_ylim()[1]
