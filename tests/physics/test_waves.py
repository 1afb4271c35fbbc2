"""Against the theory: Green's function, derivative, reciprocity, absorption."""

import numpy as np
import pytest
from scipy.special import hankel2

from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.wavelets import ricker

VELOCITY, H, F0 = 2000.0, 10.0, 15.0


def greens_function(distance, wavelet, dt, *, dispersed):
    r"""u(r, t) = h^2 F^-1[ Q(w) (-i/4) H0^(2)(W r / v) ] for the density h^2 q(t) delta(x).

    W = w, or with time dispersion (2 / dt) sin(w dt / 2), the frequency that the leap-frog scheme sees.
    """
    size = 16 * len(wavelet)
    omega = 2 * np.pi * np.fft.rfftfreq(size, dt)[1:]
    seen = 2 / dt * np.sin(omega * dt / 2) if dispersed else omega
    response = np.concatenate([[0.0], -0.25j * hankel2(0, seen * distance / VELOCITY)])
    return H**2 * np.fft.irfft(np.fft.rfft(wavelet, size) * response, size)[: len(wavelet)]


def constant_medium(source, receivers, dt, duration=0.72):
    """Records in a constant medium whose edges no wave reaches and leaves again within the record."""
    model = EarthModel(vp=np.full((185, 181), VELOCITY), spacing=(H, H), nbl=0, dtype="float64")
    nt = round(duration / dt) + 1
    wavelet = ricker(F0, dt, nt)
    survey = Acquisition(sources=[source], receivers=receivers, dt=dt, nt=nt)
    return ForwardOperator(model, survey).forward(wavelet)[0].T, wavelet


def relative(error, reference):
    return np.linalg.norm(error) / np.linalg.norm(reference)


def test_constant_medium_against_the_analytic_solution():
    records, wavelet = constant_medium((620.0, 900.0), [(820.0, 900.0), (1220.0, 900.0)], dt=5e-4)
    for record, distance in zip(records, (200.0, 600.0), strict=True):
        exact = greens_function(distance, wavelet, 5e-4, dispersed=False)
        # Time dispersion at this step leaves 0.14 and 0.42 %.
        assert relative(record - exact, exact) < 6e-3


@pytest.mark.parametrize("dt", [5e-4, 1e-3, 2e-3])
def test_constant_medium_against_the_time_dispersed_solution(dt):
    records, wavelet = constant_medium((620.0, 900.0), [(1620.0, 900.0), (1020.0, 1200.0)], dt=dt)
    for record, distance in zip(records, (1000.0, 500.0), strict=True):
        exact = greens_function(distance, wavelet, dt, dispersed=True)
        # Order 8 at 4 to 9 points a wavelength leaves 0.12 % after 1 km; a sample of delay would be 5 %.
        assert relative(record - exact, exact) < 2e-3


def test_off_grid_positions_are_where_they_say():
    source, receivers = (623.7, 902.1), [(1228.2, 900.0), (918.4, 1206.6)]
    records, wavelet = constant_medium(source, receivers, dt=1e-3)
    for record, receiver in zip(records, receivers, strict=True):
        exact = greens_function(np.hypot(*np.subtract(source, receiver)), wavelet, 1e-3, dispersed=True)
        snapped = np.hypot(*(np.round(np.subtract(source, receiver), -1)))
        wrong = greens_function(snapped, wavelet, 1e-3, dispersed=True)
        # Linear interpolation at a share f of a cell lowers a wave by f (1 - f) (k h)^2 / 2, here up to 4 %,
        # at each end; half a cell of misplacement would be 25 %.
        assert relative(record - exact, exact) < 0.08
        assert relative(record - exact, exact) < 0.5 * relative(record - wrong, wrong)


def test_amplitude_does_not_depend_on_the_computing_step():
    model = EarthModel(vp=np.full((65, 65), VELOCITY), spacing=(H, H), dtype="float64")
    survey = Acquisition(sources=[[213.0, 320.0]], receivers=[[413.0, 320.0]], dt=2e-3, nt=151)
    wavelet = ricker(F0, 2e-3, 151)
    coarse, fine = (ForwardOperator(model, survey, steps_per_sample=k).forward(wavelet) for k in (1, 4))
    # What is left is the time dispersion of the coarser step over 200 m, 2.4 %.
    assert relative(coarse - fine, fine) < 0.03


