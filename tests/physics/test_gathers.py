"""Image gathers: the adjoint of extended Born modelling, and what they promise beside."""

import numpy as np
import pytest

from physics.errors import GeometryError, PhysicsError
from physics.gathers import GatherOperator, symmetric_offsets
from physics.geometry import Acquisition
from physics.linear import BornOperator, dot_test
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.wavelets import ricker

SHAPE, SPACING, DT, NT = (24, 21), (12.5, 10.0), 0.001, 160
OFFSETS = (-25.0, -12.5, 0.0, 12.5, 37.5)


def earth(shape=SHAPE, spacing=SPACING, **options):
    vp = np.random.default_rng(0).uniform(2000.0, 2600.0, shape)
    return EarthModel(vp, spacing, **({"nbl": 6, "space_order": 4, "dtype": "float64"} | options))


def survey(model, nt=NT, num_sources=2):
    rng = np.random.default_rng(1)
    low, high = np.array(model.lower) + 5.0, np.array(model.upper)
    return Acquisition(
        rng.uniform(low, high, (num_sources, model.ndim)), rng.uniform(low, high, (5, model.ndim)), DT, nt
    )


def gathers(offsets=OFFSETS, axis=0, nt=NT, f0=14.0, **options):
    model = earth(**options)
    return GatherOperator(model, survey(model, nt), wavelet=ricker(f0, DT, nt), offsets=offsets, axis=axis)


VOLUME = {"shape": (10, 9, 8), "spacing": (12.5, 10.0, 12.0), "nbl": 4, "nt": 140, "f0": 18.0}
CASES = {
    "along x": {},
    "down z": {"axis": -1, "offsets": (-20.0, 0.0, 30.0)},
    "one offset": {"offsets": (12.5,)},
    "largest offsets": {"offsets": (-137.5, 0.0, 137.5)},
    "free surface": {"free_surface": True},
    "density": {"rho": np.random.default_rng(2).uniform(1000.0, 2500.0, SHAPE)},
    "volume, along y": VOLUME | {"axis": 1, "offsets": (-10.0, 0.0, 20.0)},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_extended_modelling_and_gathers_belong_together(options):
    # Rounding of some hundred steps in double precision, as for the other operators.
    assert dot_test(gathers(**options), rng=np.random.default_rng(3), rtol=1e-12) <= 1e-12


def test_wide_models_are_multiplied_in_blocks_that_fit_together():
    # 200 cells in blocks of 64 and their neighbourhood: the gather is that of plain sums.
    op = gathers(shape=(200, 12), offsets=(-25.0, 0.0, 12.5))
    rng = np.random.default_rng(4)
    u, v = rng.standard_normal((2, 7, 200, 12))
    gather = np.zeros((3, 200, 12))
    op._correlate(u, v, gather)
    for number, shift in enumerate((-2, 0, 1)):
        expected = np.zeros((200, 12))
        for x in range(abs(shift), 200 - abs(shift)):
            expected[x] = (u[:, x - shift] * v[:, x + shift]).sum(0)
        np.testing.assert_allclose(gather[number], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_no_offset_is_the_migrated_image(axis):
    op = gathers(axis=axis, offsets=(0.0, 2 * SPACING[axis]))
    model = earth()
    J = BornOperator(model, survey(model), wavelet=ricker(14.0, DT, NT))
    d = np.random.default_rng(5).standard_normal(op.range_shape)
    inner = (slice(1, -1), slice(1, -1))  # the image's edge also collects the layer
    image = J.adjoint(d)
    np.testing.assert_allclose(
        op.adjoint(d)[0][inner], image[inner], rtol=0, atol=1e-12 * np.abs(image).max()
    )


def test_modelling_without_offset_is_born_modelling_of_what_lies_inside():
    op = gathers(offsets=(0.0, 12.5))
    model = earth()
    dm = np.zeros(SHAPE)
    dm[5:18, 4:15] = np.random.default_rng(6).standard_normal((13, 11))
    expected = BornOperator(model, survey(model), wavelet=ricker(14.0, DT, NT)).forward(dm)
    records = op.forward(np.stack([dm, np.zeros(SHAPE)]))
    assert np.linalg.norm(records - expected) <= 1e-12 * np.linalg.norm(expected)


def test_energy_focuses_at_no_offset_only_with_the_right_velocity():
    vp = np.full((64, 40), 2000.0)
    model = EarthModel(vp, (12.5, 12.5), space_order=4)
    spread = Acquisition.surface(
        model.extent, 6, 64, source_depth=12.5, receiver_depth=12.5, dt=1.6e-3, nt=420
    )
    wavelet = ricker(12.0, spread.dt, spread.nt)
    dm = np.zeros(vp.shape)
    dm[:, 26] = 1e-8
    d = BornOperator(model, spread, wavelet=wavelet).forward(dm)
    offsets = symmetric_offsets(125.0, 12.5)

    def focus(velocity):
        background = EarthModel(np.full(vp.shape, velocity), (12.5, 12.5), space_order=4)
        op = GatherOperator(
            background, spread, wavelet=wavelet, offsets=offsets, numerics=Numerics(subsample=4)
        )
        energy = (op.adjoint(d)[:, 24:40, 16:36] ** 2).sum((1, 2))
        return float((np.abs(offsets) * energy).sum() / energy.sum())

    assert focus(2000.0) < 0.6 * focus(1700.0)


def test_offsets_are_symmetric_and_on_the_grid():
    np.testing.assert_array_equal(symmetric_offsets(30.0, 12.5), [-25.0, -12.5, 0.0, 12.5, 25.0])


BAD = {
    "off the grid": (GeometryError, {"offsets": (0.0, 10.0)}, r"multiples of 12.5 m, got 10 m at index 1"),
    "twice": (GeometryError, {"offsets": (12.5, 12.5)}, "every offset once"),
    "beyond the model": (GeometryError, {"offsets": (0.0, 150.0)}, r"at most 137.5 m, got 150 m at index 1"),
    "none": (PhysicsError, {"offsets": ()}, r"finite offsets of shape \(n,\)"),
    "axis": (PhysicsError, {"axis": 2}, "axis from -2 to 1 for the offsets, got 2"),
}


@pytest.mark.parametrize(("error", "options", "message"), BAD.values(), ids=BAD.keys())
def test_bad_offsets_are_refused(error, options, message):
    with pytest.raises(error, match=message):
        gathers(**options)
