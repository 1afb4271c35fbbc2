"""Simultaneous sources: exact adjoints, and records that agree with what the fired sources would give."""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from physics.algebra import dot_test
from physics.encoding import SourceEncoding, gaussian, plane_waves, random_delays, random_signs
from physics.errors import GeometryError
from physics.geometry import Acquisition
from physics.wavelets import interpolate, ricker

DT, NT, NSRC, NREC = 0.004, 90, 6, 5


def survey(ndim=2, **options):
    rng = np.random.default_rng(9)
    positions = {
        "sources": rng.uniform(0.0, 300.0, (NSRC, ndim)),
        "receivers": rng.uniform(0.0, 300.0, (NREC, ndim)),
    }
    return Acquisition(**(positions | {"dt": DT, "nt": NT} | options))


def rng():
    return np.random.default_rng(3)


ENCODINGS = {
    "random signs": lambda dtype: random_signs(survey(), 3, rng=rng(), dtype=dtype),
    "gaussian": lambda dtype: gaussian(survey(), 2, rng=rng(), dtype=dtype),
    "random delays": lambda dtype: random_delays(survey(), 3, longest=0.2, rng=rng(), dtype=dtype),
    "plane waves": lambda dtype: plane_waves(survey(), [-3e-4, 0.0, 2e-4, 3e-4], dtype=dtype),
    "plane waves 3-D": lambda dtype: plane_waves(survey(3), [[2e-4, -1e-4], [0.0, 3e-4]], dtype=dtype),
    "one sum": lambda dtype: SourceEncoding(survey(), weights=np.ones((1, NSRC)), dtype=dtype),
    "signs and delays": lambda dtype: SourceEncoding(
        survey(),
        weights=rng().standard_normal((2, NSRC)),
        delays=rng().uniform(0.0, (NT - 1) * DT, (2, NSRC)),
        dtype=dtype,
    ),
}
EACH = pytest.mark.parametrize("make", ENCODINGS.values(), ids=ENCODINGS.keys())


@EACH
def test_adjoint_is_exact(make):
    # Some hundred terms a sum: rounding is 1e-14 in double, 1e-6 in single precision.
    dot_test(make("float64"), rng=rng(), rtol=1e-12)
    dot_test(make("float32"), rng=rng(), rtol=1e-5)


@EACH
def test_shapes_and_dtypes(make):
    E = make("float32")
    assert E.domain_shape == (NSRC, NT, NREC)
    assert E.range_shape == (E.num_encodings, NT, NREC)
    encoded = E.forward(np.ones(E.domain_shape))
    assert (encoded.shape, encoded.dtype) == (E.range_shape, np.float32)
    restored = E.adjoint(encoded)
    assert (restored.shape, restored.dtype) == (E.domain_shape, np.float32)
    assert E.weights.shape == E.delays.shape == (E.num_encodings, NSRC)
    assert E.signatures(np.ones(NT)).shape == (E.num_encodings, NSRC, NT)