def rough_setting(dtype="float64"):
    rng = np.random.default_rng(0)
    model = EarthModel(vp=rng.uniform(2000.0, 2600.0, (32, 28)), spacing=(10.0, 12.5), nbl=16, dtype=dtype)
    survey = Acquisition(
        sources=rng.uniform(0.0, 300.0, (2, 2)), receivers=rng.uniform(0.0, 300.0, (9, 2)), dt=1e-3, nt=350
    )
    return model, survey, ricker(F0, 1e-3, 350)


def test_born_modelling_is_the_derivative_of_modelling():
    model, survey, wavelet = rough_setting()
    dm = 0.05 * model.m * np.random.default_rng(1).standard_normal(model.shape)
    base = ForwardOperator(model, survey).forward(wavelet)
    derivative = BornOperator(model, survey, wavelet=wavelet).forward(dm)
    steps = 0.5 ** np.arange(6)
    moved = [ForwardOperator(model.with_m(model.m + h * dm), survey).forward(wavelet) - base for h in steps]
    first = np.array([np.linalg.norm(d) for d in moved])
    second = np.array([np.linalg.norm(d - h * derivative) for d, h in zip(moved, steps, strict=True)])
    # Halving h halves the difference and quarters the remainder; the next order is below 5 % from h = 1/4 on.
    assert np.abs(np.log2(first[:-1] / first[1:])[2:] - 1.0).max() < 0.05
    assert np.abs(np.log2(second[:-1] / second[1:])[2:] - 2.0).max() < 0.05


def test_source_and_receiver_may_be_exchanged():
    model, survey, wavelet = rough_setting()
    there = ForwardOperator(model, survey).forward(wavelet)[0, :, 4]
    swapped = Acquisition(
        sources=survey.receivers[4:5], receivers=survey.sources[:1], dt=survey.dt, nt=survey.nt
    )
    back = ForwardOperator(model, swapped).forward(wavelet)[0, :, 0]
    # The scheme is symmetric, so reciprocity holds to rounding.
    assert relative(there - back, there) < 1e-11


def test_absorbing_layer_weakens_what_returns():
    def records(nbl):
        model = EarthModel(vp=np.full((48, 48), VELOCITY), spacing=(12.5, 12.5), nbl=nbl, dtype="float64")
        survey = Acquisition.surface(
            model.extent, 1, 24, source_depth=25.0, receiver_depth=25.0, dt=1.4e-3, nt=500
        )
        return ForwardOperator(model, survey).forward(ricker(F0, 1.4e-3, 500))

    reference = records(90)
    error = {nbl: relative(records(nbl) - reference, reference) for nbl in (0, 20, 40)}
    assert error[0] > 0.5
    assert error[20] < 0.1
    assert error[40] < 0.02


def test_migration_puts_a_scatterer_where_it_is():
    model = EarthModel(vp=np.full((48, 40), VELOCITY), spacing=(12.5, 12.5))
    survey = Acquisition.surface(
        model.extent, 4, 48, source_depth=12.5, receiver_depth=12.5, dt=1.4e-3, nt=500
    )
    J = BornOperator(model, survey, wavelet=ricker(F0, 1.4e-3, 500), subsample=4)
    dm = np.zeros(model.shape)
    dm[30, 22] = 1e-8
    image = J.adjoint(J.forward(dm))
    image[:, :8] = 0.0
    peak = np.unravel_index(image.argmax(), image.shape)
    assert np.abs(np.subtract(peak, (30, 22))).max() <= 1


def test_modelling_leaves_subnormal_numbers_alone():
    model, survey, wavelet = rough_setting("float32")
    ForwardOperator(model, survey).forward(wavelet)
    assert np.float64(5e-324) * np.ones(1) != 0.0
    assert np.float32(1e-38) * np.float32(0.01) * np.ones(1, np.float32) != 0.0
