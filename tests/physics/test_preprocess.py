"""Mutes, weights, gains and filters: exact adjoints, and what each does."""

import numpy as np
import pytest

from physics.algebra import dot_test
from physics.filters import BandPass
from physics.geometry import Acquisition
from physics.preprocess import DepthWeight, DirectMute, LiveTraces, OffsetMute, TimeGain, TopMute, WaterMute

DT, NT = 0.004, 101


def survey(**options):
    given = {
        "sources": [[0.0, 5.0], [200.0, 5.0]],
        "receivers": np.column_stack([np.arange(5) * 100.0, np.full(5, 9.0)]),
        "dt": DT,
        "nt": NT,
    }
    return Acquisition(**(given | options))


def streamer():
    sources = np.array([[500.0, 5.0], [600.0, 5.0]])
    behind = np.column_stack([-50.0 - 100.0 * np.arange(5), np.full(5, 4.0)])
    live = np.ones((2, 5), bool)
    live[0, 4] = False
    return Acquisition(sources, sources[:, None, :] + behind, DT, NT, live)


SURVEYS = {"fixed": survey(), "streamer": streamer()}
OPERATORS = {
    "direct mute": lambda s, t: DirectMute(s, velocity=1500.0, delay=0.05, taper=0.1, dtype=t),
    "top mute, number": lambda s, t: TopMute(s, times=0.1, taper=0.05, dtype=t),
    "top mute, receivers": lambda s, t: TopMute(s, times=np.linspace(0.0, 0.3, 5), taper=0.0, dtype=t),
    "top mute, traces": lambda s, t: TopMute(s, times=np.full((2, 5), 0.1), taper=0.1, dtype=t),
    "near offsets": lambda s, t: OffsetMute(s, minimum=120.0, taper=100.0, dtype=t),
    "offset window": lambda s, t: OffsetMute(s, minimum=20.0, maximum=330.0, taper=30.0, dtype=t),
    "t squared": lambda s, t: TimeGain(s, power=2.0, dtype=t),
    "exponential gain": lambda s, t: TimeGain(s, power=1.0, rate=3.0, dtype=t),
    "live traces": lambda s, t: LiveTraces(s, dtype=t),
    "band-pass": lambda s, t: BandPass(s, corners=(4.0, 8.0, 40.0, 60.0), dtype=t),
    "low-pass": lambda s, t: BandPass(s, corners=(0.0, 0.0, 40.0, 60.0), dtype=t),
    "sharp band-pass": lambda s, t: BandPass(s, corners=(10.0, 10.0, 40.0, 40.0), dtype=t),
    "water mute": lambda s, t: WaterMute((6, 7), (10.0, 10.0), depth=20.0, taper=20.0, dtype=t),
    "depth weight": lambda s, t: DepthWeight((6, 7), power=1.5, dtype=t),
}


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS.keys())
@pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS.keys())
def test_laws_of_a_linear_operator(make, survey):
    op = make(survey, "float64")
    # Diagonal, or a transform of some hundred samples: rounding is below 1e-14, in single precision 1e-6.
    dot_test(op, rtol=1e-12)
    dot_test(make(survey, "float32"), rtol=1e-5)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, *op.domain_shape))
    assert np.allclose(op.forward(2.0 * x - y), 2.0 * op.forward(x) - op.forward(y), atol=1e-12)
    assert np.array_equal(op.adjoint(x), op.forward(x))
    assert op.forward(x).shape == op.range_shape
    assert make(survey, "float32").forward(x).dtype == np.float32


def test_water_mute_is_zero_above_one_below_and_monotonic_between():
    mute = WaterMute((3, 21), (10.0, 10.0), depth=40.0, taper=60.0, dtype="float64").weights
    assert not mute[:, :5].any()
    assert (mute[:, 10:] == 1.0).all()
    assert (np.diff(mute[0, 4:11]) > 0.0).all()
    assert mute[0, 7] == pytest.approx(0.5)


def test_water_mute_follows_the_water_bottom():
    bottom = np.array([0.0, 50.0, 200.0])
    mute = WaterMute((3, 21), (10.0, 10.0), depth=bottom, taper=0.0).weights
    assert mute.sum(axis=1).tolist() == [20.0, 15.0, 0.0]


def test_depth_weight():
    assert DepthWeight((2, 5), power=2.0).weights[0].tolist() == [0.0, 0.0625, 0.25, 0.5625, 1.0]
    assert (DepthWeight((2, 5), power=0.0).weights == 1.0).all()


def test_direct_mute_starts_after_the_direct_wave():
    survey = Acquisition(sources=[[0.0, 0.0]], receivers=[[0.0, 0.0], [300.0, 400.0]], dt=0.01, nt=101)
    mute = DirectMute(survey, velocity=1000.0, delay=0.1, taper=0.2, dtype="float64").weights[0]
    for receiver, arrival in ((0, 0.1), (1, 0.6)):
        start = round(arrival / 0.01)
        assert not mute[:start, receiver].any()
        assert mute[start + 10, receiver] == pytest.approx(0.5)
        assert (mute[start + 21 :, receiver] == 1.0).all()


