"""Earth models, and what is refused before anything is modelled."""

from dataclasses import replace

import numpy as np
import pytest

from physics.accuracy import points_per_wavelength, second_derivative_weights, stable_time_step
from physics.errors import (
    DispersionError,
    GeometryError,
    NonFiniteError,
    PhysicsError,
    StabilityError,
    UnitError,
)
from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.modelling import Modelling, Numerics
from physics.propagators import Medium
from physics.wavelets import ricker


def model(velocity=2000.0, shape=(24, 20), spacing=(10.0, 10.0), **options):
    return EarthModel(vp=np.full(shape, velocity), spacing=spacing, **options)


def survey(dt=1e-3, nt=200, sources=((50.0, 20.0),), receivers=((10.0, 10.0), (120.0, 10.0))):
    return Acquisition(sources=np.array(sources), receivers=np.array(receivers), dt=dt, nt=nt)


def test_quantities_of_a_model():
    vp = np.linspace(1500.0, 2500.0, 24 * 20).reshape(24, 20)
    earth = EarthModel(vp=vp, spacing=(10.0, 5.0), origin=(100.0, -5.0), nbl=7)
    assert (earth.vmin, earth.vmax) == (1500.0, 2500.0)
    assert earth.shape == (24, 20)
    assert earth.extent == (230.0, 95.0)
    assert earth.upper == (330.0, 90.0)
    assert earth.padding.padded_shape == (38, 34)
    assert np.allclose(earth.m * vp**2, 1.0, rtol=1e-15)


def test_model_does_not_share_or_change_the_callers_array():
    vp = np.full((12, 12), 2000.0)
    earth = EarthModel(vp=vp, spacing=(10.0, 10.0))
    vp[0, 0] = 0.0
    assert earth.vmin == 2000.0
    with pytest.raises(ValueError, match="read-only"):
        earth.vp[0, 0] = 1.0


def test_with_m_keeps_the_setting():
    earth = model(origin=(5.0, 6.0), nbl=9, space_order=4, dtype="float64")
    other = earth.with_m(2.0 * earth.m)
    assert np.allclose(other.m, 2.0 * earth.m, rtol=1e-14)
    assert (other.origin, other.nbl, other.space_order, other.dtype) == ((5.0, 6.0), 9, 4, "float64")
    sponge = model(boundary="sponge", free_surface=True).with_m(earth.m)
    assert (sponge.boundary, sponge.padding.layer, sponge.free_surface) == ("sponge", 40, True)
    with pytest.raises(ValueError, match=r"expected m of shape \(24, 20\), got \(3, 3\)"):
        earth.with_m(np.ones((3, 3)))
    with pytest.raises(ValueError, match="expected finite and positive squared slowness"):
        earth.with_m(-earth.m)


# Orders of accuracy and the limits that a table in the literature gives for them: dt v / h in 2-D.
@pytest.mark.parametrize(("order", "limit"), [(2, 0.7071), (4, 0.6124), (8, 0.5546), (16, 0.5189)])
def test_stability_limit_of_the_order(order, limit):
    assert 0.99 * limit < stable_time_step(order, (1.0, 1.0), 1.0) <= limit


@pytest.mark.parametrize("order", [2, 4, 8, 12])
def test_weights_differentiate_polynomials_exactly(order):
    weights = second_derivative_weights(order)
    for power in range(0, order + 2, 2):
        value = 2.0 * sum(c * float(k) ** power for k, c in enumerate(weights[1:], 1))
        value += weights[0] * (power == 0)
        # Sums of terms up to p^(order) cancel to rounding.
        assert np.isclose(value, 2.0 * (power == 2), rtol=0, atol=1e-9 * (order / 2) ** power)


# Points a wavelength for 1 % of phase error: the same table.
@pytest.mark.parametrize(("order", "points"), [(2, 12.8), (4, 5.3), (6, 3.9), (8, 3.4), (12, 2.95)])
def test_points_per_wavelength_of_the_order(order, points):
    assert points_per_wavelength(order) == pytest.approx(points, abs=0.06)


