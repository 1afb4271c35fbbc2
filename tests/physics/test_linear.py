"""The laws of linear operators, over one table of all of them, and what the wave operators promise beside."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from physics.encoding import SourceEncoding, random_signs
from physics.errors import GeometryError, NonFiniteError
from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator, LinearOperator, dot_test
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.operators import compiled
from physics.preprocess import DepthWeight, DirectMute, WaterMute
from physics.wavelets import ricker

SHAPE, SPACING = (22, 19), (12.5, 10.0)
F0, DT, NT = 12.0, 0.001, 300


def earth(*, shape=SHAPE, spacing=SPACING, seed=0, density=False, **options):
    """A rough model with values of no symmetry, so that a swapped axis or a lost term shows.

    Order 4, because generated code of higher orders takes longer to build; order 8 is in the table too.
    """
    options = {"nbl": 6, "space_order": 4, "dtype": "float64"} | options
    rng = np.random.default_rng(seed)
    vp = rng.uniform(2000.0, 2600.0, shape)
    rho = rng.uniform(1000.0, 2600.0, shape) if density else None
    return EarthModel(vp=vp, spacing=spacing, rho=rho, **options)


def survey(model, dt=DT, nt=NT, num_sources=2, num_receivers=5, **options):
    """Sources and receivers anywhere, off-grid, below a free surface."""
    rng = np.random.default_rng(1)
    lower, upper = np.array(model.lower) + 1.0, np.array(model.upper)
    sources = rng.uniform(lower, upper, (num_sources, model.ndim))
    receivers = rng.uniform(lower, upper, (num_receivers, model.ndim))
    return Acquisition(**({"sources": sources, "receivers": receivers, "dt": dt, "nt": nt} | options))


def streamer(model):
    """Receivers that move with the source, some of them dead."""
    fixed = survey(model)
    moved = fixed.receivers * np.array([[[1.0, 1.0]], [[0.8, 0.9]]])
    live = np.array([[True, False, True, True, True], [True, True, False, False, True]])
    return Acquisition(fixed.sources, moved, fixed.dt, fixed.nt, live)


def forward(*, dt=DT, nt=NT, spread=None, numerics=None, **options):
    model = earth(**options)
    return ForwardOperator(model, spread(model) if spread else survey(model, dt, nt), numerics=numerics)


def born(
    *,
    dt=DT,
    nt=NT,
    spread=None,
    numerics=None,
    keep_wavefields=False,
    imaging="correlation",
    signs=0,
    **options,
):
    model = earth(**options)
    layout = spread(model) if spread else survey(model, dt, nt)
    return BornOperator(
        model,
        layout,
        wavelet=ricker(F0, layout.dt, layout.nt),
        numerics=numerics,
        keep_wavefields=keep_wavefields,
        imaging=imaging,
        encoding=random_signs(layout, signs, rng=np.random.default_rng(2)) if signs else None,
    )


PLAIN = Numerics(correct_dispersion=False)
LINEAR = Numerics(interpolation="linear")
VOLUME = {"shape": (9, 8, 7), "spacing": (12.5, 10.0, 12.0), "nbl": 3, "nt": 170}
# The default setting but for its precision.
EIGHT = {"space_order": 8, "nbl": None}
DENSE = {"density": True}
SURFACE = {"free_surface": True}
SCATTERING = {"imaging": "inverse_scattering"}

OPERATORS: dict[str, Callable[[], LinearOperator]] = {
    "F": forward,
    "F, plain time axis": lambda: forward(numerics=PLAIN),
    "F, 2 steps a sample": lambda: forward(dt=0.004, nt=80),
    "F, 2 steps a sample, plain": lambda: forward(dt=0.004, nt=80, numerics=PLAIN),
    "F, order 8": lambda: forward(**EIGHT),
    "F, shifted origin": lambda: forward(origin=(-300.0, 40.0)),
    "F, linear interpolation": lambda: forward(numerics=LINEAR),
    "F, sponge": lambda: forward(boundary="sponge"),
    "F, no layer": lambda: forward(nbl=0),
    "F, moving receivers, dead traces": lambda: forward(spread=streamer),
    "F, free surface": lambda: forward(**SURFACE),
    "F, density": lambda: forward(**DENSE),
    "F, density, free surface": lambda: forward(**DENSE, **SURFACE),
    "F, 3-D": lambda: forward(**VOLUME),
    "J": born,
    "J, plain time axis": lambda: born(numerics=PLAIN),
    "J, 2 steps a sample": lambda: born(dt=0.004, nt=80),
    "J, 2 steps a sample, plain": lambda: born(dt=0.004, nt=80, numerics=PLAIN),
    "J, order 8": lambda: born(**EIGHT),
    "J, shifted origin": lambda: born(origin=(-300.0, 40.0)),
    "J, linear interpolation": lambda: born(numerics=LINEAR),
    "J, sponge": lambda: born(boundary="sponge"),
    "J, no layer": lambda: born(nbl=0),
    "J, moving receivers, dead traces": lambda: born(spread=streamer),
    "J, wavefields kept": lambda: born(keep_wavefields=True),
    "J, simultaneous sources": lambda: born(signs=3),
    "J, simultaneous sources, wavefields kept": lambda: born(signs=3, keep_wavefields=True),
    "J, free surface": lambda: born(**SURFACE),
    "J, density": lambda: born(**DENSE),
    "J, density, free surface": lambda: born(**DENSE, **SURFACE),
    "J, inverse scattering": lambda: born(**SCATTERING),
    "J, inverse scattering, kept, simultaneous": lambda: born(**SCATTERING, keep_wavefields=True, signs=3),
    "J, inverse scattering, free surface": lambda: born(**SCATTERING, **SURFACE),
    "J, inverse scattering, density": lambda: born(**SCATTERING, **DENSE),
    "J, 3-D, sponge": lambda: born(**VOLUME, boundary="sponge"),
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
    "random signs": lambda: random_signs(survey(earth()), 3, rng=np.random.default_rng(2), dtype="float64"),
}
# A matter of the generated code's size: its building takes up to a minute.
SLOW: dict[str, Callable[[], LinearOperator]] = {
    "J, 3-D": lambda: born(**VOLUME),
    "J, 3-D, density, free surface": lambda: born(**VOLUME, **DENSE, **SURFACE),
    "J, 3-D, inverse scattering": lambda: born(**VOLUME, **SCATTERING),
    "J, order 8, density": lambda: born(**EIGHT, **DENSE),
    "J, order 8, free surface": lambda: born(**EIGHT, **SURFACE),
    "J, sponge, free surface": lambda: born(**SURFACE, boundary="sponge"),
    "J, sponge, density": lambda: born(**DENSE, boundary="sponge"),
    "J, inverse scattering, density, free surface": lambda: born(**SCATTERING, **DENSE, **SURFACE),
}
CASES = [pytest.param(make, id=name) for name, make in OPERATORS.items()] + [
    pytest.param(make, id=name, marks=pytest.mark.slow) for name, make in SLOW.items()
]
every_operator = pytest.mark.parametrize("make", CASES)


@every_operator
def test_forward_and_adjoint_belong_together(make):
    # Rounding of some hundred steps in double precision is a few 1e-15 to 1e-14.
    assert dot_test(make(), rng=np.random.default_rng(3), rtol=1e-12) <= 1e-12


@every_operator
def test_linear(make):
    op, rng = make(), np.random.default_rng(4)
    for apply, shape in ((op.forward, op.domain_shape), (op.adjoint, op.range_shape)):
        x, y = rng.standard_normal((2, *shape))
        expected = 2.0 * apply(x) - 3.0 * apply(y)
        assert np.linalg.norm(expected) > 0.0
        assert np.linalg.norm(apply(2.0 * x - 3.0 * y) - expected) <= 1e-12 * np.linalg.norm(expected)


@every_operator
def test_zero_in_zero_out(make):
    op = make()
    # After a run on other values: what a buffer held before must not come back.
    assert op.forward(np.ones(op.domain_shape)).any()
    assert not op.forward(np.zeros(op.domain_shape)).any()
    assert op.adjoint(np.ones(op.range_shape)).any()
    assert not op.adjoint(np.zeros(op.range_shape)).any()


@every_operator
def test_result_has_the_stated_shape_and_dtype_and_is_the_callers_own(make):
    op = make()
    for apply, domain, image in (
        (op.forward, op.domain_shape, op.range_shape),
        (op.adjoint, op.range_shape, op.domain_shape),
    ):
        first = apply(np.ones(domain))
        copy = first.copy()
        apply(2.0 * np.ones(domain))
        assert first.shape == image
        assert first.dtype == op.dtype
        assert np.array_equal(first, copy)


@every_operator
def test_other_shapes_are_refused(make):
    op = make()
    for apply in (op.forward, op.adjoint):
        with pytest.raises(ValueError, match=r"expected .* of shape \(.*\), got \(2, 2, 2, 2\)"):
            apply(np.zeros((2, 2, 2, 2)))


@every_operator
def test_nan_is_refused_with_count_and_index(make):
    op = make()
    for apply, shape in ((op.forward, op.domain_shape), (op.adjoint, op.range_shape)):
        bad = np.zeros(shape)
        bad.flat[1] = np.nan
        with pytest.raises(
            NonFiniteError, match=r"expected finite .*, got 1 of \d+ values \(first at index .*1\)"
        ):
            apply(bad)


SINGLE = {
    "F": forward,
    "J": born,
    "J, free surface": lambda **o: born(**SURFACE, **o),
    "J, density": lambda **o: born(**DENSE, **o),
    "J, inverse scattering": lambda **o: born(**SCATTERING, **o),
}


@pytest.mark.parametrize("make", SINGLE.values(), ids=SINGLE.keys())
def test_single_precision_agrees_with_double(make):
    single, double = make(dtype="float32"), make()
    # Data-like input: signatures are delayed wavelets; images and records are what the operator makes. White
    # noise has most of its energy above what the grid carries, which cancels in the products.
    rng = np.random.default_rng(5)
    x = rng.standard_normal(single.domain_shape)
    if make is forward:
        x = np.stack([ricker(F0, DT, NT), -2.0 * ricker(F0, DT, NT, delay=0.15)])
    expected = double.forward(x)
    y = expected + 0.3 * double.forward(x[::-1])
    back = double.adjoint(y)
    # Rounding to 6e-8 at each of 300 steps, amplified by the second differences.
    assert np.linalg.norm(single.forward(x) - expected) <= 5e-5 * np.linalg.norm(expected)
    assert np.linalg.norm(single.adjoint(y) - back) <= 5e-5 * np.linalg.norm(back)
    left, right = np.vdot(single.forward(x).astype(float), y), np.vdot(x, single.adjoint(y).astype(float))
    assert abs(left - right) <= 1e-5 * max(abs(left), abs(right))


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

        padding = earth().padding

        def forward(self, x):
            return self.padding.pad(np.asarray(x))

        def adjoint(self, y):
            return np.asarray(y)[self.padding.inside]

    op = Cropped(SHAPE, Cropped.padding.padded_shape, "float64")
    with pytest.raises(
        ValueError, match=r"expected <A x, y> = <x, A\^T y> within 1e-11, got .* and .*Cropped"
    ):
        dot_test(op)


def test_one_wavelet_stands_for_all_sources():
    op = forward()
    wavelet = ricker(F0, DT, NT)
    assert np.array_equal(op.forward(wavelet), op.forward(np.tile(wavelet, (2, 1))))


def test_dead_traces_are_zero_and_do_not_reach_the_image():
    op = born(spread=streamer)
    live = streamer(earth()).live
    d = op.forward(np.random.default_rng(7).standard_normal(op.domain_shape))
    assert np.array_equal(np.abs(d).max(axis=1) > 0.0, live)
    noisy = d + np.where(live[:, None, :], 0.0, 1e3)
    assert np.array_equal(op.adjoint(noisy), op.adjoint(d))


def test_moving_receivers_are_those_of_each_shot():
    model = earth()
    moving = streamer(model)
    wavelet = ricker(F0, DT, NT)
    together = ForwardOperator(model, moving).forward(wavelet)
    for shot in range(2):
        alone = Acquisition(moving.sources[shot : shot + 1], moving.receivers[shot], DT, NT)
        expected = ForwardOperator(model, alone).forward(wavelet)[0] * moving.live[shot]
        assert np.array_equal(together[shot], expected)


@pytest.mark.parametrize("imaging", ["correlation", "inverse_scattering"])
def test_kept_wavefields_change_nothing(imaging):
    options = {"imaging": imaging}
    kept, plain = born(keep_wavefields=True, **options), born(**options)
    other = born(keep_wavefields=True, seed=7, **options)
    rng = np.random.default_rng(8)
    dm, d = rng.standard_normal(kept.domain_shape), rng.standard_normal(kept.range_shape)
    expected = plain.adjoint(d)
    assert np.array_equal(kept.forward(dm), plain.forward(dm))
    assert np.array_equal(kept.adjoint(d), expected)
    # An operator of the same setting and another model overwrites the shared store: it must not be mistaken.
    other.forward(dm)
    assert np.array_equal(kept.adjoint(d), expected)
    assert not np.array_equal(other.adjoint(d), expected)


def test_the_two_imaging_conditions_may_alternate():
    # They keep different wavefields in the same slot.
    plain, scattering = born(keep_wavefields=True), born(keep_wavefields=True, **SCATTERING)
    d = np.random.default_rng(9).standard_normal(plain.range_shape)
    expected = plain.adjoint(d), scattering.adjoint(d)
    assert not np.allclose(*expected, rtol=0.1)
    assert np.array_equal(plain.adjoint(d), expected[0])
    assert np.array_equal(scattering.adjoint(d), expected[1])


def test_illumination_is_the_energy_of_the_wavefields():
    # The wavefields as receivers in the cells record them, at every computing step.
    model, layout = earth(), survey(earth())
    cells = [(5, 6), (14, 9), (9, 16)]
    there = Acquisition(layout.sources, np.array(cells) * SPACING, DT, NT)
    u = ForwardOperator(model, there, numerics=PLAIN).forward(ricker(F0, DT, NT))
    illumination = born(numerics=PLAIN).illumination()
    assert np.allclose([illumination[cell] for cell in cells], (u**2).sum(axis=(0, 1)), rtol=1e-10)
    assert (illumination > 0.0).all()


def test_subsampled_adjoint_is_close_for_recorded_data():
    full, thin = born(nt=600), born(nt=600, numerics=Numerics(subsample=4))
    d = full.forward(np.random.default_rng(9).standard_normal(full.domain_shape))
    expected = full.adjoint(d)
    # Every 4 ms: a Nyquist frequency ten times the peak. What is left comes from the cut at the record's end.
    assert np.linalg.norm(thin.adjoint(d) - expected) <= 1e-3 * np.linalg.norm(expected)


@pytest.mark.parametrize("corrected", [False, True], ids=["plain", "corrected"])
def test_simultaneous_sources_are_encoded_records(corrected):
    model = earth()
    layout = survey(model, num_sources=5)
    wavelet = ricker(F0, DT, NT)
    numerics = Numerics(correct_dispersion=corrected)
    encoding = random_signs(layout, 3, rng=np.random.default_rng(10), dtype="float64")
    separate = BornOperator(model, layout, wavelet=wavelet, numerics=numerics)
    together = BornOperator(model, layout, wavelet=wavelet, numerics=numerics, encoding=encoding)
    rng = np.random.default_rng(11)
    dm, d = rng.standard_normal(model.shape), rng.standard_normal(together.range_shape)
    expected = encoding.forward(separate.forward(dm))
    assert np.linalg.norm(together.forward(dm) - expected) <= 1e-10 * np.linalg.norm(expected)
    fired = (encoding @ separate).adjoint(d)
    assert np.linalg.norm(together.adjoint(d) - fired) <= 1e-10 * np.linalg.norm(fired)


def test_delayed_simultaneous_sources_are_encoded_records():
    model = earth()
    layout = survey(model, num_sources=3)
    delays = np.array([[0.0, 0.02, 0.05], [0.031, 0.0, 0.004]])
    encoding = SourceEncoding(layout, weights=[[1.0, -2.0, 0.5]] * 2, delays=delays, dtype="float64")
    operators = [
        BornOperator(model, layout, wavelet=ricker(F0, DT, NT), numerics=PLAIN, encoding=e)
        for e in (None, encoding)
    ]
    separate, together = (op.forward(np.random.default_rng(12).standard_normal(SHAPE)) for op in operators)
    expected = encoding.forward(separate)
    assert np.linalg.norm(together - expected) <= 1e-10 * np.linalg.norm(expected)


def test_simultaneous_sources_need_a_fixed_spread():
    model = earth()
    encoding = random_signs(survey(model), 2, rng=np.random.default_rng(2))
    with pytest.raises(
        GeometryError, match="record every source for simultaneous sources, got receivers that"
    ):
        BornOperator(model, streamer(model), wavelet=ricker(F0, DT, NT), encoding=encoding)


def test_compiled_once_per_setting():
    def run(op):
        op.adjoint(op.forward(np.ones(op.domain_shape)))
        return compiled.cache_info().currsize

    count = run(born())
    same = [
        born(seed=11),
        born(shape=(17, 25), nt=240),
        born(dt=0.004, nt=80),
        born(numerics=PLAIN),
        born(origin=(-300.0, 40.0)),
        born(spread=streamer),
        born(signs=3),
    ]
    assert {run(op) for op in same} == {count}
    # The spacing is part of the generated code.
    wider = born(spacing=(14.0, 10.0))
    wider.forward(np.ones(wider.domain_shape))
    assert compiled.cache_info().currsize == count + 1


def test_the_spacing_is_that_of_the_model():
    # Waves scale: twice the spacing with twice the velocity is the same computation, of other generated code.
    wavelet, layout, records = ricker(F0, DT, NT), survey(earth()), []
    for scale in (1.0, 2.0):
        model = EarthModel(
            scale * earth().vp,
            tuple(scale * h for h in SPACING),
            nbl=6,
            space_order=4,
            dtype="float64",
            absorbing_velocity=scale * 2300.0,
        )
        moved = Acquisition(scale * layout.sources, scale * layout.receivers, DT, NT)
        records.append(ForwardOperator(model, moved).forward(wavelet))
    # beta = (v dt)^2 is four times as large.
    expected = 4.0 * records[0]
    assert np.linalg.norm(records[1] - expected) <= 1e-10 * np.linalg.norm(expected)


def test_shape_and_length_do_not_depend_on_what_was_compiled_for():
    # The same model, once in a larger frame that the waves do not cross within the record.
    vp = np.full((60, 57), 2300.0)
    inner = np.random.default_rng(0).uniform(2000.0, 2600.0, SHAPE)
    vp[20:42, 19:38] = inner
    wide = np.pad(vp, 9, mode="edge")
    layout = survey(earth(), nt=110)
    records = []
    for values, cells in ((vp, (20, 19)), (wide, (29, 28))):
        model = EarthModel(
            values,
            SPACING,
            origin=tuple(-c * h for c, h in zip(cells, SPACING, strict=True)),
            nbl=0,
            space_order=4,
            dtype="float64",
        )
        records.append(
            ForwardOperator(model, layout, numerics=PLAIN).forward(ricker(40.0, DT, 110)[None].repeat(2, 0))
        )
    assert np.linalg.norm(records[0] - records[1]) <= 1e-9 * np.linalg.norm(records[0])


PROGRAM = """
import hashlib
import numpy as np
from physics.geometry import Acquisition
from physics.linear import BornOperator
from physics.model import EarthModel
from physics.wavelets import ricker

vp = np.random.default_rng(0).uniform(2000.0, 2600.0, (22, 19))
model = EarthModel(vp=vp, spacing=(12.5, 10.0), nbl=6, space_order=4, dtype="float64")
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
    assert len(here["digest"]) == 64
    assert here["digest"] == again["digest"] == there.stdout.strip()


def test_overflow_names_the_shot():
    op = forward(dtype="float32")
    q = np.zeros(op.domain_shape)
    q[1] = 1e38
    with pytest.raises(NonFiniteError, match=r"expected a finite record of shot 1, got \d+ of \d+ values"):
        op.forward(q)


@pytest.mark.parametrize("make", [forward, born, lambda **o: born(**SCATTERING, **o)])
def test_modelling_leaves_subnormal_numbers_alone(make):
    op = make(dtype="float32")
    op.adjoint(op.forward(np.ones(op.domain_shape)))
    assert np.float64(5e-324) * np.ones(1) != 0.0
    assert np.float32(1e-38) * np.float32(0.01) * np.ones(1, np.float32) != 0.0
