"""Random fields: exact covariance on the grid, moments, trend, cut; smooth random functions of position."""

from typing import Any

import numpy as np
import pytest

from physics.config import GaussianPriorConfig
from physics.priors import GaussianPrior
from physics.priors.covariance import CovarianceField, matern
from physics.priors.random_fields import RandomFunction, gaussian_field

SHAPE, SPACING = (6, 5), (30.0, 20.0)


class Unit:
    """White noise that is one at one place and zero elsewhere: it reads a linear map column by column."""

    def __init__(self, place: int) -> None:
        self._place = place

    def standard_normal(self, size: tuple[int, ...]) -> np.ndarray:
        noise = np.zeros(size)
        noise.flat[self._place] = 1.0
        return noise


def covariance(field: CovarianceField) -> np.ndarray:
    """Covariance matrix of the cells: C = A A^T for draws A w of white noise w."""
    columns = []
    while True:
        try:
            columns.append(field.draw(Unit(len(columns))).ravel())  # type: ignore[arg-type]
        except IndexError:
            a = np.stack(columns, axis=1)
            return a @ a.T


def lags(shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[np.ndarray]:
    axes = np.meshgrid(*(np.arange(n) * h for n, h in zip(shape, spacing, strict=True)), indexing="ij")
    return [axis.ravel()[:, None] - axis.ravel()[None] for axis in axes]


def config(**settings: Any) -> GaussianPriorConfig:
    return GaussianPriorConfig(
        **{"surface_velocity": (2500.0, 2500.0), "gradient": (0.5, 0.5), "std": 100.0, **settings}
    )


@pytest.mark.parametrize("smoothness", [0.5, 1.5, 4.0])
@pytest.mark.parametrize(("lengths", "dip"), [((40.0, 40.0), 0.0), ((60.0, 25.0), 0.0), ((60.0, 25.0), 25.0)])
def test_the_covariance_of_the_draws_is_the_stated_one(
    smoothness: float, lengths: tuple[float, float], dip: float
) -> None:
    prior = GaussianPrior(
        config(smoothness=smoothness, lengths=lengths, dip=dip), shape=SHAPE, spacing=SPACING
    )
    x, z = lags(SHAPE, SPACING)
    angle = np.deg2rad(dip)
    along, across = np.cos(angle) * x + np.sin(angle) * z, np.cos(angle) * z - np.sin(angle) * x
    expected = matern(np.hypot(along / lengths[0], across / lengths[1]), smoothness)
    # What the embedding may add to the variance.
    np.testing.assert_allclose(covariance(prior._field), expected, atol=1e-6)


def test_the_covariance_in_3d_is_the_stated_one() -> None:
    shape, spacing = (3, 4, 3), (30.0, 25.0, 10.0)
    x, y, z = lags(shape, spacing)
    for lengths, scale in (((25.0, 8.0), (25.0, 25.0, 8.0)), ((25.0, 15.0, 8.0), (25.0, 15.0, 8.0))):
        prior = GaussianPrior(config(smoothness=0.5, lengths=lengths), shape=shape, spacing=spacing)
        expected = np.exp(-np.sqrt((x / scale[0]) ** 2 + (y / scale[1]) ** 2 + (z / scale[2]) ** 2))
        np.testing.assert_allclose(covariance(prior._field), expected, atol=1e-6)


def test_the_long_axis_of_a_positive_dip_goes_down_towards_x() -> None:
    prior = GaussianPrior(config(lengths=(400.0, 40.0), dip=45.0), shape=SHAPE, spacing=SPACING)
    down, up = (
        prior.correlation(np.array(50.0), np.array(50.0)),
        prior.correlation(np.array(50.0), np.array(-50.0)),
    )
    assert down > 0.9
    assert up < 0.3


@pytest.mark.parametrize(
    ("smoothness", "closed"),
    [
        (0.5, lambda r: np.exp(-r)),
        (1.5, lambda r: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r)),
        (2.5, lambda r: (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)),
    ],
)
def test_matern_has_its_closed_forms(smoothness: float, closed: Any) -> None:
    r = np.concatenate([[0.0, 1e-14, 1e-6], np.linspace(0.01, 50.0, 300), [1e4]])
    np.testing.assert_allclose(matern(r, smoothness), closed(r), rtol=1e-9, atol=1e-12)


def test_matern_approaches_a_gaussian() -> None:
    r = np.linspace(0.0, 3.0, 50)
    # The two differ by O(1 / nu).
    np.testing.assert_allclose(matern(r, 10.0), np.exp(-(r**2) / 2), atol=0.03)


