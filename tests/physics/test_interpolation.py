"""Footprints: what a position between the cells reads, and what it leaves out."""

import numpy as np
import pytest

from physics.interpolation import REACH, footprints, kernel

SHAPE = (30, 26)
both = pytest.mark.parametrize("kind", ["linear", "sinc"])
inside = np.random.default_rng(0).uniform(6.0, 19.0, (40, 2))


def read(feet, field):
    """The field at the positions, by the sum over the cells of each footprint."""
    values = []
    for corner, weights in zip(feet.corners, feet.weights, strict=True):
        cells = field[tuple(slice(c, c + weights.shape[1]) for c in corner)]
        for weight in weights:
            cells = np.tensordot(weight, cells, axes=1)
        values.append(float(cells))
    return np.array(values)


def plane_wave(wavenumber, angle):
    """A function of position [cells]."""
    direction = wavenumber * np.array([np.cos(angle), np.sin(angle)])
    return lambda x: np.cos(x @ direction + 0.7)


def grid(shape=SHAPE):
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)


@both
def test_a_position_on_a_cell_touches_that_cell_alone(kind):
    # Also one that is on it up to the rounding of a product with the spacing.
    cells = np.array([[7, 9], [0, 0], [29, 25], [0, 25], [28, 1]])
    feet = footprints(cells + 1e-9, SHAPE, kind=kind, mirror=0)
    field = np.random.default_rng(1).standard_normal(SHAPE)
    # The sinc of a whole number is a rounding error of pi: 1e-17.
    assert np.allclose(read(feet, field), field[tuple(cells.T)], rtol=0.0, atol=1e-15)
    assert np.array_equal(np.sort(feet.weights, axis=2)[..., -1], np.ones(cells.shape))
    assert np.abs(np.sort(feet.weights, axis=2)[..., :-1]).max() < 1e-16


# Largest error for a plane wave of unit amplitude with so many points a wavelength: linear interpolation
# lowers it by up to 1 - cos(k / 2) along each axis; the sinc is meant for 4 cells a wavelength and more.
@pytest.mark.parametrize(
    ("points", "linear", "sinc"), [(4.0, 0.6, 4e-3), (6.0, 0.3, 3e-3), (10.0, 0.1, 3e-3)]
)
def test_the_sinc_reads_plane_waves_that_linear_interpolation_lowers(points, linear, sinc):
    worst = {"linear": 0.0, "sinc": 0.0}
    for angle in np.linspace(0.0, np.pi, 9):
        wave = plane_wave(2.0 * np.pi / points, angle)
        for kind in worst:
            feet = footprints(inside, SHAPE, kind=kind, mirror=0)
            worst[kind] = max(worst[kind], np.abs(read(feet, wave(grid())) - wave(inside)).max())
    assert worst["sinc"] < sinc
    assert 10.0 * sinc < worst["linear"] < linear


def test_linear_interpolation_is_exact_for_planes():
    feet = footprints(inside, SHAPE, kind="linear", mirror=0)
    assert np.allclose(read(feet, grid() @ [2.0, -3.0] + 1.0), inside @ [2.0, -3.0] + 1.0, rtol=1e-13)


@both
def test_three_dimensions(kind):
    positions = np.random.default_rng(2).uniform(5.0, 9.0, (6, 3))
    x = np.arange(15)
    field = np.cos(0.5 * x)[:, None, None] * np.sin(0.4 * x + 1.0)[:, None] * np.cos(0.3 * x)
    expected = (
        np.cos(0.5 * positions[:, 0]) * np.sin(0.4 * positions[:, 1] + 1.0) * np.cos(0.3 * positions[:, 2])
    )
    error = np.abs(read(footprints(positions, (15,) * 3, kind=kind, mirror=0), field) - expected).max()
    assert error < {"linear": 0.08, "sinc": 3e-3}[kind]


@both
@pytest.mark.parametrize("mirror", [4, 7])
def test_near_a_free_surface_a_field_is_odd(kind, mirror):
    # Cells above hold nothing that may be read: the field below counts, continued with the other sign.
    depth = np.arange(SHAPE[1]) - mirror
    field = np.sin(0.4 * np.arange(SHAPE[0]))[:, None] * np.sin(0.5 * depth)
    poisoned = field.copy()
    poisoned[:, :mirror] = np.nan
    positions = np.column_stack([np.full(9, 11.3), mirror + np.linspace(0.1, 4.5, 9)])
    feet = footprints(positions, SHAPE, kind=kind, mirror=mirror)
    free = footprints(positions, SHAPE, kind=kind, mirror=0)
    assert np.allclose(read(feet, poisoned), read(free, field), rtol=0.0, atol=1e-15)


@both
def test_cells_outside_the_grid_hold_zeros(kind):
    # The same field in a larger grid of zeros.
    positions = np.array([[0.3, 0.4], [28.9, 24.6], [1.5, 24.2], [0.0, 12.5], [29.0, 0.5]])
    field = np.random.default_rng(3).standard_normal(SHAPE)
    wide = np.pad(field, 10)
    wider = footprints(positions + 10.0, wide.shape, kind=kind, mirror=0)
    feet = footprints(positions, SHAPE, kind=kind, mirror=0)
    assert np.allclose(read(feet, field), read(wider, wide), rtol=0.0, atol=1e-14)
    assert (feet.corners >= 0).all()
    assert (feet.corners + 2 * REACH[kind] <= SHAPE).all()


def test_auto_takes_the_sinc_but_for_positions_on_cells():
    on, off = np.array([[3.0, 4.0], [5.0 + 1e-9, 6.0]]), np.array([[3.0, 4.0], [5.0, 6.1]])
    assert kernel("auto", on) == "linear"
    assert kernel("auto", off) == "sinc"
    assert kernel("linear", off) == "linear"
    assert kernel("sinc", on) == "sinc"