def test_the_limit_is_where_it_blows_up():
    def largest(share):
        earth = model(dtype="float64", nbl=0, space_order=4)
        modelling = Modelling(earth, survey(dt=earth.critical_dt, nt=800), Numerics(correct_dispersion=False))
        # Past the check of the step: beta = (v dt)^2 is what the scheme sees of it.
        medium = Medium({name: share**2 * beta for name, beta in modelling.medium.coefficients.items()})
        shot = replace(modelling.shots([spike])[0], medium=medium)
        return np.abs(modelling.propagator().forward(shot)).max()

    spike = np.zeros(800)
    spike[3] = 1.0
    # The stated limit is half a percent below the exact one.
    assert largest(1.0) < 1e3
    assert largest(1.02) > 1e6


def test_a_forced_step_above_the_limit_is_refused():
    with pytest.raises(
        StabilityError, match=r"time step of at most 0\.002759 s .* 2000 m/s\), got 0\.0028 s: use"
    ):
        ForwardOperator(model(), survey(dt=2.8e-3), numerics=Numerics(steps_per_sample=1))


def test_steps_per_sample_are_the_fewest_stable_ones():
    earth = model(dtype="float64", nbl=0, space_order=4)
    for factor, steps in ((0.99, 1), (1.01, 2), (2.5, 3)):
        layout = survey(dt=factor * earth.critical_dt, nt=40)
        found = ForwardOperator(earth, layout)
        expected = ForwardOperator(earth, layout, numerics=Numerics(steps_per_sample=steps))
        q = np.random.default_rng(0).standard_normal(found.domain_shape)
        assert np.array_equal(found.forward(q), expected.forward(q))


def test_an_unforced_step_is_never_unstable():
    fast = model(6000.0, nbl=0, space_order=4, dtype="float64")
    F = ForwardOperator(fast, survey(dt=4e-3, nt=100))
    record = F.forward(ricker(20.0, 4e-3, 100))
    assert 0.0 < np.abs(record).max() < 1e3


def bad_velocity(value):
    vp = np.full((24, 20), 2000.0)
    vp[3, 4] = value
    return vp


BAD_MODELS = {
    "km/s": (UnitError, {"vp": np.full((9, 9), 2.0)}, r"m/s, got a maximum of 2: looks like km/s"),
    "NaN": (
        NonFiniteError,
        {"vp": bad_velocity(np.nan)},
        r"finite velocities, got 1 of 480 values \(first at index \(3, 4\)\) NaN or infinite",
    ),
    "infinite": (NonFiniteError, {"vp": bad_velocity(np.inf)}, "finite velocities, got 1 of 480"),
    "zero": (ValueError, {"vp": bad_velocity(0.0)}, r"positive velocities, got 1 of 480 .*\(3, 4\)\) zero"),
    "negative": (ValueError, {"vp": bad_velocity(-1500.0)}, "positive velocities, got 1 of 480"),
    "one-dimensional": (ValueError, {"vp": np.full(9, 2000.0)}, r"vp of shape \(nx, nz\) or .* got \(9,\)"),
    "spacing of another dimension": (ValueError, {"spacing": (10.0,)}, r"expected 2 positive spacings"),
    "negative spacing": (ValueError, {"spacing": (10.0, -1.0)}, r"expected 2 positive spacings"),
    "origin of another dimension": (ValueError, {"origin": (1.0, 2.0, 3.0)}, r"expected 2 finite origin"),
    "negative layer": (ValueError, {"nbl": -1}, r"nbl of at least 0 absorbing cells, got -1"),
    "odd order": (ValueError, {"space_order": 7}, r"even space_order of at least 2, got 7"),
    "half precision": (ValueError, {"dtype": "float16"}, r"dtype 'float32' or 'float64', got 'float16'"),
    "boundary": (ValueError, {"boundary": "hard"}, r"boundary 'matched' or 'sponge', got 'hard'"),
    "too few cells": (
        ValueError,
        {"vp": np.full((24, 9), 2000.0)},
        r"at least 10 cells an axis for space order 8, got a model of shape \(24, 9\)",
    ),
    "absorbing frequency": (ValueError, {"absorbing_frequency": -1.0}, r"positive absorbing_frequency in Hz"),
    "absorbing velocity": (ValueError, {"absorbing_velocity": 0.0}, r"positive absorbing_velocity"),
}


@pytest.mark.parametrize(("error", "options", "message"), BAD_MODELS.values(), ids=BAD_MODELS.keys())
def test_bad_model_is_refused(error, options, message):
    with pytest.raises(error, match=message):
        EarthModel(**({"vp": np.full((24, 20), 2000.0), "spacing": (10.0, 10.0)} | options))