def test_velocities_are_normal_about_the_trend_and_cut_off_at_the_limits() -> None:
    prior = GaussianPrior(config(velocity=(2350.0, 2700.0)), shape=SHAPE, spacing=SPACING)
    uncut = np.stack([prior.draw_uncut(np.random.default_rng(seed)) for seed in range(4000)])
    z = np.arange(SHAPE[1]) * SPACING[1]
    # 4000 independent draws: the standard error of a mean is 1.6 m/s, that of a std 1.1 m/s; five of each.
    np.testing.assert_allclose(uncut.mean(axis=0), np.broadcast_to(2500.0 + 0.5 * z, SHAPE), atol=8.0)
    np.testing.assert_allclose(uncut.std(axis=0), 100.0, atol=6.0)
    share = np.mean(np.abs(uncut - uncut.mean(axis=0)) < 100.0)
    np.testing.assert_allclose(share, 0.6827, atol=0.02)
    cut = prior.draw(np.random.default_rng(7))
    np.testing.assert_array_equal(
        cut, np.clip(prior.draw_uncut(np.random.default_rng(7)), 2350.0, 2700.0).astype(np.float32)
    )
    assert (cut == 2350.0).any() or (cut == 2700.0).any()


def test_a_trend_drawn_for_each_model_spreads_evenly() -> None:
    prior = GaussianPrior(
        config(surface_velocity=(2000.0, 3000.0), std=1.0, gradient=(0.0, 0.0)), shape=SHAPE, spacing=SPACING
    )
    means = np.array([prior.draw(np.random.default_rng(seed)).mean() for seed in range(1000)])
    assert means.min() < 2020.0
    assert means.max() > 2980.0
    # The std of a uniform law of width 1000, known to 2 % from 1000 draws.
    np.testing.assert_allclose(means.std(), 1000.0 / np.sqrt(12.0), rtol=0.08)


def test_lengths_for_another_dimension_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"expected 2 correlation lengths in prior.lengths for a 2-D model.*got 3"
    ):
        GaussianPrior(config(lengths=(90.0, 90.0, 30.0)), shape=SHAPE, spacing=SPACING)


def test_a_correlation_that_never_dies_out_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"correlation lengths that fit the model of 15000, 10000 m, got some"
    ):
        CovarianceField((1500, 1000), (10.0, 10.0), lambda x, z: 1.0 / (1.0 + (np.hypot(x, z) / 1e6) ** 2))


def test_a_random_field_has_the_stated_moments() -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([gaussian_field(rng, (24, 16), (10.0, 5.0), 30.0) for _ in range(4000)])
    # 4000 independent fields: a standard error of 1 / sqrt(4000) = 0.016, five of them for 384 cells.
    np.testing.assert_allclose(fields.mean(axis=0), 0.0, atol=0.08)
    np.testing.assert_allclose(fields.var(axis=0), 1.0, atol=0.12)
    lag = np.mean(fields[:, 4, 8] * fields[:, 7, 8])
    np.testing.assert_allclose(lag, np.exp(-0.5), atol=0.08)
    edge = np.mean(fields[:, 0] * fields[:, -1])
    np.testing.assert_allclose(edge, 0.0, atol=0.04)


def test_a_random_function_has_the_stated_moments_between_its_mesh_points() -> None:
    x = np.array([3.0, 103.0, 777.7])
    values = np.stack(
        [RandomFunction(np.random.default_rng(seed), (1000.0,), 100.0)(x) for seed in range(4000)]
    )
    # As above: five standard errors.
    np.testing.assert_allclose(values.mean(axis=0), 0.0, atol=0.08)
    np.testing.assert_allclose(values.var(axis=0), 1.0, atol=0.12)
    np.testing.assert_allclose(np.mean(values[:, 0] * values[:, 1]), np.exp(-0.5), atol=0.08)


def test_a_random_function_is_one_function_however_it_is_sampled() -> None:
    def surface() -> RandomFunction:
        return RandomFunction(np.random.default_rng(1), (500.0, 300.0), 120.0, lower=(-100.0, 0.0))

    x, y = np.meshgrid(np.linspace(-100.0, 400.0, 9), np.linspace(0.0, 300.0, 7), indexing="ij")
    np.testing.assert_array_equal(surface()(x, y)[::2, ::3], surface()(x[::2, ::3], y[::2, ::3]))
    far, edge = np.array([-1e6]), np.array([-350.0])
    np.testing.assert_array_equal(surface()(far, np.array([50.0])), surface()(edge, np.array([50.0])))
