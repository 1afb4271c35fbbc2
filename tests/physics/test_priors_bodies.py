"""Bodies in the section: salt with its flanks, channels, and water on top."""

from typing import Any

import numpy as np
import pytest
import scipy.ndimage

from physics.config import ChannelPriorConfig, LayeredPriorConfig, SaltPriorConfig, WaterConfig
from physics.priors import ChannelPrior, LayeredPrior, SaltPrior, WaterPrior
from physics.priors.channels import _meander

SHAPE, SPACING = (64, 48), (12.5, 10.0)
SHAPE_3D, SPACING_3D = (28, 24, 20), (25.0, 25.0, 20.0)


def draws(prior: Any, count: int) -> list[np.ndarray]:
    return [prior.draw(np.random.default_rng(seed)).astype(np.float64) for seed in range(count)]


# --- Salt -----------------------------------------------------------------------------------------


def salt(**settings: Any) -> SaltPrior:
    config = SaltPriorConfig(
        **{"bodies": (1, 1), "width": (0.3, 0.4), "salt_velocity": (4500.0, 4500.0), **settings}
    )
    return SaltPrior(config, shape=SHAPE, spacing=SPACING)


def test_salt_has_one_velocity_and_sediments_their_gradient() -> None:
    prior = salt(layering=0.0, upturn=0.0, surface_velocity=(1700.0, 1700.0), gradient=(0.8, 0.8))
    z = np.arange(SHAPE[1]) * SPACING[1]
    for vp in draws(prior, 10):
        assert np.isclose(vp, 4500.0).mean() > 0.02
        sediments = vp[:, 0] < 4000.0
        # Layers of 30 to 120 m are homogeneous: half of the thickest one times the gradient is 48 m/s.
        away = np.abs(vp - (1700.0 + 0.8 * z)) < 50.0
        assert np.mean(away | np.isclose(vp, 4500.0)) > 0.85
        assert sediments.all()


def test_overhangs_hide_sediments_below_salt() -> None:
    hidden = {}
    for overhang in (0.0, 0.6):
        prior = salt(overhang=(overhang, overhang), subsalt=0.0, roughness=0.0)
        covered = []
        for vp in draws(prior, 30):
            inside = vp > 4400.0
            below = np.maximum.accumulate(inside, axis=1) & ~inside & (vp < 4000.0)
            covered.append(below.sum() / inside.sum())
        hidden[overhang] = np.median(covered)
    assert hidden[0.6] > 2.0 * hidden[0.0] > 0.0


def test_subsalt_puts_sediments_below_a_base_and_else_salt_reaches_the_bottom() -> None:
    with_base, without = draws(salt(subsalt=1.0), 20), draws(salt(subsalt=0.0), 20)
    assert all((vp[:, -1] < 4400.0).all() for vp in with_base)
    # A leaning body may leave the section at its side.
    assert np.mean([(vp[:, -1] > 4400.0).any() for vp in without]) > 0.7


def test_salt_in_3d_is_a_closed_body_with_round_horizontal_cuts() -> None:
    config = SaltPriorConfig(bodies=(1, 1), subsalt=1.0, top=(0.2, 0.3), width=(0.3, 0.4))
    prior = SaltPrior(config, shape=SHAPE_3D, spacing=SPACING_3D)
    for vp in draws(prior, 8):
        inside = vp > 4300.0
        _, bodies = scipy.ndimage.label(inside)
        assert bodies == 1
        areas = inside.sum(axis=(0, 1))
        filled = [scipy.ndimage.binary_fill_holes(inside[..., k]).sum() for k in range(SHAPE_3D[2])]
        np.testing.assert_array_equal(areas, filled)


# --- Channels -------------------------------------------------------------------------------------


def fills(shape: tuple[int, ...], spacing: tuple[float, ...], seed: int, **settings: Any) -> np.ndarray:
    """Where channels are: the relative change of velocity against the same draw with no contrast."""
    settings = {"channels": (1, 1), "slower": 1.0, **settings}
    both = []
    for contrast in (1e-9, 0.3):
        config = ChannelPriorConfig(contrast=(contrast, contrast), **settings)
        both.append(ChannelPrior(config, shape=shape, spacing=spacing).draw(np.random.default_rng(seed)))
    return both[1] / both[0] - 1.0


@pytest.mark.parametrize("seed", range(8))
def test_a_section_cuts_lenses_of_the_stated_thickness_and_contrast(seed: int) -> None:
    change = fills(SHAPE, SPACING, seed, relief=0.0, depth=(40.0, 40.0), width=(150.0, 150.0))
    assert change.max() <= 1e-6
    # Against its own velocity, as one fill: the beds around it are layered by some 6 %.
    assert -0.31 < change.min() < -0.25
    thickness = (change < -1e-3).sum(axis=1)
    # 40 m are 4 cells, and a fifth where it starts and ends within one.
    assert 4 <= thickness.max() <= 5
    top = np.argmax(change < -1e-3, axis=1)[thickness > 0]
    assert np.ptp(top) == 0