def test_positions_outside_the_model_are_listed():
    outside = survey(sources=[(50.0, 20.0), (231.0, 20.0), (-3.0, 20.0)])
    with pytest.raises(
        GeometryError, match=r"sources inside the model, from \(0.0, 0.0\) to \(230.0, 190.0\) m, "
    ):
        ForwardOperator(model(), outside)
    with pytest.raises(GeometryError, match=r"got 2 of 3 outside: 1 at \(231.0, 20.0\), 2 at \(-3.0, 20.0\)"):
        BornOperator(model(), outside, wavelet=ricker(15.0, 1e-3, 200))
    with pytest.raises(GeometryError, match="receivers inside the model"):
        ForwardOperator(model(origin=(40.0, 0.0)), survey())
    with pytest.raises(GeometryError, match=r"sources of shape \(n, 2\) for a 2-D model, got \(1, 3\)"):
        ForwardOperator(model(), survey(sources=[(5.0, 5.0, 5.0)], receivers=[(5.0, 5.0, 5.0)]))
    # The corners belong to the model.
    ForwardOperator(model(), survey(sources=[(0.0, 0.0), (230.0, 190.0)]))


def test_too_coarse_a_grid_is_refused_with_the_remedy():
    coarse = model(1000.0)
    message = (
        r"at least 3.4\d grid points a wavelength for space order 8, got 1.63 .* 10 m\): use a spacing of"
    )
    with pytest.raises(DispersionError, match=message):
        BornOperator(coarse, survey(), wavelet=ricker(40.0, 1e-3, 200))
    with pytest.raises(DispersionError, match=message):
        ForwardOperator(coarse, survey()).forward(ricker(40.0, 1e-3, 200))
    # The lowest velocity of Marmousi on the demo's grid is carried.
    BornOperator(model(1028.0, spacing=(12.5, 12.5)), survey(), wavelet=ricker(15.0, 1e-3, 200))


BAD_WAVELETS = {
    "length": (ricker(15.0, 1e-3, 150), r"expected wavelet, .* of shape \(200,\), got \(150,\)"),
    "onset": (ricker(15.0, 1e-3, 200, delay=0.03), r"starts at zero .*, got 0\.\d+ at its first sample"),
    "zeros": (np.zeros(200), "not zero everywhere"),
    "NaN": (np.full(200, np.nan), "expected finite wavelet"),
    "complex": (np.ones(200, complex), "real numbers, got dtype complex128"),
}


@pytest.mark.parametrize(("wavelet", "message"), BAD_WAVELETS.values(), ids=BAD_WAVELETS.keys())
def test_bad_wavelet_is_refused(wavelet, message):
    with pytest.raises(ValueError, match=message):
        BornOperator(model(), survey(), wavelet=wavelet)
    with pytest.raises(ValueError, match=message):
        ForwardOperator(model(), survey()).forward(wavelet)


BAD_OPTIONS = {
    "subsample": ({"subsample": 0}, "subsample of at least 1 step, got 0"),
    "steps": ({"steps_per_sample": 0}, "steps_per_sample of at least 1, got 0"),
    "interpolation": ({"interpolation": "cubic"}, "interpolation 'auto', 'linear' or 'sinc', got 'cubic'"),
}


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_numerics_are_refused(options, message):
    with pytest.raises(PhysicsError, match=message):
        Numerics(**options)


def test_bad_options_of_born_modelling_are_refused():
    wavelet = ricker(15.0, 1e-3, 200)
    with pytest.raises(
        DispersionError, match=r"Nyquist .* 45 Hz, got 16.7 Hz \(every 30 .*: use subsample=11"
    ):
        BornOperator(model(), survey(), wavelet=wavelet, numerics=Numerics(subsample=30))
    with pytest.raises(PhysicsError, match="imaging 'correlation' or 'inverse_scattering', got 'dip'"):
        BornOperator(model(), survey(), wavelet=wavelet, imaging="dip")


def test_a_record_too_long_for_the_correction_of_time_dispersion_is_refused():
    long = survey(dt=1e-3, nt=30_000)
    with pytest.raises(ValueError, match=r"fits into 2 GB, got 3.6 GB for 30000 samples of 1 steps: use a"):
        ForwardOperator(model(nbl=0), long)
    ForwardOperator(model(nbl=0), long, numerics=Numerics(correct_dispersion=False))
