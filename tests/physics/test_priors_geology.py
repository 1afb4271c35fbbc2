"""Layered geology: strata and faults, cells cut by a body, layers, families after OpenFWI."""

from typing import Any

import numpy as np
import pytest

from physics.config import LayeredPriorConfig, OpenFWIPriorConfig
from physics.priors import LayeredPrior, OpenFWIPrior
from physics.priors.grid import Grid
from physics.priors.strata import Fault, Stack

SHAPE, SPACING = (64, 48), (12.5, 10.0)
SHAPE_3D, SPACING_3D = (28, 24, 20), (25.0, 25.0, 20.0)


def draws(prior: Any, count: int) -> list[np.ndarray]:
    return [prior.draw(np.random.default_rng(seed)).astype(np.float64) for seed in range(count)]


# --- Strata, faults, cells ------------------------------------------------------------------------


def test_a_stack_keeps_the_travel_time_of_every_cell() -> None:
    stack = Stack.without_end(np.array([33.0, 61.0, 140.0]), np.array([1500.0, 2000.0, 3000.0, 4000.0]))
    cells = stack.mean_slowness(np.arange(20) * 10.0, 10.0)
    time = 10.0 * cells.sum()
    # The cells reach from -5 to 195 m.
    expected = 38.0 / 1500.0 + 28.0 / 2000.0 + 79.0 / 3000.0 + 55.0 / 4000.0
    np.testing.assert_allclose(time, expected, rtol=1e-9)
    np.testing.assert_allclose(1.0 / cells[[0, 19]], [1500.0, 4000.0], rtol=1e-9)
    np.testing.assert_allclose(
        1.0 / stack.mean_slowness(np.array([-1e4, 1e5]), 10.0), [1500.0, 4000.0], rtol=1e-9
    )


@pytest.mark.parametrize("facing", [(1.0,), (-1.0,), (0.6, 0.8)])
def test_a_fault_moves_the_hanging_wall_by_its_throw(facing: tuple[float, ...]) -> None:
    dip, throw = np.deg2rad(60.0), 40.0
    point = (*[500.0] * len(facing), 300.0)
    fault = Fault(facing=facing, point=point, dip=dip, throw=throw, reach=np.inf)
    hanging = tuple(np.array([500.0 + 200.0 * n]) for n in facing)
    foot = tuple(np.array([500.0 - 200.0 * n]) for n in facing)
    z = np.array([300.0])
    np.testing.assert_array_equal(np.stack(fault.undo((*foot, z), 10.0)), np.stack((*foot, z)))
    *across, deep = fault.undo((*hanging, z), 10.0)
    np.testing.assert_allclose(deep, z - throw)
    for before, now, n in zip(across, hanging, facing, strict=True):
        np.testing.assert_allclose(before, now - n * throw / np.tan(dip))


