"""Patches of a given model: what is kept of it, what never reaches a draw, augmentation in 2-D and 3-D."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.config import AugmentConfig
from physics.priors import PatchPrior
from physics.priors.augment import is_one_to_one, jacobian, plain_positions, random_positions, splice_weight

SHAPE, SPACING = (32, 24), (12.5, 10.0)
H = 7.5


def earth_model(nx: int = 200, nz: int = 120) -> np.ndarray:
    """Dipping beds over a gradient, with a lens: enough structure to tell any two places apart."""
    x, z = np.meshgrid(np.arange(nx) * H, np.arange(nz) * H, indexing="ij")
    vp = 1500.0 + 2.0 * z + 250.0 * np.sign(np.sin((z + 0.2 * x) / 30.0)) + 0.1 * x
    return np.where((x - 700.0) ** 2 + 4.0 * (z - 500.0) ** 2 < 150.0**2, 4000.0, vp)


def patch_prior(**kwargs: Any) -> PatchPrior:
    return PatchPrior(earth_model(), H, shape=SHAPE, spacing=SPACING, **kwargs)


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


@pytest.mark.parametrize(
    ("vp", "message"),
    [
        (earth_model() / 1000.0, "looks like km/s"),
        (np.where(earth_model() > 3500.0, np.nan, earth_model()), "got [0-9]+ bad values, the first at"),
        (np.where(earth_model() > 3500.0, -1.0, earth_model()), "expected finite positive velocities in m/s"),
        (
            earth_model()[0],
            r"shape \(nx, nz\), got \(120,\): patches of shape \(32, 24\) are cut from a 2-D model",
        ),
        (earth_model(40, 120), r"expected a region at least as large as a patch, \[387.5, 230.0\] m"),
    ],
)
def test_bad_models_are_refused(vp: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PatchPrior(vp, H, shape=SHAPE, spacing=SPACING)


def test_a_region_narrower_than_a_patch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"columns 100 to 120 of 200\); widen the region"):
        patch_prior(region=(0.5, 0.6))


# --- 3-D ------------------------------------------------------------------------------------------

SHAPE_3D, SPACING_3D = (12, 10, 8), (20.0, 20.0, 15.0)


def cube() -> np.ndarray:
    """A model whose velocity tells the position: it grows along every axis, most in depth."""
    x, y, z = np.meshgrid(*(np.arange(n) * 10.0 for n in (60, 50, 40)), indexing="ij")
    return 1500.0 + 0.3 * x + 0.2 * y + 3.0 * z


def test_a_plain_patch_of_a_cube_keeps_its_slopes_along_each_axis() -> None:
    prior = PatchPrior(cube(), 10.0, shape=SHAPE_3D, spacing=SPACING_3D)
    vp = prior.draw(np.random.default_rng(0)).astype(np.float64)
    for slope, expected in zip(np.gradient(vp, *SPACING_3D), (0.3, 0.2, 3.0), strict=True):
        slope = slope[2:-2, 2:-2, 2:-2]  # the filter's mirror flattens the model's outer cells
        # Interpolating slowness instead of velocity, and float32, leave parts in a thousand.
        np.testing.assert_allclose(slope, expected, rtol=2e-2, atol=5e-3)


@pytest.mark.parametrize("seed", range(15))
def test_augmented_footprints_in_3d_fit_and_do_not_fold(seed: int) -> None:
    augment = AugmentConfig(rotation=60.0, warp=60.0, stretch=(0.4, 2.5))
    prior = PatchPrior(cube(), 10.0, shape=SHAPE_3D, spacing=SPACING_3D, augment=augment)
    positions = prior.positions(np.random.default_rng(seed))
    assert positions.shape == (3, *SHAPE_3D)
    assert np.all(np.ptp(positions, axis=(1, 2, 3)) <= (np.array(cube().shape) - 1) * 10.0)
    assert is_one_to_one(positions, SPACING_3D)


def test_a_rotation_in_3d_keeps_volumes_and_a_stretch_changes_them() -> None:
    still = {"shear": 0.3, "warp": 0.0, "flip": 0.0}
    turned = random_positions(
        np.random.default_rng(1),
        AugmentConfig(rotation=40.0, stretch=(1.0, 1.0), **still),
        SHAPE_3D,
        SPACING_3D,
    )
    # Rotations and shears have determinant 1: rounding is all that is left.
    np.testing.assert_allclose(jacobian(turned, SPACING_3D), 1.0, rtol=1e-10)
    halved = random_positions(
        np.random.default_rng(1),
        AugmentConfig(rotation=40.0, stretch=(2.0, 2.0), **still),
        SHAPE_3D,
        SPACING_3D,
    )
    np.testing.assert_allclose(jacobian(halved, SPACING_3D), 0.125, rtol=1e-10)


def test_a_model_with_other_spacings_on_its_axes_is_resampled_on_each() -> None:
    x, z = np.meshgrid(np.arange(80) * 25.0, np.arange(200) * 5.0, indexing="ij")
    prior = PatchPrior(1500.0 + 0.2 * x + 2.0 * z, (25.0, 5.0), shape=SHAPE, spacing=SPACING)
    vp = prior.draw(np.random.default_rng(0)).astype(np.float64)
    for slope, expected in zip(np.gradient(vp, *SPACING), (0.2, 2.0), strict=True):
        np.testing.assert_allclose(slope[2:-2, 2:-2], expected, rtol=2e-2, atol=5e-3)


@pytest.mark.parametrize(
    ("vp", "shape", "spacing", "message"),
    [
        (cube(), SHAPE, SPACING, r"expected an earth model of shape \(nx, nz\), got \(60, 50, 40\): patches"),
        (
            earth_model(),
            SHAPE_3D,
            SPACING_3D,
            r"expected an earth model of shape \(nx, ny, nz\), got \(200, 120\)",
        ),
    ],
)
def test_patches_and_models_of_other_dimension_are_refused(
    vp: np.ndarray, shape: tuple[int, ...], spacing: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PatchPrior(vp, H, shape=shape, spacing=spacing)