def impulse_responses():
    """Causal random responses, quiet before their end so that no delayed record is cut off."""
    responses = np.random.default_rng(5).standard_normal((NSRC, NT, NREC))
    responses[:, NT // 3 :] = 0.0
    return responses


def model(responses, signatures):
    """Records (nsrc, nt, nrec) of signatures (nsrc, nt)."""
    return fftconvolve(responses, signatures[:, :, None], axes=1)[:, :NT]


@EACH
def test_encoded_records_are_those_of_the_sources_fired_together(make):
    E = make("float64")
    wavelet = ricker(30.0, DT, NT)
    responses = impulse_responses()
    encoded = E.forward(model(responses, wavelet[None].repeat(NSRC, axis=0)))
    fired = np.stack([model(responses, q).sum(axis=0) for q in E.signatures(wavelet)])
    # Ricker at 30 Hz: 2e-6 of its peak beyond the Nyquist frequency of 125 Hz, and 1e-8 at its start.
    assert np.abs(encoded - fired).max() < 1e-5 * np.abs(encoded).max()


def test_whole_delays_agree_even_in_records_that_are_loud_at_their_end():
    E = random_delays(survey(), 3, longest=0.2, rng=rng(), dtype="float64")
    responses = np.random.default_rng(5).standard_normal((NSRC, NT, NREC))
    wavelet = np.random.default_rng(6).standard_normal(NT)
    encoded = E.forward(model(responses, wavelet[None].repeat(NSRC, axis=0)))
    fired = np.stack([model(responses, q).sum(axis=0) for q in E.signatures(wavelet)])
    assert np.allclose(encoded, fired, rtol=0, atol=1e-12 * np.abs(encoded).max() * NT)


def test_fractional_delays_feel_where_the_record_is_cut_off():
    E = plane_waves(survey(), [3.3e-4], dtype="float64")
    responses = np.random.default_rng(5).standard_normal((NSRC, NT, NREC))
    wavelet = ricker(30.0, DT, NT)
    encoded = E.forward(model(responses, wavelet[None].repeat(NSRC, axis=0)))[0]
    fired = model(responses, E.signatures(wavelet)[0]).sum(axis=0)
    wrong = np.abs(encoded - fired).max(axis=1) / np.abs(encoded).max()
    assert 1e-4 < wrong[-1] < 0.03
    assert wrong[:-10].max() < 3e-3


def test_whole_delays_move_samples_untouched_and_drop_what_leaves_the_record():
    delays = np.array([[0.0, 1.0, 7.0, 0.0, 20.0, 89.0]]) * DT
    E = SourceEncoding(survey(), weights=np.ones((1, NSRC)), delays=delays, dtype="float64")
    d = np.random.default_rng(0).standard_normal(E.domain_shape)
    expected = np.zeros((NT, NREC))
    for shot, shift in zip(d, (0, 1, 7, 0, 20, 89), strict=True):
        expected[shift:] += shot[: NT - shift]
    assert np.allclose(E.forward(d)[0], expected, rtol=0, atol=1e-12)


def test_fractional_delay_is_the_one_of_the_records_interpolation():
    # The half-way samples of the propagator's own sinc interpolation, two steps a sample.
    wavelet = ricker(25.0, DT, NT)
    E = SourceEncoding(
        survey(), weights=np.ones((1, NSRC)), delays=np.full((1, NSRC), 0.5 * DT), dtype="float64"
    )
    between = interpolate(wavelet, 2)[1::2]
    assert np.allclose(E.signatures(wavelet)[0, 0, 1:], between, rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("make", [random_signs, random_delays, plane_waves])
def test_modelled_records_are_those_of_the_sources_fired_together(make):
    from physics.linear import ForwardOperator
    from physics.model import EarthModel

    model = EarthModel(vp=np.full((40, 36), 2000.0), spacing=(10.0, 10.0), dtype="float64")
    small = Acquisition(
        [[55.0, 30.0], [200.0, 32.0], [310.0, 28.0]], [[20.0 + 40.0 * i, 25.0] for i in range(9)], 0.002, 220
    )
    E = {
        random_signs: lambda: random_signs(small, 2, rng=rng(), dtype="float64"),
        random_delays: lambda: random_delays(small, 2, longest=0.04, rng=rng(), dtype="float64"),
        plane_waves: lambda: plane_waves(small, [2e-4, -1e-4], dtype="float64"),
    }[make]()
    F, wavelet = ForwardOperator(model, small), ricker(25.0, 0.002, 220)
    encoded = E.forward(F.forward(wavelet))
    fired = np.stack([F.forward(q).sum(axis=0) for q in E.signatures(wavelet)])
    # Weights commute with the modelling to rounding. Delays do as far as the tail that the record cuts off
    # lets them: it is at 3e-4 of the peak.
    limit = 1e-12 if make is random_signs else 3e-4
    assert np.abs(encoded - fired).max() < limit * np.abs(encoded).max()


def test_plane_waves_are_linear_delays_from_the_first_source_on():
    E = plane_waves(survey(), [-2e-4, 0.0, 5e-4])
    x = survey().sources[:, 0]
    assert np.allclose(E.delays[2], 5e-4 * (x - x.min()), atol=1e-15)
    assert np.allclose(E.delays[0], 2e-4 * (x.max() - x), atol=1e-15)
    assert not E.delays[1].any()


@pytest.mark.parametrize("kind", [random_signs, gaussian])
def test_mean_of_many_random_encodings_is_the_identity(kind):
    num = 20_000
    E = kind(survey(), num, rng=np.random.default_rng(1))
    # An entry of W^T W is a mean of 20000 products: it scatters by 1 / sqrt(20000) = 0.7 % off the diagonal,
    # by 1 % on it for Gaussian weights; five deviations.
    assert np.abs(E.weights.T @ E.weights - np.eye(NSRC)).max() < 0.05
    if kind is random_signs:
        assert np.allclose(np.abs(E.weights), num**-0.5)


def test_random_delays_are_all_whole_samples_and_follow_the_generator():
    E = random_delays(survey(), 500, longest=0.2, rng=rng_of(1))
    assert np.array_equal(np.unique(np.rint(E.delays / DT)), np.arange(51))
    assert np.allclose(E.delays / DT, np.rint(E.delays / DT), rtol=0, atol=1e-12)
    assert np.array_equal(E.delays, random_delays(survey(), 500, longest=0.2, rng=rng_of(1)).delays)
    assert not np.array_equal(E.delays, random_delays(survey(), 500, longest=0.2, rng=rng_of(2)).delays)


def rng_of(seed):
    return np.random.default_rng(seed)


def test_codes_cannot_be_changed():
    E = random_delays(survey(), 1, longest=0.1, rng=rng())
    with pytest.raises(ValueError, match="read-only"):
        E.weights[0, 0] = 2.0


ONES = np.ones((1, NSRC))
BAD = {
    "moving": (
        lambda: SourceEncoding(
            survey(receivers=np.random.default_rng(0).uniform(size=(NSRC, NREC, 2))), weights=ONES
        ),
        r"record all sources, to fire them together, got receivers that move",
    ),
    "dead": (
        lambda: SourceEncoding(survey(live=~np.eye(NSRC, NREC, dtype=bool)), weights=ONES),
        "got dead traces: encode a fixed spread",
    ),
    "flat weights": (lambda: SourceEncoding(survey(), weights=np.ones(NSRC)), r"\(nenc, nsrc\), got \(6,\)"),
    "other weights": (lambda: SourceEncoding(survey(), weights=np.ones((2, 5))), r"\(2, 6\), got \(2, 5\)"),
    "other delays": (
        lambda: SourceEncoding(survey(), weights=ONES, delays=np.zeros((2, NSRC))),
        r"delays of shape \(1, 6\), got \(2, 6\)",
    ),
    "advance": (
        lambda: SourceEncoding(survey(), weights=ONES, delays=-0.1 * ONES),
        r"delays from 0 to the record's length of 0\.356 s, got -0\.1",
    ),
    "late": (
        lambda: random_delays(survey(), 2, longest=9.0, rng=rng()),
        r"delays from 0 to the record's length",
    ),
    "NaN": (lambda: SourceEncoding(survey(), weights=np.nan * ONES), "expected finite weights"),
    "none": (lambda: random_signs(survey(), 0, rng=rng()), "at least 1 simultaneous shot, got 0"),
    "slownesses": (
        lambda: plane_waves(survey(3), [1e-4, 2e-4]),
        r"slownesses of shape \(num, 2\) for a 3-D survey, got \(2,\)",
    ),
    "records": (
        lambda: random_signs(survey(), 2, rng=rng()).forward(np.zeros((NSRC, NT))),
        r"expected records of shape \(6, 90, 5\), got \(6, 90\)",
    ),
    "wavelet": (
        lambda: random_signs(survey(), 2, rng=rng()).signatures(np.zeros(NT + 1)),
        r"expected wavelet of shape \(90,\), got \(91,\)",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD.keys())
def test_bad_encoding_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bad_geometry_is_a_geometry_error():
    with pytest.raises(GeometryError):
        BAD["moving"][0]()
