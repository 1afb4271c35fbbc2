"""The laws of linear operators, over one table of all of them, and what the wave operators promise beside."""

import hashlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from physics.errors import NonFiniteError
from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator, LinearOperator, dot_test
from physics.model import EarthModel
from physics.operators import compiled
from physics.preprocess import DepthWeight, DirectMute, WaterMute
from physics.wavelets import ricker

SHAPE, SPACING = (22, 19), (12.5, 10.0)
F0, DT, NT = 12.0, 0.001, 300


def earth(shape=SHAPE, spacing=SPACING, seed=0, **options):
    """A rough model with values of no symmetry, so that a swapped axis or a lost term shows."""
    options = {"nbl": 10, "dtype": "float64"} | options
    vp = np.random.default_rng(seed).uniform(2000.0, 2600.0, shape)
    return EarthModel(vp=vp, spacing=spacing, **options)


def survey(model, dt=DT, nt=NT, num_sources=2, num_receivers=5, seed=1):
    """Sources and receivers anywhere, off-grid."""
    rng = np.random.default_rng(seed)
    lower, upper = np.array(model.lower), np.array(model.upper)
    return Acquisition(
        sources=rng.uniform(lower, upper, (num_sources, model.ndim)),
        receivers=rng.uniform(lower, upper, (num_receivers, model.ndim)),
        dt=dt,
        nt=nt,
    )


def born(dt=DT, nt=NT, keep_wavefields=False, subsample=1, **options):
    model = earth(**options)
    return BornOperator(
        model,
        survey(model, dt, nt),
        wavelet=ricker(F0, dt, nt),
        keep_wavefields=keep_wavefields,
        subsample=subsample,
    )


def forward(dt=DT, nt=NT, **options):
    model = earth(**options)
    return ForwardOperator(model, survey(model, dt, nt))


VOLUME = {"shape": (9, 8, 7), "spacing": (12.5, 10.0, 12.0), "nbl": 4, "space_order": 4, "nt": 170}

OPERATORS: dict[str, Callable[[], LinearOperator]] = {
    "F": forward,
    "F, 2 steps a sample": lambda: forward(dt=0.004, nt=80),
    "F, order 4, shifted origin": lambda: forward(space_order=4, origin=(-300.0, 40.0)),
    "F, 3-D": lambda: forward(**VOLUME),
    "J": born,
    "J, 2 steps a sample": lambda: born(dt=0.004, nt=80),
    "J, wavefields kept": lambda: born(keep_wavefields=True),
    "J, order 4, shifted origin": lambda: born(space_order=4, origin=(-300.0, 40.0)),
    "J, no absorbing layer": lambda: born(nbl=0),
    "J, 3-D": lambda: born(**VOLUME),
    "adjoint of J": lambda: born().H,
    "normal operator": lambda: born().H @ born(),
    "muted migration": lambda: (
        DepthWeight(SHAPE, power=0.5, dtype="float64")
        @ WaterMute(SHAPE, SPACING, depth=20.0, taper=30.0, dtype="float64")
        @ born().H
    ),
    "water mute": lambda: WaterMute(SHAPE, SPACING, depth=20.0, taper=30.0, dtype="float64"),
    "water mute, map": lambda: WaterMute(
        SHAPE, SPACING, depth=np.linspace(0, 90, SHAPE[0]), taper=0.0, dtype="float64"
    ),
    "depth weight": lambda: DepthWeight(SHAPE, power=1.5, dtype="float64"),
    "direct mute": lambda: DirectMute(
        survey(earth()), velocity=2000.0, delay=0.1, taper=0.05, dtype="float64"
    ),
}

every_operator = pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS.keys())


@every_operator
def test_forward_and_adjoint_belong_together(make):
    # Rounding of some hundred steps in double precision is a few 1e-14; Devito's own tests ask for 1e-11.
    assert dot_test(make(), rng=np.random.default_rng(3), rtol=1e-11) <= 1e-11


@every_operator
def test_linear(make):
    op, rng = make(), np.random.default_rng(4)
    for apply, shape in ((op.forward, op.domain_shape), (op.adjoint, op.range_shape)):
        x, y = rng.standard_normal((2, *shape))
        expected = 2.0 * apply(x) - 3.0 * apply(y)
        assert np.linalg.norm(apply(2.0 * x - 3.0 * y) - expected) <= 1e-12 * np.linalg.norm(expected)


@every_operator
def test_zero_in_zero_out(make):
    op = make()
    # After a run on other values: what a buffer held before must not come back.
    op.forward(np.ones(op.domain_shape))
    assert not op.forward(np.zeros(op.domain_shape)).any()
    op.adjoint(np.ones(op.range_shape))
    assert not op.adjoint(np.zeros(op.range_shape)).any()


@every_operator
def test_result_has_the_stated_shape_and_dtype_and_is_the_callers_own(make):
    op = make()
    first = op.forward(np.ones(op.domain_shape))
    copy = first.copy()
    op.forward(2.0 * np.ones(op.domain_shape))
    assert first.shape == op.range_shape
    assert first.dtype == op.dtype
    assert np.array_equal(first, copy)


@every_operator
def test_other_shapes_are_refused(make):
    op = make()
    with pytest.raises(ValueError, match=r"expected .* of shape \(.*\), got \(2, 2, 2, 2\)"):
        op.forward(np.zeros((2, 2, 2, 2)))
    with pytest.raises(ValueError, match=r"expected .* of shape \(.*\), got \(2, 2, 2, 2\)"):
        op.adjoint(np.zeros((2, 2, 2, 2)))