def test_a_meander_is_cut_several_times_by_one_section() -> None:
    settings = {"turn": (90.0, 100.0), "wavelength": (200.0, 250.0), "width": (60.0, 60.0), "relief": 0.0}
    lenses = [
        scipy.ndimage.label((fills(SHAPE, SPACING, seed, **settings) < -1e-3).any(axis=1))[1]
        for seed in range(20)
    ]
    assert min(lenses) >= 1
    assert np.mean(np.array(lenses) > 1) > 0.3


def test_a_channel_in_3d_is_a_ribbon_through_the_model() -> None:
    for seed in range(8):
        change = fills(SHAPE_3D, SPACING_3D, seed, depth=(60.0, 60.0), width=(150.0, 150.0))
        mapped = (change < -1e-2).any(axis=2)
        edge = np.concatenate([mapped[0], mapped[-1], mapped[:, 0], mapped[:, -1]])
        assert edge.any()
        # A straight ribbon of 150 m across 600 by 700 m fills a fifth; meanders fill more, corners less.
        assert 0.03 < mapped.mean() < 0.8


def test_meanders_have_their_wavelength_and_turn() -> None:
    chords = []
    for seed in range(20):
        line = _meander(np.random.default_rng(seed), wavelength=400.0, turn=1.4, reach=4000.0, step=5.0)
        np.testing.assert_allclose(np.hypot(*np.diff(line, axis=0).T), 5.0, rtol=1e-9)
        np.testing.assert_array_equal(line[len(line) // 2], 0.0)
        chord = np.hypot(*(line[-1] - line[0]))
        chords.append(chord)
        direction = (line[-1] - line[0]) / chord
        angle = np.arccos(np.clip(np.diff(line, axis=0) @ direction / 5.0, -1.0, 1.0))
        assert 1.0 < angle.max() < 1.4 * 1.2 + 0.3
    # J0(1.4) = 0.567 of the arc is progress; the turns vary from meander to meander, by 30 %, and quiet ones
    # make more progress than wild ones make less.
    np.testing.assert_allclose(np.mean(chords), 4000.0, rtol=0.2)


# --- Water ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "spacing"), [(SHAPE, SPACING), (SHAPE_3D, SPACING_3D)])
@pytest.mark.parametrize("relief", [0.0, 15.0])
def test_water_lies_on_the_same_rocks(
    shape: tuple[int, ...], spacing: tuple[float, ...], relief: float
) -> None:
    rocks = LayeredPrior(LayeredPriorConfig(velocity=(1700.0, 4500.0)), shape=shape, spacing=spacing)
    prior = WaterPrior(rocks, WaterConfig(depth=(80.0, 160.0), relief=relief, length=150.0))
    assert (prior.vmin, prior.vmax) == (1500.0, 4500.0)
    depths = []
    for seed in range(30):
        wet, dry = (p.draw(np.random.default_rng(seed)) for p in (prior, rocks))
        water = np.isclose(wet, 1500.0, rtol=1e-6)
        kept = wet == dry
        # One cell of every column may be cut by the sea floor, or end at it.
        assert np.all((~water & ~kept).sum(axis=-1) <= 1)
        # Water above, rocks below: no column goes back.
        assert np.all(np.diff(water.astype(int), axis=-1) <= 0)
        floor = (water.sum(axis=-1) - 0.5 + 0.5 * (~water & ~kept).any(axis=-1)) * spacing[-1]
        assert (np.ptp(water.sum(axis=-1)) > 0) == (relief > 0.0)
        depths.append(floor.mean())
    # Mean depths between 80 and 160 m: half a cell at either end, and three deviations of rough floors.
    assert 80.0 - 10.0 - 3.0 * relief < min(depths) < max(depths) < 160.0 + 10.0 + 3.0 * relief
    assert max(depths) - min(depths) > 40.0


def test_the_cut_cell_keeps_its_travel_time() -> None:
    rocks = LayeredPrior(LayeredPriorConfig(), shape=SHAPE, spacing=SPACING)
    prior = WaterPrior(rocks, WaterConfig(depth=(123.0, 123.0)))
    wet, dry = (p.draw(np.random.default_rng(0)).astype(np.float64) for p in (prior, rocks))
    # The sea floor at 123 m lies in the cell from 115 to 125 m: 8 m of water, 2 m of rock.
    np.testing.assert_allclose(10.0 / wet[:, 12], 8.0 / 1500.0 + 2.0 / dry[:, 12], rtol=1e-6)
    np.testing.assert_allclose(wet[:, :12], 1500.0, rtol=1e-6)
    np.testing.assert_array_equal(wet[:, 13:], dry[:, 13:])


def test_water_that_reaches_the_bottom_is_refused() -> None:
    rocks = LayeredPrior(LayeredPriorConfig(), shape=SHAPE, spacing=SPACING)
    with pytest.raises(
        ValueError, match=r"bottom of the model at 480 m, got water.depth up to 400 m with a relief of 30"
    ):
        WaterPrior(rocks, WaterConfig(depth=(100.0, 400.0), relief=30.0))
