"""Modelling as a function of the model: gradients against finite differences, and what models it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physics.acoustic import AcousticOperator, velocity_gradient
from physics.errors import DispersionError, NonFiniteError, StabilityError, UnitError
from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.objectives import Huber, LeastSquares, StudentT, TraceCorrelation
from physics.plan import Plan
from physics.propagators import Propagator
from physics.wavelets import ricker

SHAPE, SPACING = (16, 14), (10.0, 8.0)
DT, NT = 0.001, 140
WAVELET = ricker(20.0, DT, NT)


def earth(seed=0, **options):
    vp = np.random.default_rng(seed).uniform(2000.0, 2600.0, SHAPE)
    return EarthModel(vp=vp, spacing=SPACING, **{"nbl": 6, "space_order": 4, "dtype": "float64"} | options)


ON_GRID = Acquisition(
    sources=[[30.0, 24.0], [80.0, 16.0], [120.0, 32.0]],
    receivers=[[20.0, 16.0], [70.0, 40.0], [110.0, 16.0], [140.0, 72.0]],
    dt=DT,
    nt=NT,
)
OFF_GRID = Acquisition(
    sources=[[33.0, 25.0], [81.0, 17.0]],
    receivers=[[[21.0, 18.0], [72.0, 43.0]], [[111.0, 17.0], [133.0, 71.0]]],
    dt=DT,
    nt=NT,
    live=[[True, True], [False, True]],
)


def acoustic(survey=ON_GRID, numerics=None, **options):
    return AcousticOperator(earth(**options), survey, wavelet=WAVELET, numerics=numerics)


def direction(seed=2):
    """A change of the model of 1 %."""
    return 0.01 * earth().m * np.random.default_rng(seed).standard_normal(SHAPE)


SETTINGS = {
    "constant density": acoustic,
    "density, free surface, off-grid, moving receivers, a dead trace": lambda: acoustic(
        OFF_GRID, rho=np.random.default_rng(9).uniform(1000.0, 2500.0, SHAPE), free_surface=True
    ),
}
OBJECTIVES = {
    "default": None,
    "least squares": LeastSquares(),
    "Huber": Huber(threshold=0.1),
    "Student's t": StudentT(scale=0.05, degrees=3.0),
    "correlation": TraceCorrelation(),
}


@pytest.mark.parametrize("make", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_gradient_is_the_derivative(make, objective):
    op, dm, m = make(), direction(), earth(seed=1).m
    observed = op.forward(earth(seed=3).m)
    if op.survey.live is not None:
        observed[1, :, 0] = 7.0  # A dead trace must not count, whatever stands in it.

    def value(step):
        return op.misfit(m + step * dm, observed, objective=objective).value

    gradient = op.misfit(m, observed, objective=objective).gradient
    # Richardson's extrapolation of central differences: an error of step^4 times the fifth derivative. The
    # second derivative of Huber's jumps at the threshold, so its error falls with the step only.
    steps = (0.02, 0.01)
    coarse, fine = ((value(h) - value(-h)) / (2.0 * h) for h in steps)
    expected = (4.0 * fine - coarse) / 3.0
    tolerance = 1e-4 if isinstance(objective, Huber) else 1e-7
    assert np.vdot(gradient, dm) == pytest.approx(expected, rel=tolerance)


@pytest.mark.slow
def test_gradient_is_the_derivative_in_3d():
    shape, rng = (9, 8, 7), np.random.default_rng(4)
    reference = EarthModel(
        vp=np.full(shape, 2500.0), spacing=(10.0, 8.0, 9.0), nbl=4, space_order=4, dtype="float64"
    )
    survey = Acquisition([[30.0, 24.0, 18.0]], [[50.0, 40.0, 18.0], [20.0, 32.0, 36.0]], DT, NT)
    op = AcousticOperator(reference, survey, wavelet=WAVELET)
    m, other = rng.uniform(2000.0, 2500.0, (2, *shape)) ** -2
    dm, observed = 0.01 * (m - other), op.forward(other)
    ahead, behind = (op.misfit(m + h * dm, observed).value for h in (0.1, -0.1))
    # Relative changes of some 1e-4 of the model: their square, and rounding over them.
    assert np.vdot(op.misfit(m, observed).gradient, dm) == pytest.approx((ahead - behind) / 0.2, rel=1e-5)


def test_derivative_is_born_modelling():
    op, dm, m = acoustic(), direction(), earth(seed=1).m
    d, linear = op.forward(m), op.at(m).forward(dm)
    steps = 2.0 ** -np.arange(1.0, 6.0)
    changes = [op.forward(m + h * dm) - d for h in steps]
    zeroth = [np.linalg.norm(change) for change in changes]
    first = [np.linalg.norm(change - h * linear) for h, change in zip(steps, changes, strict=True)]
    assert np.polyfit(np.log(steps), np.log(zeroth), 1)[0] == pytest.approx(1.0, abs=0.05)
    assert np.polyfit(np.log(steps), np.log(first), 1)[0] == pytest.approx(2.0, abs=0.05)


def test_least_squares_is_half_the_squared_residual_and_its_gradient_a_migration():
    op, m = acoustic(), earth(seed=1).m
    observed = op.forward(earth(seed=3).m)
    residual = op.forward(m) - observed
    value, gradient = op.misfit(m, observed)
    assert value == pytest.approx(0.5 * np.vdot(residual, residual), rel=1e-12)
    # The same sums over shots, in the same order.
    assert np.array_equal(gradient, op.gradient(m, residual))
    assert np.array_equal(gradient, op.at(m).adjoint(residual))


def test_no_residual_no_gradient():
    op = acoustic()
    value, gradient = op.misfit(earth().m, op.forward(earth().m))
    assert value == 0.0
    assert not gradient.any()


def test_modelling_is_that_of_the_linear_operators():
    op, model = acoustic(), earth(seed=1)
    modelling, born = ForwardOperator(model, ON_GRID), BornOperator(model, ON_GRID, wavelet=WAVELET)
    pairs = [
        (op.forward(model.m), modelling.forward(WAVELET)),
        (op.at(model.m).forward(direction()), born.forward(direction())),
        (op.illumination(model.m), born.illumination()),
    ]
    for actual, expected in pairs:
        # m goes through vp and back: rounding, over some hundred steps.
        assert np.linalg.norm(actual - expected) <= 1e-12 * np.linalg.norm(expected)


def test_gradient_with_respect_to_velocity():
    op, vp = acoustic(), earth(seed=1).vp
    dv = np.random.default_rng(5).standard_normal(SHAPE)
    observed = op.forward(earth(seed=3).m)
    gradient = velocity_gradient(op.misfit(vp**-2, observed).gradient, vp)
    ahead, behind = (op.misfit((vp + h * dv) ** -2, observed).value for h in (0.05, -0.05))
    # Steps of 5 cm/s: the square of a relative change of 2e-5, and rounding over it.
    assert np.vdot(gradient, dv) == pytest.approx((ahead - behind) / 0.1, rel=1e-6)


def test_misfits_of_some_shots_add_up():
    op, m = acoustic(), earth(seed=1).m
    observed = op.forward(earth(seed=3).m)
    whole = op.misfit(m, observed)
    parts = [op.misfit(m, observed, shots=[0, 2]), op.misfit(m, observed, shots=[False, True, False])]
    assert sum(part.value for part in parts) == pytest.approx(whole.value, rel=1e-12)
    total = parts[0].gradient + parts[1].gradient
    assert np.linalg.norm(total - whole.gradient) <= 1e-12 * np.linalg.norm(whole.gradient)


def test_two_propagations_a_shot(monkeypatch):
    op, m = acoustic(), earth(seed=1).m
    observed, runs = op.forward(m), []
    run = Propagator._run
    monkeypatch.setattr(
        Propagator, "_run", lambda self, kind, shot: (runs.append(kind), run(self, kind, shot))
    )
    op.misfit(m, 0.5 * observed)
    assert runs == ["forward_keep", "born_adjoint"] * ON_GRID.num_sources
    runs.clear()
    op.forward(m)
    assert runs == ["forward"] * ON_GRID.num_sources


def test_all_models_have_the_step_of_the_reference():
    slow = replace(earth(), vp=np.full(SHAPE, 2000.0))
    op = AcousticOperator(slow, replace(ON_GRID, dt=0.004, nt=35), wavelet=ricker(20.0, 0.004, 35))
    assert op.numerics.steps_per_sample == 2
    op.forward(np.full(SHAPE, 2300.0**-2))
    with pytest.raises(StabilityError, match=r"largest velocity, 3500 m/s.*at least 2 times as many steps"):
        op.forward(np.full(SHAPE, 3500.0**-2))


def test_steps_per_sample_can_be_given():
    op = acoustic(numerics=Numerics(steps_per_sample=2, correct_dispersion=False))
    assert op.at(earth().m).forward(direction()).shape == op.range_shape
    assert op.numerics.steps_per_sample == 2


def test_the_steps_of_a_plan_are_taken():
    dt, wavelet = 0.004, ricker(20.0, 0.004, 35)
    plan = Plan.for_prior((2000.0, 3500.0), SPACING, wavelet=wavelet, dt=dt)
    slow = plan.earth_model(np.full(SHAPE, 2000.0))
    op = AcousticOperator(slow, replace(ON_GRID, dt=dt, nt=35), wavelet=wavelet, numerics=plan.numerics)
    assert op.numerics == plan.numerics
    # On its own, the reference would take steps that are too long for the fastest model.
    op.at(np.full(SHAPE, 3500.0**-2))


def test_snapshots_are_what_receivers_record():
    op, m = acoustic(numerics=Numerics(correct_dispersion=False)), earth(seed=1).m
    records = op.forward(m)
    for every in (1, 6):
        snapshots, times = op.wavefield(m, 1, every)
        assert snapshots.shape == (len(times), *SHAPE)
        assert np.allclose(times, np.arange(0, NT, every) * DT)
        # Receivers on cells: the weight of the cell is 1, up to rounding of the position.
        cells = np.rint(ON_GRID.receivers / SPACING).astype(int)
        read = snapshots[:, cells[:, 0], cells[:, 1]]
        assert np.allclose(read, records[1, ::every], rtol=0.0, atol=1e-12 * np.abs(records).max())


def test_illumination_is_the_energy_of_the_snapshots():
    op, m = acoustic(), earth(seed=1).m
    energy = sum(np.square(op.wavefield(m, shot)[0]).sum(axis=0) for shot in range(ON_GRID.num_sources))
    assert np.allclose(op.illumination(m), energy, rtol=1e-12)


def test_gradient_of_a_thinned_wavefield_is_close():
    # A record that lasts until the waves have left: one cut short has no highest frequency.
    survey, wavelet = replace(ON_GRID, nt=400), ricker(20.0, DT, 400)
    exact, thin = (
        AcousticOperator(earth(), survey, wavelet=wavelet, numerics=Numerics(subsample=every))
        for every in (1, 4)
    )
    m, observed = earth(seed=1).m, exact.forward(earth(seed=3).m)
    expected = exact.misfit(m, observed)
    value, gradient = thin.misfit(m, observed)
    assert value == pytest.approx(expected.value, rel=1e-12)
    # Every 4 ms: a Nyquist frequency of 125 Hz, twice the highest of the wavelet.
    assert np.linalg.norm(gradient - expected.gradient) <= 1e-5 * np.linalg.norm(expected.gradient)


def test_single_precision_gradient():
    observed = acoustic().forward(earth(seed=3).m)
    expected = acoustic().misfit(earth(seed=1).m, observed)
    value, gradient = acoustic(dtype="float32").misfit(earth(seed=1).m, observed)
    # Rounding to 6e-8 at each of 140 steps.
    assert value == pytest.approx(expected.value, rel=1e-4)
    assert np.linalg.norm(gradient - expected.gradient) <= 1e-4 * np.linalg.norm(expected.gradient)
    assert gradient.dtype == np.float32


def with_value(value):
    m = earth().m.copy()
    m[2, 3] = value
    return m


BAD_MODELS = {
    "shape": (earth().m[1:], ValueError, r"squared slowness m of shape \(16, 14\), got \(15, 14\)"),
    "axes": (earth().m.T, ValueError, r"squared slowness m of shape \(16, 14\), got \(14, 16\)"),
    "NaN": (with_value(np.nan), NonFiniteError, r"finite squared slowness m, got 1 of 224 .*\(2, 3\)"),
    "sign": (with_value(-1e-7), ValueError, r"positive squared slowness m, got 1 of 224 zero or negative"),
    "velocity": (earth().vp, UnitError, r"s\^2/m\^2, got a minimum of 20\d\d: looks like a velocity"),
    "km/s": (1e6 * earth().m, UnitError, r"velocities in m/s, got a maximum of 2\.\d+: looks like km/s"),
    "fast": (with_value(9000.0**-2), StabilityError, r"largest velocity, 9000 m/s"),
    "slow": (with_value(900.0**-2), DispersionError, r"grid points a wavelength .* \(900 m/s at"),
}


@pytest.mark.parametrize(("m", "error", "message"), BAD_MODELS.values(), ids=BAD_MODELS.keys())
@pytest.mark.parametrize("method", ["forward", "misfit", "gradient", "at", "wavefield", "illumination"])
def test_every_model_is_checked(method, m, error, message):
    op = acoustic()
    arguments = {
        "misfit": (np.zeros(op.range_shape),),
        "gradient": (np.zeros(op.range_shape),),
        "wavefield": (0,),
    }
    with pytest.raises(error, match=message):
        getattr(op, method)(m, *arguments.get(method, ()))


@pytest.mark.parametrize("shots", [[3], [], [[0]], 1, [0.5], [True, False]])
def test_shots_that_are_not_there_are_refused(shots):
    op = acoustic()
    with pytest.raises(
        ValueError, match=r"expected a list of indices of shots from 0 to 2, or a mask of shape"
    ):
        op.misfit(earth().m, np.zeros(op.range_shape), shots=shots)


def test_other_bad_input():
    op, m = acoustic(), earth().m
    with pytest.raises(ValueError, match=r"observed records of shape \(3, 140, 4\), got \(3, 4, 140\)"):
        op.misfit(m, np.zeros((3, 4, 140)))
    with pytest.raises(ValueError, match=r"adjoint source of shape \(140, 4\), got \(4,\)"):
        op.misfit(m, np.zeros(op.range_shape), objective=lambda p, d: (0.0, p.sum(axis=0)))
    with pytest.raises(ValueError, match=r"snapshots every 1 or more samples, got every=0"):
        op.wavefield(m, 0, 0)
    with pytest.raises(ValueError, match=r"indices of shots from 0 to 2"):
        op.wavefield(m, 5)
    with pytest.raises(ValueError, match=r"source signatures of shape \(3, 140\), got \(140,\)"):
        op.run(m, signatures=WAVELET)
    for make in (lambda: Huber(0.0), lambda: StudentT(-1.0), lambda: StudentT(1.0, degrees=np.nan)):
        with pytest.raises(ValueError, match=r"expected a positive \w+ of .*, got (0.0|-1.0|nan)"):
            make()


def test_robust_objectives_tend_to_least_squares():
    rng = np.random.default_rng(6)
    predicted, observed = rng.standard_normal((2, 20, 3))
    expected, residual = LeastSquares()(predicted, observed)
    value, source = Huber(threshold=100.0)(predicted, observed)
    assert value == pytest.approx(expected, rel=1e-12)
    assert np.array_equal(source, residual)
    value, source = StudentT(scale=1.0, degrees=1e9)(predicted, observed)
    # log(1 + r^2 / nu) (nu + 1) / 2 = r^2 / 2 + O(r^4 / nu).
    assert value == pytest.approx(expected, rel=1e-7)
    assert np.allclose(source, residual, rtol=1e-7)


def test_an_outlier_pulls_less_the_larger_it_is():
    sources = [
        StudentT(scale=1.0)(np.array([[size]]), np.zeros((1, 1)))[1].item() for size in (1.0, 10.0, 100.0)
    ]
    assert sources[0] > sources[1] > sources[2] > 0.0
    assert Huber(threshold=2.0)(np.array([[100.0]]), np.zeros((1, 1)))[1].item() == 2.0


def test_correlation_sees_no_amplitudes_and_no_dead_traces():
    record = np.random.default_rng(7).standard_normal((30, 4))
    record[:, 2] = 0.0
    value, source = TraceCorrelation()(record, 5.0 * record)
    # 1 - 1, rounded, of three traces.
    assert abs(value) <= 1e-15 * 30
    assert np.abs(source).max() <= 1e-15
    value, source = TraceCorrelation()(record, -record)
    assert value == pytest.approx(6.0)
    assert not source[:, 2].any()