def test_bad_weights_are_refused():
    with pytest.raises(ValueError, match=r"depth as a number or a map of shape \(3,\), got shape \(4,\)"):
        WaterMute((3, 21), (10.0, 10.0), depth=np.zeros(4), taper=0.0)
    with pytest.raises(ValueError, match="finite taper of at least 0, got -1"):
        WaterMute((3, 21), (10.0, 10.0), depth=0.0, taper=-1.0)
    with pytest.raises(ValueError, match="expected 2 spacings"):
        WaterMute((3, 21), (10.0,), depth=0.0, taper=1.0)
    with pytest.raises(ValueError, match="finite power of at least 0, got -1"):
        DepthWeight((3, 21), power=-1.0)
    survey = Acquisition(sources=[[0.0, 0.0]], receivers=[[0.0, 0.0]], dt=0.01, nt=11)
    with pytest.raises(ValueError, match=r"velocity of the direct wave in m/s, at least 100, got 1\.5"):
        DirectMute(survey, velocity=1.5, delay=0.0, taper=0.0)


def test_direct_mute_follows_a_streamer():
    mute = DirectMute(streamer(), velocity=1500.0, delay=0.0, taper=0.0).weights
    # The same offsets behind both sources; the group at 450 m hears the direct wave after 0.3 s.
    assert np.array_equal(mute[0], mute[1])
    assert mute[0, :, 4].argmax() == 76


def test_top_mute_starts_at_the_given_times():
    times = np.array([[0.0, 0.1, 0.2, 0.3, 9.0], [0.1] * 5])
    mute = TopMute(survey(), times=times, taper=0.08, dtype="float64").weights
    assert not mute[0, :51, 2].any()
    assert mute[0, 60, 2] == pytest.approx(0.5)
    assert (mute[0, 70:, 2] == 1.0).all()
    assert not mute[0, :, 4].any()
    assert np.array_equal(mute[1, :, 0], mute[1, :, 4])


def test_offset_mute_keeps_a_window_of_offsets():
    mute = OffsetMute(survey(), minimum=0.0, maximum=300.0, taper=200.0, dtype="float64").weights
    # Offsets 0, 100 ... 400 m from the first source: tapers overlap.
    assert np.allclose(mute[0, 0], [0.0, 0.5, 0.5, 0.0, 0.0])
    assert (mute == mute[:, :1]).all()
    assert (OffsetMute(survey(), taper=50.0).weights == 1.0).all()
    near = OffsetMute(survey(), maximum=150.0, taper=0.0).weights
    assert near[1, 0].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_gains_are_powers_and_exponentials_of_time():
    time = np.arange(NT) * DT
    gain = TimeGain(survey(), power=2.0, rate=1.5, dtype="float64").weights
    assert np.allclose(gain, (time**2 * np.exp(1.5 * time))[None, :, None], rtol=1e-14)
    assert (TimeGain(survey()).weights == 1.0).all()


def test_live_traces_silences_dead_ones():
    assert (LiveTraces(survey()).weights == 1.0).all()
    assert np.array_equal(LiveTraces(streamer()).weights[:, 7, :], streamer().live)


def test_band_pass_keeps_its_band_without_a_shift():
    time = np.arange(400) * DT
    long = survey(nt=400)
    window = np.exp(-(((time - 0.8) / 0.15) ** 2))
    inside, outside = (window * np.cos(2 * np.pi * f * (time - 0.8)) for f in (20.0, 80.0))
    d = np.broadcast_to((inside + outside)[None, :, None], long.record_shape)
    found = BandPass(long, corners=(2.0, 6.0, 40.0, 50.0), dtype="float64").forward(d)[1, :, 3]
    # The window is 2 Hz wide, so that 14 and 20 Hz from the flanks nothing is left of its spectrum.
    assert np.allclose(found, inside, atol=1e-9)


def test_band_pass_does_not_wrap_around():
    d = np.zeros((2, NT, 5))
    d[:, -1] = 1.0
    found = BandPass(survey(), corners=(0.0, 0.0, 30.0, 60.0), dtype="float64").forward(d)
    assert np.abs(found[:, :10]).max() < 1e-3 * np.abs(found).max()


BAD = {
    "times": (
        lambda: TopMute(survey(), times=np.zeros(4), taper=0.0),
        r"shape \(5,\) or \(2, 5\), got shape \(4",
    ),
    "NaN times": (lambda: TopMute(survey(), times=np.nan, taper=0.0), "finite times"),
    "taper": (lambda: TopMute(survey(), times=0.0, taper=-1.0), "finite taper of at least 0, got -1"),
    "window": (
        lambda: OffsetMute(survey(), minimum=50.0, maximum=20.0, taper=0.0),
        "a minimum below the maximum offset, got 50.0 and 20.0 m",
    ),
    "power": (lambda: TimeGain(survey(), power=-1.0), "a power of at least 0 and a finite rate, got -1"),
    "rate": (lambda: TimeGain(survey(), rate=500.0), r"a rate below 200 1/s for records of 0\.4 s, got 500"),
    "corners": (
        lambda: BandPass(survey(), corners=(4.0, 8.0, 60.0, 40.0)),
        r"f3 <= f4 <= 125 Hz \(Nyquist\), got \(4\.0, 8\.0, 60\.0, 40\.0\)",
    ),
    "Nyquist": (lambda: BandPass(survey(), corners=(4.0, 8.0, 100.0, 130.0)), "<= 125 Hz"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD.keys())
def test_bad_operator_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
