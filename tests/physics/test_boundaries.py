"""Absorbing layers: their coefficients, and the false energy that they leave in records."""

import functools

import numpy as np
import pytest

from physics.boundaries import matched_layer, sponge
from physics.geometry import Acquisition
from physics.linear import ForwardOperator
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.padding import Padding
from physics.wavelets import ricker

SPACING = (12.5, 10.0)
PADDINGS = {"all sides": Padding((24, 20), 12), "free surface": Padding((24, 20), 12, mirror=4)}
every_padding = pytest.mark.parametrize("padding", PADDINGS.values(), ids=PADDINGS.keys())


def lines(padding, dt=1e-3):
    return matched_layer(padding, SPACING, 2300.0, frequency=10.0, dt=dt)


@every_padding
def test_damping_is_zero_inside_and_grows_outwards(padding):
    eta = sponge(padding, SPACING, 2300.0)
    assert eta.shape == padding.padded_shape
    assert not eta[padding.inside].any()
    assert (np.diff(eta[:13, 20]) < 0.0).all()
    assert np.allclose(eta, eta[::-1])
    # Across the layer and back, a wave at the layer's velocity loses exp(-A): sum of v eta h is 2 A / 2.
    assert 2300.0 * eta[:12, 20].sum() * 12.5 == pytest.approx(3.0 + 0.1 * 12, rel=0.2)


def test_damping_leaves_a_free_surface_alone():
    eta = sponge(PADDINGS["free surface"], SPACING, 2300.0)
    assert not eta[20, :24].any()
    assert (np.diff(eta[20, 24:]) > 0.0).all()
    assert eta[0, :20].min() > 0.0


@every_padding
def test_matched_layer_is_passive_and_ends_at_the_model(padding):
    for axis, four in enumerate(lines(padding)):
        for a, b in (four[:2], four[2:]):
            assert a.shape == b.shape == (padding.padded_shape[axis],)
            # A recursion of b < 1 forgets; a <= 0 takes away and never more than there is.
            assert ((b > 0.0) & (b < 1.0)).all()
            assert ((a > -1.0) & (a <= 0.0)).all()
        lower, upper = padding.lower[axis], padding.lower[axis] + padding.shape[axis]
        a, _, half, _ = four
        assert not a[lower:upper].any()
        # Half a cell beyond the last cell lies in the layer.
        assert not half[lower : upper - 1].any()
        assert (np.diff(a[upper:]) < 0.0).all()
        assert (half[upper - 1 :] < 0.0).all()


def test_matched_layer_is_the_same_on_both_sides():
    for a, _, half, _ in lines(PADDINGS["all sides"]):
        assert np.allclose(a, a[::-1], rtol=1e-13)
        # What lies half a cell after a cell is half a cell before the next.
        assert np.allclose(half[:-1], half[:-1][::-1], rtol=1e-10)


def test_matched_layer_leaves_a_free_surface_alone():
    padding = PADDINGS["free surface"]
    a, _, half, _ = lines(padding)[1]
    assert not a[: padding.mirror + 20].any()
    assert not half[: padding.mirror + 19].any()
    assert a[-1] < -0.1


def test_matched_layer_scales_with_the_step():
    # b is an exponential: one step of 2 ms forgets what two of 1 ms do.
    for once, twice in zip(
        lines(PADDINGS["all sides"], 2e-3), lines(PADDINGS["all sides"], 1e-3), strict=True
    ):
        assert np.allclose(once[1], twice[1] ** 2, rtol=1e-12)


NT, DT = 560, 1.5e-3


@functools.cache
def records(boundary, cells, frame=0):
    """A shot in a heterogeneous model, embedded in ``frame`` more cells that go on as its edges do."""
    rng = np.random.default_rng(5)
    x, z = np.meshgrid(np.linspace(0, 1, 48), np.linspace(0, 1, 44), indexing="ij")
    vp = 1700.0 + 900.0 * z + 150.0 * np.sin(9.0 * x + 7.0 * z) + 200.0 * (z + 0.2 * x > 0.6)
    vp += rng.uniform(-40.0, 40.0, vp.shape)
    model = EarthModel(
        np.pad(vp, frame, mode="edge"),
        (12.5, 12.5),
        origin=(-12.5 * frame,) * 2,
        boundary=boundary,
        nbl=cells,
        dtype="float64",
    )
    survey = Acquisition(
        [[200.0, 25.0]], np.column_stack([np.arange(48) * 12.5, np.full(48, 25.0)]), dt=DT, nt=NT
    )
    return ForwardOperator(model, survey).forward(ricker(15.0, DT, NT))


def false_energy(boundary, cells):
    """Share of the late half of the record that is not in an unbounded model's."""
    # 0.84 s at up to 3000 m/s: 100 cells to the frame's edge and back.
    reference = records("matched", 0, 110)[:, NT // 2 :]
    return np.linalg.norm(records(boundary, cells)[:, NT // 2 :] - reference) / np.linalg.norm(reference)


def test_twelve_matched_cells_leave_little():
    assert false_energy("matched", 12) < 2e-3


def test_a_sponge_of_forty_cells_leaves_more():
    # So the test above can fail.
    assert false_energy("sponge", 40) > 1e-2


def test_no_layer_leaves_most():
    assert false_energy("matched", 0) > 0.5


@pytest.mark.slow
def test_more_matched_cells_leave_less():
    assert false_energy("matched", 16) < false_energy("matched", 12) < false_energy("matched", 8)


def test_more_cells_of_a_sponge_leave_less():
    assert false_energy("sponge", 60) < false_energy("sponge", 40) < false_energy("sponge", 20)


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["matched", "sponge"])
def test_layers_stay_stable(boundary):
    model = EarthModel(
        np.random.default_rng(1).uniform(1500.0, 4500.0, (24, 20)),
        (10.0, 10.0),
        boundary=boundary,
        space_order=4,
    )
    survey = Acquisition([[100.0, 50.0]], [[150.0, 60.0]], dt=1e-3, nt=20_000)
    # A wavelet: a spike also fires waves of two cells' length, which no longer move on the grid and stay.
    F = ForwardOperator(model, survey, numerics=Numerics(correct_dispersion=False))
    record = np.abs(F.forward(ricker(10.0, 1e-3, 20_000)[None])[0, :, 0])
    assert record[-1000:].max() < 1e-4 * record.max()
    assert record[-1000:].max() <= record[-5000:-1000].max()
