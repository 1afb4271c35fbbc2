"""Priors: one table of priors, all laws; then what each must do of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.config import AugmentConfig, LayeredPriorConfig, PatchPriorConfig
from physics.priors import LayeredPrior, PatchPrior, Prior, make_prior
from physics.priors.augment import is_one_to_one, jacobian, plain_positions, random_positions, splice_weight
from physics.priors.random_fields import gaussian_field

SHAPE, SPACING = (32, 24), (12.5, 10.0)
H = 7.5


def earth_model(nx: int = 200, nz: int = 120) -> np.ndarray:
    """Dipping beds over a gradient, with a lens: enough structure to tell any two places apart."""
    x, z = np.meshgrid(np.arange(nx) * H, np.arange(nz) * H, indexing="ij")
    vp = 1500.0 + 2.0 * z + 250.0 * np.sign(np.sin((z + 0.2 * x) / 30.0)) + 0.1 * x
    return np.where((x - 700.0) ** 2 + 4.0 * (z - 500.0) ** 2 < 150.0**2, 4000.0, vp)


def patch_prior(**kwargs: Any) -> PatchPrior:
    return PatchPrior(earth_model(), H, shape=SHAPE, spacing=SPACING, **kwargs)


PRIORS: dict[str, Callable[[], Prior]] = {
    "plain": lambda: patch_prior(),
    "plain-region": lambda: patch_prior(region=(0.5, 1.0)),
    "augmented": lambda: patch_prior(augment=AugmentConfig()),
    "augmented-region": lambda: patch_prior(augment=AugmentConfig(), region=(0.0, 0.6)),
    "augmented-half": lambda: patch_prior(augment=AugmentConfig(probability=0.5)),
    "augmented-wild": lambda: patch_prior(
        augment=AugmentConfig(rotation=90.0, shear=1.0, stretch=(0.1, 5.0), warp=300.0, contrast=(1.0, 9.0))
    ),
    "layered": lambda: LayeredPrior(LayeredPriorConfig(), shape=SHAPE, spacing=SPACING),
    "layered-calm": lambda: LayeredPrior(
        LayeredPriorConfig(faults=0, relief=0.0, dip=0.0), shape=SHAPE, spacing=SPACING
    ),
    "layered-wild": lambda: LayeredPrior(
        LayeredPriorConfig(faults=9, relief=900.0, dip=80.0, throw=3000.0), shape=SHAPE, spacing=SPACING
    ),
}


@pytest.fixture(params=PRIORS, scope="module")
def prior(request: pytest.FixtureRequest) -> Prior:
    return PRIORS[request.param]()


class TestEveryPrior:
    def test_is_a_prior(self, prior: Prior) -> None:
        assert isinstance(prior, Prior)

    def test_draws_finite_velocities_of_the_shape_within_the_stated_bounds(self, prior: Prior) -> None:
        for seed in range(30):
            vp = prior.draw(np.random.default_rng(seed))
            assert vp.shape == SHAPE
            assert vp.dtype == np.float32
            # One float32 rounding of the bounds.
            assert prior.vmin * (1 - 1e-7) <= vp.min() <= vp.max() <= prior.vmax * (1 + 1e-7)

    def test_is_a_pure_function_of_the_generator(self, prior: Prior) -> None:
        first, again, other = (prior.draw(np.random.default_rng(seed)) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_varies_with_depth(self, prior: Prior) -> None:
        draws = [prior.draw(np.random.default_rng(seed)) for seed in range(10)]
        assert np.median([np.ptp(vp, axis=1).mean() for vp in draws]) > 50.0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    start=st.floats(0.0, 0.6),
    width=st.floats(0.35, 1.0),
    augment=st.sampled_from([AugmentConfig(), AugmentConfig(probability=0.0), AugmentConfig(warp=150.0)]),
)
def test_nothing_outside_the_region_reaches_a_draw(
    seed: int, start: float, width: float, augment: AugmentConfig
) -> None:
    region = (start, min(start + width, 1.0))
    clean, poisoned = earth_model(), earth_model()
    first, last = (round(share * len(clean)) for share in region)
    poisoned[:first] = poisoned[last:] = np.nan
    draws = [
        PatchPrior(vp, H, shape=SHAPE, spacing=SPACING, region=region, augment=augment).draw(
            np.random.default_rng(seed)
        )
        for vp in (clean, poisoned)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])


def test_regions_that_share_a_limit_share_no_column() -> None:
    width = len(earth_model())
    left, right = earth_model(), earth_model()
    cut = round(0.66 * width)
    left[cut:] = np.nan
    right[:cut] = np.nan
    for vp, region in ((left, (0.0, 0.66)), (right, (0.66, 1.0))):
        draw = PatchPrior(vp, H, shape=SHAPE, spacing=SPACING, region=region).draw(np.random.default_rng(0))
        assert np.isfinite(draw).all()


@pytest.mark.parametrize("seed", range(40))
def test_augmented_footprints_fit_and_do_not_fold(seed: int) -> None:
    prior = patch_prior(augment=AugmentConfig(rotation=60.0, warp=120.0, stretch=(0.3, 3.0)))
    positions = prior.positions(np.random.default_rng(seed))
    extent = (np.array(earth_model().shape) - 1) * H
    assert np.all(np.ptp(positions, axis=(1, 2)) <= extent)
    assert is_one_to_one(positions, SPACING)


def test_the_edge_of_the_model_is_never_smeared_into_a_patch() -> None:
    # A footprint that left the model would repeat its last column: the gradient along x would vanish there.
    x = np.arange(200) * H
    ramp = 1.0 / (1e-4 + 1e-7 * x)[:, None] * np.ones((1, 120))
    augment = AugmentConfig(
        rotation=0.0, shear=0.0, warp=0.0, splice=0.0, contrast=(1.0, 1.0), reverse_contrast=0.0
    )
    prior = PatchPrior(ramp, H, shape=SHAPE, spacing=SPACING, region=(0.3, 0.7), augment=augment)
    for seed in range(40):
        slowness = 1.0 / prior.draw(np.random.default_rng(seed)).astype(np.float64)
        steps = np.abs(np.diff(slowness, axis=0)) / (1e-7 * SPACING[0])
        # Stretches of 0.55 to 1.5 give steps of 0.67 to 1.82; the filter's mirror flattens the outer cells.
        assert steps[2:-2].min() > 0.6


def test_a_plain_patch_keeps_travel_times() -> None:
    prior = patch_prior()
    model = 1.0 / earth_model()
    for seed in range(5):
        slowness = 1.0 / prior.draw(np.random.default_rng(seed)).astype(np.float64)
        assert model.min() < slowness.mean() < model.max()
    even = PatchPrior(np.full((200, 120), 2345.0), H, shape=SHAPE, spacing=SPACING)
    np.testing.assert_allclose(even.draw(np.random.default_rng(0)), 2345.0, rtol=1e-6)


def test_probability_zero_gives_plain_crops() -> None:
    draws = [
        patch_prior(augment=augment).draw(np.random.default_rng(5))
        for augment in (None, AugmentConfig(probability=0.0))
    ]
    np.testing.assert_array_equal(draws[0], draws[1])


def test_positions_without_augmentation_are_the_plain_ones() -> None:
    none = AugmentConfig(rotation=0.0, shear=0.0, stretch=(1.0, 1.0), warp=0.0, flip=0.0)
    positions = random_positions(np.random.default_rng(0), none, SHAPE, SPACING)
    # Rounding of products of numbers up to 200 m.
    np.testing.assert_allclose(positions, plain_positions(SHAPE, SPACING), atol=1e-11)
    np.testing.assert_allclose(jacobian(positions, SPACING), 1.0, rtol=1e-12)


def test_a_flip_mirrors_and_is_no_fold() -> None:
    mirrored = AugmentConfig(rotation=0.0, shear=0.0, stretch=(1.0, 1.0), warp=0.0, flip=1.0)
    positions = random_positions(np.random.default_rng(0), mirrored, SHAPE, SPACING)
    np.testing.assert_allclose(positions[:, ::-1], plain_positions(SHAPE, SPACING), atol=1e-11)
    assert is_one_to_one(positions, SPACING)


def test_a_fold_is_seen() -> None:
    positions = plain_positions(SHAPE, SPACING)
    positions[0] = np.abs(positions[0])
    assert not is_one_to_one(positions, SPACING)


def test_a_splice_uses_both_patches_with_a_sharp_boundary() -> None:
    weights = [splice_weight(np.random.default_rng(seed), (64, 64), (10.0, 10.0)) for seed in range(20)]
    for weight in weights:
        assert weight.min() == 0.0
        assert weight.max() == 1.0
        assert np.mean((weight > 0.0) & (weight < 1.0)) < 0.1


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


def test_layers_without_relief_dip_or_faults_are_flat() -> None:
    prior = LayeredPrior(
        LayeredPriorConfig(faults=0, relief=0.0, dip=0.0, velocity=(1500.0, 4500.0)),
        shape=SHAPE,
        spacing=SPACING,
    )
    flat = [
        np.ptp(vp, axis=0).max() / vp.mean()
        for vp in (prior.draw(np.random.default_rng(s)) for s in range(9))
    ]
    # What is left is the gentle lateral change of 2 %: some five standard deviations, or a bed at a limit.
    assert np.median(flat) < 0.15


def test_make_prior_builds_what_the_configuration_says(tmp_path: Path) -> None:
    path = tmp_path / "model.npy"
    np.save(path, earth_model())
    patches = make_prior(PatchPriorConfig(model=str(path), model_spacing=H), SHAPE, SPACING)
    assert isinstance(patches, PatchPrior)
    assert isinstance(make_prior(LayeredPriorConfig(), SHAPE, SPACING), LayeredPrior)


@pytest.mark.parametrize(
    ("vp", "message"),
    [
        (earth_model() / 1000.0, "looks like km/s"),
        (np.where(earth_model() > 3500.0, np.nan, earth_model()), "got [0-9]+ bad values, the first at"),
        (np.where(earth_model() > 3500.0, -1.0, earth_model()), "expected finite positive velocities in m/s"),
        (earth_model()[0], r"expected an earth model of shape \(nx, nz\), got \(120,\)"),
        (earth_model(40, 120), r"expected a region at least as large as a patch, \[387.5, 230.0\] m"),
    ],
)
def test_bad_models_are_refused(vp: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PatchPrior(vp, H, shape=SHAPE, spacing=SPACING)


def test_a_region_narrower_than_a_patch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"columns 100 to 120 of 200\); widen the region"):
        patch_prior(region=(0.5, 0.6))
