"""Varying density: scaling, the reflection of an interface, and agreement with the constant one."""

import numpy as np
import pytest

from physics.errors import NonFiniteError, PhysicsError, UnitError
from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.wavelets import ricker

SPACING, DT, NT, F0 = (12.5, 10.0), 2e-3, 201, 12.0
SOURCE, RECEIVERS = (400.3, 151.0), [(301.0, 103.0), (523.0, 197.0), (404.0, 242.0)]


def relative(error, reference):
    return np.linalg.norm(error) / np.linalg.norm(reference)


def rough(rho, **options):
    """A small model of rough velocities and one density, and its survey."""
    shape = (50, 40)
    vp = np.random.default_rng(0).uniform(1800.0, 2400.0, shape)
    model = EarthModel(vp, SPACING, rho=np.full(shape, rho), nbl=6, space_order=4, dtype="float64", **options)
    return model, Acquisition([SOURCE], RECEIVERS, DT, NT)


def test_another_density_scales_the_records():
    # b m u_tt - b lap u = s: the pressure of the same source is proportional to the density.
    water, dense = (ForwardOperator(*rough(rho)).forward(ricker(F0, DT, NT)) for rho in (1000.0, 2345.0))
    assert relative(dense - 2.345 * water, dense) < 1e-12


def test_another_density_scales_born_records_and_images():
    # b dm u_tt scatters with the wave that is 1 / b of the other, and so does what it fires.
    water, dense = (BornOperator(*rough(rho), wavelet=ricker(F0, DT, NT)) for rho in (1000.0, 2345.0))
    rng = np.random.default_rng(2)
    dm, d = rng.standard_normal(water.domain_shape), rng.standard_normal(water.range_shape)
    expected, image = 2.345 * water.forward(dm), 2.345 * water.adjoint(d)
    assert relative(dense.forward(dm) - expected, expected) < 1e-12
    assert relative(dense.adjoint(d) - image, image) < 1e-12


WIDE = (201, 202)
"""Cells around an interface in the middle; waves do not come back from the edges within the record."""
MIDDLE = 1005.0


def wide(rho, source, space_order):
    receivers = [(1000.0, 800.0), (900.0, 900.0), (1120.0, 960.0), (1000.0, 1040.0), (1030.0, 1120.0)]
    model = EarthModel(
        np.full(WIDE, 2000.0), (10.0, 10.0), rho=rho, nbl=0, space_order=space_order, dtype="float64"
    )
    # Signatures (nsrc, nt), not a wavelet, are not held to what a grid of order 2 can carry over a distance.
    survey = Acquisition([source], receivers, DT, NT)
    below = np.array([z > MIDDLE for _, z in receivers])
    return ForwardOperator(model, survey).forward(ricker(F0, DT, NT)[None])[0], below


def test_the_density_of_water_is_that_of_the_constant_equation():
    source = (1000.0, 850.0)
    varying, constant = (wide(rho, source, 8)[0] for rho in (np.full(WIDE, 1000.0), None))
    # Two discretisations of one equation: two staggered derivatives against one second derivative.
    assert 0.0 < relative(varying - constant, constant) < 2e-3


@pytest.mark.parametrize(("above", "under"), [(1000.0, 2200.0), (2500.0, 1500.0)])
@pytest.mark.parametrize(("space_order", "tolerance"), [(2, 1e-10), (8, 1e-2)])
def test_an_interface_reflects_as_its_densities_say(above, under, space_order, tolerance):
    # With equal velocities the reflection does not depend on the angle: R times the wave of a source mirrored
    # about the interface, and 1 + R of the wave that goes on. In order 2 this is exact on the grid too;
    # higher orders see the interface over some cells.
    rho = np.full(WIDE, above)
    rho[:, 101:] = under
    found, below = wide(rho, (1000.0, 850.0), space_order)
    depths = (850.0, 2.0 * MIDDLE - 850.0)
    direct, mirrored = (wide(np.full(WIDE, above), (1000.0, z), space_order)[0] for z in depths)
    reflection = (under - above) / (under + above)
    expected = np.where(below, (1.0 + reflection) * direct, direct + reflection * mirrored)
    for trace, exact in zip(found.T, expected.T, strict=True):
        assert relative(trace - exact, exact) < tolerance
    assert relative(found - direct, direct) > 0.1


def test_model_does_not_share_the_callers_densities():
    rho = np.full((24, 20), 2000.0)
    model = EarthModel(np.full((24, 20), 2000.0), SPACING, rho=rho)
    rho[0, 0] = -1.0
    assert model.rho.min() == 2000.0
    assert model.equation == "acoustic_density"
    assert np.array_equal(model.buoyancy, np.full((24, 20), 0.5))
    with pytest.raises(ValueError, match="read-only"):
        model.rho[0, 0] = 1.0
    assert np.array_equal(model.with_m(2.0 * model.m).rho, model.rho)


def density(value):
    rho = np.full((24, 20), 2000.0)
    rho[3, 4] = value
    return rho


BAD = {
    "g/cm^3": (UnitError, np.full((24, 20), 2.2), r"kg/m\^3, got a maximum of 2.2: looks like g/cm\^3"),
    "NaN": (NonFiniteError, density(np.nan), r"finite rho, like vp,, got 1 of 480 .*\(3, 4\)"),
    "zero": (PhysicsError, density(0.0), r"positive densities, got a minimum of 0 kg"),
    "negative": (PhysicsError, density(-5.0), r"positive densities, got a minimum of -5 kg"),
    "shape": (PhysicsError, np.full((20, 24), 2000.0), r"rho, like vp, of shape \(24, 20\), got \(20, 24\)"),
}


@pytest.mark.parametrize(("error", "rho", "message"), BAD.values(), ids=BAD.keys())
def test_bad_densities_are_refused(error, rho, message):
    with pytest.raises(error, match=message):
        EarthModel(np.full((24, 20), 2000.0), SPACING, rho=rho)
