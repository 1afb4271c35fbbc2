"""Priors: one table of all priors in 2-D and 3-D, all laws over it; then their configurations."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field, TypeAdapter, ValidationError

from physics.config import (
    PRIOR_KINDS,
    AugmentConfig,
    ChannelPriorConfig,
    GaussianPriorConfig,
    LayeredPriorConfig,
    OpenFWIPriorConfig,
    PatchPriorConfig,
    PriorConfig,
    SaltPriorConfig,
    WaterConfig,
)
from physics.priors import GridPrior, PatchPrior, make_prior
from physics.priors.statistics import summarise

Shape, Spacing = tuple[int, ...], tuple[float, ...]
Build = Callable[[Shape, Spacing], GridPrior]

GRIDS: dict[int, tuple[Shape, Spacing]] = {2: ((32, 24), (12.5, 10.0)), 3: ((14, 12, 16), (20.0, 25.0, 12.5))}
WATER = WaterConfig(depth=(20.0, 60.0), relief=8.0, length=100.0)


def earth_model(ndim: int) -> np.ndarray:
    """Dipping beds over a gradient, with a lens: enough structure to tell any two places apart."""
    counts = (200, 120) if ndim == 2 else (90, 80, 70)
    *across, z = np.meshgrid(*(np.arange(n) * 7.5 for n in counts), indexing="ij")
    along = sum(across)
    vp = 1500.0 + 2.0 * z + 250.0 * np.sign(np.sin((z + 0.2 * along) / 30.0)) + 0.1 * along
    return np.where((across[0] - 400.0) ** 2 + 4.0 * (z - 300.0) ** 2 < 150.0**2, 4000.0, vp)


def patches(**settings: Any) -> Build:
    return lambda shape, spacing: PatchPrior(
        earth_model(len(shape)), 7.5, shape=shape, spacing=spacing, **settings
    )


def default(kind: str) -> PriorConfig:
    return PRIOR_KINDS[kind](kind=kind)  # type: ignore[arg-type]


def configured(config: PriorConfig) -> Build:
    return lambda shape, spacing: make_prior(config, shape, spacing)


PRIORS: dict[str, Build] = {
    "plain": patches(),
    "plain-region": patches(region=(0.4, 1.0)),
    "augmented": patches(augment=AugmentConfig()),
    "augmented-region": patches(augment=AugmentConfig(), region=(0.0, 0.6)),
    "augmented-half": patches(augment=AugmentConfig(probability=0.5)),
    "augmented-wild": patches(
        augment=AugmentConfig(rotation=90.0, shear=1.0, stretch=(0.1, 5.0), warp=300.0, contrast=(1.0, 9.0))
    ),
    "layered": configured(LayeredPriorConfig()),
    "layered-calm": configured(LayeredPriorConfig(faults=0, relief=0.0, dip=0.0)),
    "layered-wild": configured(LayeredPriorConfig(faults=9, relief=900.0, dip=80.0, throw=3000.0)),
    "layered-water": configured(LayeredPriorConfig(water=WATER)),
    **{kind: configured(default(kind)) for kind in PRIOR_KINDS if kind[-2:] in ("-a", "-b")},
    "openfwi-water": configured(OpenFWIPriorConfig(kind="curve-fault-b", water=WATER)),
    "openfwi-wild": configured(
        OpenFWIPriorConfig(kind="curve-fault-b", layers=(2, 20), relief=(0.3, 0.9), throw=(0.5, 2.0))
    ),
    "salt": configured(SaltPriorConfig()),
    "salt-wild": configured(
        SaltPriorConfig(bodies=(1, 5), width=(0.05, 0.9), roughness=0.5, overhang=(0.9, 0.9), upturn=0.5)
    ),
    "salt-water": configured(SaltPriorConfig(water=WATER)),
    "channels": configured(ChannelPriorConfig()),
    "channels-wild": configured(
        ChannelPriorConfig(channels=(9, 9), turn=(100.0, 110.0), contrast=(0.8, 0.8), wavelength=(50.0, 80.0))
    ),
    "channels-water": configured(ChannelPriorConfig(water=WATER)),
    "gaussian": configured(GaussianPriorConfig()),
    "gaussian-rough": configured(
        GaussianPriorConfig(smoothness=0.3, dip=-30.0, std=2000.0, lengths=(60.0, 25.0))
    ),
    "gaussian-water": configured(GaussianPriorConfig(water=WATER)),
}

# Their random numbers follow from the extent alone, so one draw is one earth on every grid. The wild ones cut
# most cells of grids as coarse as these.
SAME_EARTH = [
    name
    for name in PRIORS
    if name.split("-")[0] in ("flat", "curve", "openfwi", "salt", "channels") and not name.endswith("wild")
]


@pytest.fixture(params=[(name, ndim) for name in PRIORS for ndim in GRIDS], scope="module", ids=str)
def prior(request: pytest.FixtureRequest) -> GridPrior:
    name, ndim = request.param
    return PRIORS[name](*GRIDS[ndim])


class TestEveryPrior:
    def test_is_a_prior_that_knows_its_grid(self, prior: GridPrior) -> None:
        assert isinstance(prior, GridPrior)
        assert (prior.grid.shape, prior.grid.spacing) == GRIDS[prior.grid.ndim]

    def test_draws_finite_velocities_of_the_shape_within_the_stated_bounds(self, prior: GridPrior) -> None:
        for seed in range(30 if prior.grid.ndim == 2 else 6):
            vp = prior.draw(np.random.default_rng(seed))
            assert vp.shape == prior.grid.shape
            assert vp.dtype == np.float32
            # One float32 rounding of the bounds.
            assert prior.vmin * (1 - 1e-7) <= vp.min() <= vp.max() <= prior.vmax * (1 + 1e-7)

    def test_is_a_pure_function_of_the_generator(self, prior: GridPrior) -> None:
        first, other, again = (prior.draw(np.random.default_rng(seed)) for seed in (3, 4, 3))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_varies_with_depth(self, prior: GridPrior) -> None:
        draws = [prior.draw(np.random.default_rng(seed)) for seed in range(10)]
        assert np.median([np.ptp(vp, axis=-1).mean() for vp in draws]) > 50.0


@pytest.mark.parametrize("ndim", GRIDS)
@pytest.mark.parametrize("name", SAME_EARTH)
def test_half_the_spacing_samples_the_same_earth(name: str, ndim: int) -> None:
    shape, spacing = GRIDS[ndim]
    fine_grid = tuple(2 * n for n in shape), tuple(h / 2 for h in spacing)
    coarse, fine = PRIORS[name](shape, spacing), PRIORS[name](*fine_grid)
    for seed in range(4):
        slow = 1.0 / coarse.draw(np.random.default_rng(seed)).astype(np.float64)
        same = 1.0 / fine.draw(np.random.default_rng(seed)).astype(np.float64)
        down_z = 0.5 * (same[..., ::2] + 0.5 * (np.roll(same, 1, -1) + np.roll(same, -1, -1))[..., ::2])
        same_places = down_z[tuple([slice(None, None, 2)] * (ndim - 1))][..., 1:-1]
        difference = np.abs(slow[..., 1:-1] / same_places - 1.0)
        # Fine cells average to coarse ones but for the curvature of a bed within a cell, and but for the
        # cells that a fault, a flank or a channel cuts: on these coarse grids up to a quarter of all.
        assert np.median(difference) < 1e-2
        assert np.mean(difference > 0.05) < 0.25


@pytest.mark.parametrize(
    "name", ["plain", "augmented", "layered", "gaussian", "salt", "channels", "flat-vel-a"]
)
def test_half_the_spacing_keeps_the_statistics_in_metres(name: str) -> None:
    shape, spacing = GRIDS[2]
    fine_grid = tuple(2 * n for n in shape), tuple(h / 2 for h in spacing)
    count = 150
    coarse, fine = (summarise(PRIORS[name](*grid), count) for grid in ((shape, spacing), fine_grid))
    # Draws vary as a whole at most as much as their cells: five standard errors of a difference.
    tolerance = 5.0 * coarse.std.max() * np.sqrt(2.0 / count)
    np.testing.assert_allclose(fine.mean.mean(), coarse.mean.mean(), atol=tolerance)
    # A coarser cell averages more, and 150 draws know a standard deviation to some 6 %.
    np.testing.assert_allclose(fine.std.mean(), coarse.std.mean(), rtol=0.3)
    # A length beyond half the model is infinite, and may be so on one grid only.
    finite = np.isfinite(coarse.lengths) & np.isfinite(fine.lengths)
    np.testing.assert_allclose(np.array(fine.lengths)[finite], np.array(coarse.lengths)[finite], rtol=0.35)


def test_make_prior_builds_what_the_configuration_says(tmp_path: Path) -> None:
    path = tmp_path / "model.npy"
    np.save(path, earth_model(2))
    built = make_prior(PatchPriorConfig(model=str(path), model_spacing=7.5), *GRIDS[2])
    assert isinstance(built, PatchPrior)
    for kind in PRIOR_KINDS:
        if kind != "patches":
            assert type(make_prior(default(kind), *GRIDS[2])).__name__.endswith("Prior")


@pytest.mark.parametrize(
    ("shape", "spacing", "message"),
    [
        ((64,), (10.0,), r"expected a prior's shape \(nx, nz\) or \(nx, ny, nz\), .* got \(64,\)"),
        ((64, 1), (10.0, 10.0), r"at least 2 cells an axis, got \(64, 1\)"),
        (
            (64, 64),
            (10.0,),
            r"expected 2 positive spacings in metres for a prior of shape \(64, 64\), got \(10.0,\)",
        ),
        ((8, 8, 8), (10.0, 10.0), r"expected 3 positive spacings"),
        ((8, 8), (10.0, -10.0), r"expected 2 positive spacings .* got \(10.0, -10.0\)"),
    ],
)
@pytest.mark.parametrize("kind", ["layered", "flat-vel-a", "salt", "channels", "gaussian"])
def test_grids_that_are_none_are_refused(kind: str, shape: Shape, spacing: Spacing, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_prior(default(kind), shape, spacing)


READ: TypeAdapter[PriorConfig] = TypeAdapter(Annotated[PriorConfig, Field(discriminator="kind")])


@pytest.mark.parametrize("kind", PRIOR_KINDS)
def test_every_kind_is_read_by_its_name_with_water(kind: str) -> None:
    config = READ.validate_python({"kind": kind, "water": {"depth": [50.0, 80.0]}})
    assert type(config) is PRIOR_KINDS[kind]
    assert config.kind == kind
    assert config.water == WaterConfig(depth=(50.0, 80.0))
    with pytest.raises(ValidationError, match=r"unexpected_keyword_argument|extra_forbidden"):
        READ.validate_python({"kind": kind, "veloctiy": [1500.0, 4500.0]})


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"'patches', 'layered', 'flat-vel-a'.*'gaussian'"):
        READ.validate_python({"kind": "marmousi"})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayeredPriorConfig(velocity=(1.5, 4.5)), r"prior.velocity: expected \(min, max\) with 100"),
        (lambda: OpenFWIPriorConfig(layers=(1, 4)), r"prior.layers: expected \(min, max\) with 1 < min"),
        (lambda: OpenFWIPriorConfig(dip=(45.0, 100.0)), "prior.dip: expected at most 90 degrees"),
        (lambda: SaltPriorConfig(salt_velocity=(4.4, 4.6)), "prior.salt_velocity: expected"),
        (
            lambda: SaltPriorConfig(overhang=(0.5, 1.0)),
            r"prior.overhang: expected \(min, max\) within 0 to 0.9",
        ),
        (lambda: SaltPriorConfig(top=(0.1, 0.9)), "prior.top: expected a top of salt above 0.8 of the depth"),
        (lambda: SaltPriorConfig(subsalt=1.5), r"prior.subsalt: expected a probability in \[0, 1\], got 1.5"),
        (lambda: ChannelPriorConfig(turn=(30.0, 150.0)), "prior.turn: expected at most 110 degrees"),
        (lambda: ChannelPriorConfig(channels=(0, 3)), "prior.channels: expected"),
        (lambda: GaussianPriorConfig(smoothness=0.0), "prior.smoothness: expected 0.1 to 10, got 0.0"),
        (
            lambda: GaussianPriorConfig(lengths=(100.0,)),
            "prior.lengths: expected two or three positive lengths",
        ),
        (lambda: GaussianPriorConfig(std=-1.0), "prior.std: expected a positive value in m/s, got -1.0"),
        (lambda: WaterConfig(depth=(200.0, 100.0)), r"water.depth: expected \(min, max\), 0 <= min <= max"),
        (
            lambda: WaterConfig(velocity=1.5),
            r"water.velocity: expected m/s \(this looks like km/s\), got 1.5",
        ),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
