"""Shots as a likelihood takes them: noise made white, experiments that are what they say, right gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physics.acoustic import AcousticOperator
from physics.algebra import dot_test
from physics.encoding import SourceEncoding
from physics.errors import PhysicsError
from physics.geometry import Acquisition
from physics.likelihood import AcousticShots, BornShots, Whitening, trace_covariance
from physics.linear import BornOperator
from physics.model import EarthModel
from physics.noise import add_noise
from physics.wavelets import ricker

SHAPE, SPACING, DT, NT = (14, 13), (10.0, 8.0), 0.001, 120
WAVELET = ricker(20.0, DT, NT)
SURVEY = Acquisition(
    [[30.0, 24.0], [80.0, 16.0], [50.0, 30.0]], [[20.0, 16.0], [70.0, 40.0], [110.0, 24.0]], DT, NT
)
STD = 0.7


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def model(seed=1):
    vp = np.random.default_rng(seed).uniform(2000.0, 2600.0, SHAPE)
    return EarthModel(vp=vp, spacing=SPACING, nbl=6, space_order=4, dtype="float64")


def linearised(survey, encoding):
    return BornOperator(model(), survey, wavelet=WAVELET, encoding=encoding)


def whitening(**options):
    return Whitening(trace_covariance(WAVELET, STD), *SURVEY.record_shape[::2], **options)


def every_shot(samples):
    return torch.eye(3, dtype=torch.float64).expand(samples, -1, -1)


def small(*shape, seed=0):
    """Perturbations of some percent of the squared slowness."""
    return torch.from_numpy(1e-8 * random(*shape, seed=seed))


def gradient_of(value, x):
    models = x.clone().requires_grad_()
    return torch.autograd.grad(value(models), models)[0]


def test_the_covariance_is_that_of_the_noise() -> None:
    """Over 20 000 traces entries are right to 1 / sqrt(20 000) of the variance; five times that is asked."""
    _, noise = add_noise(np.ones((1, NT, 20_000)), 0.0, WAVELET, np.random.default_rng(0))
    traces = noise[0]
    std = float(np.sqrt(np.mean(traces**2)))
    found, expected = traces @ traces.T / traces.shape[1], trace_covariance(WAVELET, std)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=5.0 * std**2 / np.sqrt(20_000))


def test_whitened_noise_is_white() -> None:
    """To rounding by the covariance, and by draws to five standard errors."""
    covariance, operator = trace_covariance(WAVELET, STD), whitening()
    rows = operator.forward(np.broadcast_to(np.eye(NT)[:, :3], (3, NT, 3)))
    assert 10 < rows.shape[1] < NT  # a band: neither all samples nor hardly any
    matrix = np.concatenate(
        [operator.forward(np.eye(NT)[None, :, i : i + 3].repeat(3, 0))[0] for i in range(0, NT, 3)], 1
    )
    np.testing.assert_allclose(matrix @ covariance @ matrix.T, np.eye(len(matrix)), atol=1e-9)
    _, noise = add_noise(np.ones((3, NT, 400)), 0.0, WAVELET, np.random.default_rng(1))
    white = Whitening(trace_covariance(WAVELET, float(noise.std())), 3, 400).forward(noise)
    assert abs(np.mean(white**2) - 1.0) < 5.0 * np.sqrt(2.0 / white.size) + 5.0 * np.sqrt(2.0 / noise.size)


def test_noise_of_another_spectrum_is_not_whitened() -> None:
    noise = random(3, NT, 400)
    white = Whitening(trace_covariance(WAVELET, 1.0), 3, 400).forward(noise)
    assert abs(np.mean(white**2) - 1.0) > 0.5


def test_a_lower_floor_keeps_more() -> None:
    assert whitening(floor=1e-6).range_shape[1] > whitening(floor=1e-2).range_shape[1]


def test_whitening_passes_the_dot_test() -> None:
    assert dot_test(whitening()) < 1e-12
    assert dot_test(whitening().of_shots(1)) < 1e-12
    assert dot_test(whitening() @ linearised(SURVEY, None)) < 1e-11


def test_born_shots_are_the_operator_s() -> None:
    x = small(2, 1, *SHAPE)
    found = BornShots(linearised, SURVEY)(x, every_shot(2))
    for sample in range(2):
        expected = linearised(SURVEY, None).forward(x[sample, 0].numpy())
        np.testing.assert_allclose(found[sample], expected, rtol=1e-12, atol=1e-12 * abs(expected).max())


def test_sums_of_shots_are_encoded_records() -> None:
    """Modelling of many sources at once is linear: rounding over 120 steps."""
    x, weights = small(2, 1, *SHAPE), torch.from_numpy(random(2, 2, 3, seed=4))
    single = BornShots(linearised, SURVEY)(x, every_shot(2))
    found = BornShots(linearised, SURVEY)(x, weights)
    expected = torch.einsum("bks,bstr->bktr", weights, single)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))
    by_class = SourceEncoding(SURVEY, weights=weights[0].numpy(), dtype=np.float64).forward(single[0].numpy())
    np.testing.assert_allclose(found[0], by_class, rtol=1e-9, atol=1e-10 * abs(by_class).max())


def test_whitened_shots_are_whitened_records() -> None:
    x, white = small(1, 1, *SHAPE), whitening()
    plain = BornShots(linearised, SURVEY)(x, every_shot(1))[0].numpy()
    found = BornShots(linearised, SURVEY, white)(x, every_shot(1))[0].numpy()
    np.testing.assert_allclose(found, white.forward(plain), rtol=1e-10, atol=1e-12 * abs(found).max())


@pytest.mark.parametrize("rows", ["shots", "sums"])
def test_the_gradient_of_born_shots_is_the_migration(rows: str) -> None:
    """Of half the squares, by Taylor: exact for a linear map, to the rounding of the difference."""
    shots = BornShots(linearised, SURVEY, whitening())
    weights = every_shot(1)[:, 1:2] if rows == "shots" else torch.from_numpy(random(1, 1, 3, seed=5))
    data = torch.from_numpy(random(1, 1, *whitening().range_shape[1:], seed=6))

    def value(x):
        return 0.5 * (shots(x, weights) - data).square().sum()

    x, step = small(1, 1, *SHAPE, seed=2), small(1, 1, *SHAPE, seed=3)
    gradient = gradient_of(value, x)
    slope = float((value(x + step) - value(x - step)) / 2.0)
    assert float((gradient * step).sum()) == pytest.approx(slope, rel=1e-8)


def operator():
    return AcousticOperator(model(), SURVEY, wavelet=WAVELET)


def test_acoustic_shots_are_the_operator_s() -> None:
    x, m0 = small(2, 1, *SHAPE), model().m
    shots = AcousticShots(operator(), background=m0, whitening=whitening())
    found = shots(x, every_shot(2)[:, [2]])
    for sample in range(2):
        records = operator().forward(m0 + x[sample, 0].numpy())
        expected = whitening().forward(records)[2]
        np.testing.assert_allclose(found[sample, 0], expected, rtol=1e-10, atol=1e-11 * abs(expected).max())


def test_the_gradient_of_acoustic_shots() -> None:
    """Central differences of steps h err by h^2: halving them leaves a quarter."""
    shots, weights = AcousticShots(operator(), background=model().m), every_shot(1)[:, :2]
    data = torch.from_numpy(random(1, 2, *SURVEY.record_shape[1:], seed=6))

    def value(x):
        return 0.5 * (shots(x, weights) - data).square().sum()

    x, step = small(1, 1, *SHAPE, seed=2), small(1, 1, *SHAPE, seed=3)
    gradient = gradient_of(value, x)
    errors = [
        abs(float((value(x + h * step) - value(x - h * step)) / (2.0 * h)) - float((gradient * step).sum()))
        for h in (0.4, 0.2)
    ]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


def test_a_model_that_cannot_be_modelled_is_nan_with_a_graph() -> None:
    shots = AcousticShots(operator(), background=model().m)
    x = small(2, 1, *SHAPE).requires_grad_()
    records = shots(x - 1.0, every_shot(2))
    assert records.shape == (2, *SURVEY.record_shape)
    assert records.isnan().all()
    (gradient,) = torch.autograd.grad(records.sum(), x)
    assert not gradient.isfinite().any()


def test_bad_input_is_refused() -> None:
    x = small(2, 1, *SHAPE)
    with pytest.raises(PhysicsError, match=r"expected weights of shape \(2, K, 3\), got \(1, 3, 3\)"):
        BornShots(linearised, SURVEY)(x, every_shot(1))
    with pytest.raises(PhysicsError, match="expected single shots, rows of weights with a single 1"):
        AcousticShots(operator())(x, torch.ones(2, 1, 3))
    with pytest.raises(PhysicsError, match="floor between 0 and 1"):
        whitening(floor=0.0)
    with pytest.raises(PhysicsError, match="symmetric covariance"):
        Whitening(np.triu(np.ones((4, 4))), 1, 1)
    with pytest.raises(PhysicsError, match="without negative eigenvalues"):
        Whitening(np.diag([1.0, -1.0]), 1, 1)
    with pytest.raises(PhysicsError, match="not zero and a positive std"):
        trace_covariance(WAVELET, 0.0)
