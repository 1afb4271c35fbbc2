"""A plan carries every model of its range, and says when a model is not of it."""

from dataclasses import replace

import numpy as np
import pytest

from physics.accuracy import points_per_wavelength, stable_time_step
from physics.errors import DispersionError, PhysicsError, StabilityError, UnitError
from physics.geometry import Acquisition
from physics.linear import BornOperator
from physics.plan import Plan
from physics.wavelets import ricker

DT, NT = 0.004, 126
WAVELET = ricker(12.0, DT, NT)


def plan(velocity=(1500.0, 4500.0), spacing=(12.5, 10.0), wavelet=WAVELET, **options):
    return Plan.for_prior(velocity, spacing, wavelet=wavelet, dt=DT, **options)


def test_the_step_is_the_longest_stable_share_of_the_sampling():
    made = plan()
    limit = stable_time_step(made.space_order, made.spacing, 4500.0)
    assert made.computing_dt <= limit < DT / (made.steps_per_sample - 1)
    assert made.computing_dt * made.steps_per_sample == pytest.approx(DT, rel=1e-15)


@pytest.mark.parametrize(("slowest", "order"), [(3500.0, 4), (1200.0, 6), (900.0, 8)])
def test_the_order_is_the_lowest_that_carries_the_wavelet(slowest, order):
    made = plan((slowest, 4500.0))
    points = slowest / (12.5 * made.frequencies[1])
    assert made.space_order == order
    assert points >= points_per_wavelength(order)


def test_the_kept_wavefield_does_not_alias_and_a_rarer_one_would():
    made = plan()
    nyquist = 0.5 / (made.subsample * made.computing_dt)
    assert nyquist >= made.frequencies[2]
    assert 0.5 / ((made.subsample + 1) * made.computing_dt) < made.frequencies[2]


def test_the_frequencies_are_those_of_the_wavelet():
    peak, bulk, highest = plan().frequencies
    assert peak == pytest.approx(12.0, rel=0.05)
    # Of a Ricker wavelet, 90 % of the energy lies below 1.5 f0 and all but a millionth below 3 f0.
    assert bulk == pytest.approx(18.0, rel=0.05)
    assert highest == pytest.approx(36.0, rel=0.05)


def test_all_models_of_a_plan_share_their_setting_and_their_steps():
    made, rng = plan(), np.random.default_rng(0)
    survey = Acquisition([[60.0, 20.0]], [[10.0, 20.0], [160.0, 20.0]], DT, NT)
    operators = [
        BornOperator(
            made.earth_model(rng.uniform(1500.0, top, (20, 18))),
            survey,
            wavelet=WAVELET,
            numerics=made.numerics,
        )
        for top in (1600.0, 4500.0)
    ]
    runners = {id(op._runner()) for op in operators}
    assert len(runners) == 1
    for op in operators:
        assert np.isfinite(op.forward(np.full(op.domain_shape, 1e-9))).all()


def test_a_model_outside_the_range_is_refused():
    with pytest.raises(StabilityError, match=r"plan's 1500 to 4500 m/s, got 2000 to 5000 m/s: make the plan"):
        plan().earth_model(np.linspace(2000.0, 5000.0, 400).reshape(20, 20))
    with pytest.raises(StabilityError, match="got 1400 to 1400 m/s"):
        plan().earth_model(np.full((20, 20), 1400.0))


def test_the_report_says_what_was_decided_and_what_it_costs():
    made = plan()
    text = made.report((64, 64), NT)
    for words in (
        "space order",
        f"{made.subsample} steps",
        f"matched, {made.nbl} cells",
        "1500 to 4500 m/s",
        "MB",
    ):
        assert words in text
    assert "memory" not in made.report()
    assert (
        made.memory((128, 64), NT)
        > made.memory((64, 64), NT)
        > replace(made, subsample=100).memory((64, 64), NT)
    )


BAD = {
    "km/s": (UnitError, {"velocity": (1.5, 4.5)}, "looks like km/s"),
    "reversed": (PhysicsError, {"velocity": (4500.0, 1500.0)}, r"range of velocities \(min, max\)"),
    "too coarse": (DispersionError, {"velocity": (400.0, 4500.0)}, "for space order 16"),
    "onset": (PhysicsError, {"wavelet": ricker(12.0, DT, NT, delay=0.03)}, "starts at zero"),
}


@pytest.mark.parametrize(("error", "options", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused(error, options, message):
    with pytest.raises(error, match=message):
        plan(**options)