@every_operator
def test_nan_is_refused_with_count_and_index(make):
    op = make()
    bad = np.zeros(op.range_shape)
    bad.flat[1] = np.nan
    with pytest.raises(ValueError, match=r"expected finite .*, got 1 of \d+ values \(first at index .*1\)"):
        op.adjoint(bad)


@pytest.mark.parametrize("name", ["F", "J"])
def test_single_precision_agrees_with_double(name):
    make = {"F": forward, "J": born}[name]
    single, double = make(dtype="float32"), make()
    dot_test(single)
    x = np.random.default_rng(5).standard_normal(double.domain_shape)
    expected = double.forward(x)
    # Rounding to 6e-8 at each of 300 steps, amplified by the second differences.
    assert np.linalg.norm(single.forward(x) - expected) <= 2e-5 * np.linalg.norm(expected)


def test_matmul_applies_and_composes():
    op = born()
    x = np.random.default_rng(6).standard_normal(op.domain_shape)
    assert np.array_equal(op @ x, op.forward(x))
    assert np.array_equal((op.H @ op) @ x, op.adjoint(op.forward(x)))
    with pytest.raises(ValueError, match=r"inner operator of A @ B to return shape \(22, 19\), got \(2, 300"):
        op @ op


def test_dot_test_finds_a_wrong_adjoint():
    class Cropped(LinearOperator):
        """Pads by replication, but its adjoint crops where it should sum."""

        model = earth()

        def forward(self, x):
            return self.model.pad(np.asarray(x))

        def adjoint(self, y):
            return np.asarray(y)[10:-10, 10:-10]

    op = Cropped(SHAPE, Cropped.model.padded_shape, "float64")
    with pytest.raises(
        ValueError, match=r"expected <A x, y> = <x, A\^T y> within 1e-11, got .* and .*Cropped"
    ):
        dot_test(op)


def test_one_wavelet_stands_for_all_sources():
    op = forward()
    wavelet = ricker(F0, DT, NT)
    assert np.array_equal(op.forward(wavelet), op.forward(np.tile(wavelet, (2, 1))))


def test_kept_wavefields_change_nothing():
    kept, plain, other = born(keep_wavefields=True), born(), born(keep_wavefields=True, seed=7)
    rng = np.random.default_rng(8)
    dm, d = rng.standard_normal(kept.domain_shape), rng.standard_normal(kept.range_shape)
    expected = plain.adjoint(d)
    assert np.array_equal(kept.forward(dm), plain.forward(dm))
    assert np.array_equal(kept.adjoint(d), expected)
    # An operator of the same setting and another model overwrites the shared store: it must not be mistaken.
    other.forward(dm)
    assert np.array_equal(kept.adjoint(d), expected)
    assert not np.array_equal(other.adjoint(d), expected)


def test_subsampled_adjoint_is_close_for_recorded_data():
    full, thin = born(nt=600), born(nt=600, subsample=4)
    d = full.forward(np.random.default_rng(9).standard_normal(full.domain_shape))
    expected = full.adjoint(d)
    # Every 4 ms: a Nyquist frequency ten times the peak. What is left comes from the cut at the record's end.
    assert np.linalg.norm(thin.adjoint(d) - expected) <= 1e-3 * np.linalg.norm(expected)


def test_compiled_once_per_setting():
    before = born()
    before.adjoint(before.forward(np.ones(before.domain_shape)))
    count = compiled.cache_info().currsize
    for same in (born(seed=11), born(shape=(17, 25), nbl=7, nt=240), born(dt=0.004, nt=80)):
        same.adjoint(same.forward(np.ones(same.domain_shape)))
    assert compiled.cache_info().currsize == count
    wider = born(spacing=(14.0, 10.0))
    wider.forward(np.ones(wider.domain_shape))
    assert compiled.cache_info().currsize == count + 1


def test_shape_and_length_do_not_depend_on_what_was_compiled_for():
    # The same model, once in a larger frame of absorbing cells that the waves do not reach within the record.
    near, far = (forward(nbl=nbl, nt=110, absorbing_velocity=1e9) for nbl in (36, 45))
    wavelet = ricker(40.0, DT, 110)[None].repeat(2, axis=0)
    a, b = near.forward(wavelet), far.forward(wavelet)
    assert np.linalg.norm(a - b) <= 1e-9 * np.linalg.norm(a)


PROGRAM = """
import hashlib
import numpy as np
from physics.geometry import Acquisition
from physics.linear import BornOperator
from physics.model import EarthModel
from physics.wavelets import ricker

vp = np.random.default_rng(0).uniform(2000.0, 2600.0, (22, 19))
model = EarthModel(vp=vp, spacing=(12.5, 10.0), nbl=10, dtype="float64")
survey = Acquisition(sources=[[31.0, 22.0]], receivers=[[101.0, 15.0], [222.0, 15.0]], dt=0.001, nt=200)
J = BornOperator(model, survey, wavelet=ricker(12.0, 0.001, 200))
image = J.adjoint(J.forward(np.random.default_rng(1).standard_normal(J.domain_shape)))
digest = hashlib.sha256(image.tobytes()).hexdigest()
"""


def test_same_bits_again_and_in_another_process():
    here, again = {}, {}
    exec(PROGRAM, here)
    exec(PROGRAM, again)
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM + "print(digest)"], check=True, capture_output=True, text=True
    )
    assert here["digest"] == again["digest"] == there.stdout.strip()
    assert len(here["digest"]) == len(hashlib.sha256().hexdigest())


def test_overflow_names_the_shot():
    op = forward(dtype="float32")
    q = np.zeros(op.domain_shape)
    q[1] = 3e38
    with pytest.raises(NonFiniteError, match=r"expected a finite record of shot 1, got \d+ of \d+ values"):
        op.forward(q)
