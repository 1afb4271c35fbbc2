"""Operators in the hands of other libraries' solvers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import linalg

from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.preprocess import DepthWeight, WaterMute
from physics.views import as_scipy
from physics.wavelets import ricker

SHAPE, SPACING, DT, NT = (14, 13), (10.0, 8.0), 0.001, 120
WAVELET = ricker(20.0, DT, NT)
SURVEY = Acquisition([[30.0, 24.0], [80.0, 16.0]], [[20.0, 16.0], [70.0, 40.0], [110.0, 16.0]], DT, NT)


def earth(dtype="float64"):
    vp = np.random.default_rng(0).uniform(2000.0, 2600.0, SHAPE)
    return EarthModel(vp=vp, spacing=SPACING, nbl=6, space_order=4, dtype=dtype)


def born(dtype="float64"):
    return BornOperator(earth(dtype), SURVEY, wavelet=WAVELET)


def preconditioned():
    mute = WaterMute(SHAPE, SPACING, depth=8.0, taper=16.0, dtype="float64")
    return born() @ (mute @ DepthWeight(SHAPE, power=0.5, dtype="float64"))


OPERATORS = {
    "F": lambda: ForwardOperator(earth(), SURVEY),
    "J": born,
    "adjoint of J": lambda: born().H,
    "preconditioned J": preconditioned,
}


@pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS.keys())
def test_same_numbers_flattened(make):
    op = make()
    view, rng = as_scipy(op), np.random.default_rng(1)
    x, y = rng.standard_normal(op.domain_shape), rng.standard_normal(op.range_shape)
    assert view.shape == (y.size, x.size)
    assert view.dtype == op.dtype
    forward, adjoint = op.forward(x).ravel(), op.adjoint(y).ravel()
    assert np.array_equal(view @ x.ravel(), forward)
    assert np.array_equal(view.H @ y.ravel(), adjoint)
    assert np.array_equal(view.T @ y.ravel(), adjoint)
    assert np.array_equal(
        view @ np.column_stack([x.ravel(), 2.0 * x.ravel()]), np.stack([forward, 2.0 * forward]).T
    )


def test_flat_vectors_of_another_length_and_complex_ones_are_refused():
    view = as_scipy(born())
    with pytest.raises(ValueError, match="dimension mismatch"):
        view @ np.zeros(3)
    with pytest.raises(ValueError, match="dm of real numbers, got dtype complex128"):
        view @ np.zeros(view.shape[1], complex)


def test_least_squares_migration_explains_the_records():
    A = preconditioned()
    x = np.random.default_rng(2).standard_normal(A.domain_shape)
    d = A.forward(x)
    solution, _reason, iterations, residual = linalg.lsqr(
        as_scipy(A), d.ravel(), iter_lim=60, atol=0.0, btol=0.0
    )[:4]
    explained = A.forward(solution.reshape(A.domain_shape))
    # lsqr reports the residual by its recurrence; that of the solution agrees only if adjoint and forward do.
    assert np.linalg.norm(explained - d) == pytest.approx(residual, rel=1e-6)
    assert residual <= 0.05 * np.linalg.norm(d)
    assert iterations == 60


def test_largest_singular_value():
    J = born()
    (sigma,) = linalg.svds(as_scipy(J), k=1, return_singular_vectors=False, random_state=0)
    x = np.random.default_rng(3).standard_normal(J.domain_shape)
    for _ in range(200):
        x = J.adjoint(J.forward(x / np.linalg.norm(x)))
    # Power iteration: converges as the ratio of squared singular values, to 200 times.
    assert sigma == pytest.approx(np.linalg.norm(x) ** 0.5, rel=1e-3)


def test_single_precision_takes_double_vectors():
    view, exact = as_scipy(born("float32")), as_scipy(born())
    x = np.random.default_rng(4).standard_normal(view.shape[1])
    assert (view @ x).dtype == np.float32
    # Rounding to 6e-8 at each of 120 steps.
    assert np.linalg.norm(view @ x - exact @ x) <= 2e-5 * np.linalg.norm(exact @ x)


def test_pylops_takes_the_view():
    pylops = pytest.importorskip("pylops")
    J = born()
    op = pylops.aslinearoperator(as_scipy(J))
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal(op.shape[1]), rng.standard_normal(op.shape[0])
    assert np.array_equal(op @ x, J.forward(x.reshape(J.domain_shape)).ravel())
    assert np.array_equal(op.H @ y, J.adjoint(y.reshape(J.range_shape)).ravel())
    assert pylops.utils.dottest(op, rtol=1e-10)
    # What pylops adds: a regularised problem as one operator.
    weight = 0.1 * np.linalg.norm(op @ x) / np.linalg.norm(x)
    stacked = pylops.VStack([op, weight * pylops.Identity(op.shape[1])])
    assert stacked.shape == (op.shape[0] + op.shape[1], op.shape[1])
    assert np.allclose(stacked.H @ (stacked @ x), op.H @ (op @ x) + weight**2 * x, rtol=1e-10)