@pytest.mark.parametrize(("shape", "spacing"), [((60, 40), (5.0, 8.0)), ((40, 30, 25), (8.0, 10.0, 12.0))])
def test_the_share_of_cells_inside_a_ball_adds_up_to_its_volume(
    shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    grid = Grid(shape, spacing)
    centre = [0.5 * side for side in grid.extent]
    distance = np.sqrt(sum((x - c) ** 2 for x, c in zip(grid.points, centre, strict=True)))
    volume = grid.share_inside(100.0 - distance).sum() * np.prod(spacing)
    expected = np.pi * 100.0**2 if grid.ndim == 2 else 4.0 / 3.0 * np.pi * 100.0**3
    # The surface bends within a cell: an error of the order of (cell / radius)^2.
    np.testing.assert_allclose(volume, expected, rtol=1e-2)


# --- Layered --------------------------------------------------------------------------------------


def test_layers_without_relief_dip_or_faults_are_flat() -> None:
    config = LayeredPriorConfig(faults=0, relief=0.0, dip=0.0, velocity=(1500.0, 4500.0))
    for shape, spacing in ((SHAPE, SPACING), (SHAPE_3D, SPACING_3D)):
        across = tuple(range(len(shape) - 1))
        prior = LayeredPrior(config, shape=shape, spacing=spacing)
        flat = [np.ptp(vp, axis=across).max() / vp.mean() for vp in draws(prior, 9)]
        # What is left is the gentle lateral change of 2 %: some five deviations, or a bed at a limit.
        assert np.median(flat) < 0.15


def test_layers_in_3d_dip_and_fault_in_every_azimuth() -> None:
    config = LayeredPriorConfig(faults=0, relief=0.0, dip=30.0, thickness=(60.0, 90.0))
    prior = LayeredPrior(config, shape=SHAPE_3D, spacing=SPACING_3D)
    slopes = [[np.abs(np.diff(vp, axis=axis)).mean() for axis in (0, 1)] for vp in draws(prior, 40)]
    ratio = np.log(np.array(slopes)[:, 0] / np.array(slopes)[:, 1])
    # Neither x nor y is preferred, and both extremes occur.
    assert abs(np.median(ratio)) < 0.5
    assert ratio.min() < -0.7
    assert ratio.max() > 0.7


# --- Families after OpenFWI -----------------------------------------------------------------------


def openfwi(kind: str, **settings: Any) -> OpenFWIPrior:
    return OpenFWIPrior(OpenFWIPriorConfig(kind=kind, **settings), shape=SHAPE, spacing=SPACING)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["flat-vel", "curve-vel", "flat-fault", "curve-fault"])
def test_version_a_increases_with_depth_and_b_comes_in_random_order(form: str) -> None:
    settings = {"throw": (0.02, 0.05)}
    falls = [
        [np.diff(vp, axis=-1).min() < -50.0 for vp in draws(openfwi(f"{form}-{version}", **settings), 20)]
        for version in "ab"
    ]
    if "vel" in form:
        assert not any(falls[0])
    # Of 3 to 7 layers in random order, at most one in six is in the order of depth.
    assert np.mean(falls[1]) > 0.7


def test_versions_share_their_velocities_and_interfaces() -> None:
    for a, b in zip(draws(openfwi("flat-vel-a"), 10), draws(openfwi("flat-vel-b"), 10), strict=True):
        # Cells that an interface cuts hold averages of their own; all layers are thicker than a cell.
        whole = [set(np.round(v[0][np.isclose(v[0], np.roll(v[0], 1))], 1)) for v in (a, b)]
        assert whole[0] == whole[1]


def test_the_number_of_layers_covers_its_range_with_steps_between_them() -> None:
    counts = []
    for vp in draws(openfwi("flat-vel-a", layers=(3, 7)), 60):
        levels = np.unique(np.round(vp[0][np.isclose(vp[0], np.roll(vp[0], 1))], 1))
        counts.append(levels.size)
        # Steps are at least 0.4 of equal ones: 3000 m/s over up to 8 steps.
        assert np.diff(levels).min() > 0.4 * 3000.0 / 8 - 1.0
    assert set(counts) == {3, 4, 5, 6, 7}


def test_flat_is_flat_curves_bend_and_faults_break() -> None:
    flat, curve, broken = (draws(openfwi(kind), 10) for kind in ("flat-vel-a", "curve-vel-a", "flat-fault-a"))
    assert all(np.ptp(vp, axis=0).max() == 0.0 for vp in flat)
    assert all(np.ptp(vp, axis=0).max() > 100.0 for vp in curve)
    for vp in broken:
        # Most neighbouring columns are alike, as nothing bends; where they are not, a fault passes.
        changed = np.abs(np.diff(vp, axis=0)).max(axis=1) > 1.0
        assert changed.any()
        still = np.abs(np.diff(vp, axis=0)).max(axis=0)
        assert np.mean(np.abs(np.diff(vp, axis=0)) > 1.0) < 0.15
        assert still.max() > 100.0
