"""The time axis alone: against waves whose space is exact, so that the scheme's time is all that errs."""

import numpy as np
import pytest

from physics.time_axis import Band, TimeAxis
from physics.wavelets import ricker

AXES = {
    "plain": TimeAxis(90, 1, False, "float64"),
    "plain, 3 steps a sample": TimeAxis(90, 3, False, "float64"),
    "corrected": TimeAxis(90, 1, True, "float64"),
    "corrected, 3 steps a sample": TimeAxis(90, 3, True, "float64"),
}
every_axis = pytest.mark.parametrize("axis", AXES.values(), ids=AXES.keys())


@every_axis
def test_adjoints_are_exact(axis):
    rng = np.random.default_rng(0)
    q, fine = rng.standard_normal((2, axis.nt)), rng.standard_normal((2, axis.num_steps))
    steps, d = rng.standard_normal((axis.num_steps, 4)), rng.standard_normal((axis.nt, 4))
    for left, right in (
        (np.vdot(axis.refine(q), fine), np.vdot(q, axis.refine_adjoint(fine))),
        (np.vdot(axis.sample(steps), d), np.vdot(steps, axis.sample_adjoint(d))),
    ):
        # Sums of some hundred products.
        assert abs(left - right) <= 1e-12 * max(abs(left), abs(right))


@every_axis
def test_shapes_and_precision(axis):
    single = TimeAxis(axis.nt, axis.steps, axis.corrected, "float32")
    q, steps = np.ones((2, axis.nt), np.float32), np.ones((axis.num_steps, 4), np.float32)
    assert axis.num_steps == 89 * axis.steps + 1
    assert single.refine(q).shape == (2, axis.num_steps)
    assert single.refine_adjoint(single.refine(q)).shape == (2, axis.nt)
    assert single.sample(steps).shape == (axis.nt, 4)
    assert single.sample(steps).dtype == np.float32
    assert single.sample_adjoint(single.sample(steps)).shape == steps.shape


@every_axis
def test_signatures_come_back_where_nothing_is_modelled(axis):
    # What moves the source's spectrum and what moves the record's back undo each other.
    wavelet = ricker(15.0, 2e-3, 90, delay=0.09)[None]
    back = axis.sample(axis.refine(wavelet).T).T
    # Moved frequencies are cut to the length of the record: 1e-4 of the peak is what is left there.
    assert np.abs(back - wavelet).max() < 1e-3


def test_plain_axis_interpolates_and_decimates():
    axis = AXES["plain, 3 steps a sample"]
    wavelet = ricker(15.0, 2e-3, 90)[None]
    fine = axis.refine(wavelet)
    assert np.allclose(fine[:, ::3], wavelet, atol=1e-12)
    # Between the samples it is the same wavelet, up to what the record's start cuts off.
    exact = ricker(15.0, 2e-3 / 3, axis.num_steps, delay=0.1)
    assert np.abs(fine[0] - exact).max() < 2e-3
    steps = np.random.default_rng(1).standard_normal((axis.num_steps, 4))
    assert np.array_equal(axis.sample(steps), steps[::3])


@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-14), ("float32", 1e-7)])
def test_bands_are_the_whole_matrix(dtype, bound):
    # Kernels that spread with time, as those of waves that come ever later.
    rows, columns = np.ogrid[:300, :280]
    matrix = np.exp(-np.abs(rows - 0.9 * columns) / (0.5 + 0.005 * columns)) / 8.0
    band = Band(matrix, dtype, negligible=0.1 * bound)
    left_out = band.apply(np.eye(280)) - matrix.astype(dtype)
    assert np.linalg.norm(left_out) <= 0.1 * bound
    assert left_out.any()
    # What is left out is left out of the transpose too.
    assert np.array_equal(band.transposed(np.eye(300)), band.apply(np.eye(280)).T)
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((280, 3)).astype(dtype), rng.standard_normal((300, 3)).astype(dtype)
    for ours, whole in ((band.apply(x), matrix @ x), (band.transposed(y), matrix.T @ y)):
        # Rounding of the products, and the bound.
        assert np.linalg.norm(ours - whole) <= (bound + 4 * np.finfo(dtype).eps) * np.linalg.norm(whole)


def test_a_band_of_nothing_is_zero():
    band = Band(np.zeros((70, 9)), "float64", negligible=1e-15)
    assert not band.apply(np.ones((9, 2))).any()
    assert not band.transposed(np.ones((70, 2))).any()


def test_corrections_of_single_precision_are_those_of_double():
    nt = 900
    axes = [TimeAxis(nt, 1, True, dtype) for dtype in ("float32", "float64")]
    x = np.random.default_rng(3).standard_normal((nt, 4)).astype(np.float32)
    for ours, whole in (
        [axis.sample(x) for axis in axes],
        [axis.sample_adjoint(x) for axis in axes],
        [axis.refine(x.T) for axis in axes],
        [axis.refine_adjoint(x.T) for axis in axes],
    ):
        # Half of the matrix is left out: no more than the rounding of sums of hundreds of products.
        assert np.linalg.norm(ours - whole) <= 5e-7 * np.linalg.norm(whole)


def string(signature, dt, distance, velocity=2000.0, length=4000.0, cells=400):
    """Leap-frog waves u_tt = v^2 u_xx + q(t) delta(x) on a periodic string, exact in space: its record."""
    k = 2.0 * np.pi * np.fft.fftfreq(cells, length / cells)
    # A smooth source, so that no wavenumber is beyond the stability of the step.
    shape = np.exp(-0.5 * (15.0 * k) ** 2)
    phase = np.exp(1j * k * distance) * cells / length
    past, now, record = np.zeros(cells, complex), np.zeros(cells, complex), []
    for q in signature:
        record.append(np.mean(now * phase).real)
        past, now = now, 2.0 * now - past + dt**2 * (q * shape - (velocity * k) ** 2 * now)
    return np.array(record)


@pytest.mark.parametrize("steps", [1, 2])
def test_corrected_records_have_no_time_dispersion(steps):
    dt, nt, distance = 2e-3, 450, 1000.0
    wavelet = ricker(15.0, dt, nt)

    def record(axis):
        fine = axis.refine(wavelet[None])[0]
        return axis.sample(string(fine, dt / axis.steps, distance)[:, None])[:, 0]

    # The exact solution: steps so small that their dispersion, which goes as their square, is 1e-4.
    exact = record(TimeAxis(nt, 32, False, "float64"))
    plain, corrected = (record(TimeAxis(nt, steps, on, "float64")) for on in (False, True))
    error = [np.linalg.norm(r - exact) / np.linalg.norm(exact) for r in (plain, corrected)]
    assert error[0] > 0.01
    assert error[1] < 1e-3
