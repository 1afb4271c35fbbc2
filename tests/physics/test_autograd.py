"""Wave modelling in torch: gradients against finite differences, and nothing run for those nobody wants."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.gradcheck import GradcheckError

from physics.acoustic import AcousticOperator
from physics.autograd import apply, born, forward, migrate
from physics.errors import PhysicsError
from physics.geometry import Acquisition
from physics.model import EarthModel
from physics.preprocess import DepthWeight
from physics.propagators import Propagator
from physics.wavelets import ricker

SHAPE, SPACING = (14, 13), (10.0, 8.0)
DT, NT = 0.001, 120
WAVELET = ricker(20.0, DT, NT)
NEAR = Acquisition([[30.0, 24.0], [80.0, 16.0]], [[20.0, 16.0], [70.0, 40.0]], DT, NT)
FAR = Acquisition([[50.0, 24.0], [90.0, 40.0]], [[110.0, 16.0], [10.0, 56.0]], DT, NT)


def velocity(seed=0, batch=2):
    values = np.random.default_rng(seed).uniform(2000.0, 2600.0, (batch, *SHAPE))
    return torch.from_numpy(values)


def acoustic(survey=NEAR, seed=0, **options):
    options = {"nbl": 6, "space_order": 4, "dtype": "float64"} | options
    model = EarthModel(vp=velocity(seed)[0].numpy(), spacing=SPACING, **options)
    return AcousticOperator(model, survey, wavelet=WAVELET)


def operators():
    """Samples with surveys and references of their own."""
    return [acoustic(), acoustic(FAR, seed=1)]


def noise(*shape, seed=2, **options):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).requires_grad_(**options)


def records(batch=2):
    return noise(batch, 2, NT, 2)


@pytest.fixture
def runs(monkeypatch):
    """Kinds of the compiled functions that ran."""
    kinds, run = [], Propagator._run

    def spy(self, kind, shot):
        kinds.append(kind)
        run(self, kind, shot)

    monkeypatch.setattr(Propagator, "_run", spy)
    return kinds


V0 = velocity()


def check(function, *inputs, twice=False, fast=True):
    """Compare gradients to finite differences, of steps of 1e-6 in inputs of about 1.

    Results are scaled so that an entry of the Jacobian, or its product with random directions of norm 1, is
    about 1: the tolerance is relative. Results are some hundred then, and rounded by 1e-13 after a hundred
    steps: over 1e-6, that is 1e-7 in the typical and ten times as much in the worst of 60 000 entries. In the
    fast mode torch takes directions of positive numbers, along which waves cancel: so signs are random here;
    and it multiplies the absolute tolerance by the sums of both directions, some hundred.
    """
    signs = [noise(*x.shape, seed=6).detach().sign() for x in inputs]
    signed = [(s * x).detach().requires_grad_(x.requires_grad) for s, x in zip(signs, inputs, strict=True)]

    def scaled(*xs):
        result = function(*(s * x for s, x in zip(signs, xs, strict=True)))
        return result * noise(*result.shape, seed=8).detach().sign() / size

    size = 1.0
    result = scaled(*signed)
    gradients = torch.autograd.grad(result.sum(), [x for x in signed if x.requires_grad])
    size = min(g.norm().item() / (g.numel() * result.numel()) ** 0.5 for g in gradients)
    compare, tolerance = gradgradcheck if twice else gradcheck, 1e-8 if fast else 1e-5
    return compare(scaled, signed, atol=tolerance, rtol=1e-5, fast_mode=fast)


FUNCTIONS = {
    "forward, vp": lambda x: forward(V0 * (1.0 + 0.1 * x), operators(), parameter="vp"),
    "forward, m": lambda x: forward(V0**-2 * (1.0 + 0.1 * x), operators(), parameter="m"),
    "forward, channel": lambda x: forward((V0 * (1.0 + 0.1 * x))[:, None], acoustic(), parameter="vp"),
    "born, m": lambda x: born(1e-8 * x, operators()),
    "born, m, backgrounds": lambda x: born(1e-8 * x, operators(), background=velocity(3) ** -2),
    "born, vp": lambda x: born(x, operators(), parameter="vp"),
    "born, vp, one background": lambda x: born(
        x[:, None], acoustic(), background=velocity(3)[0], parameter="vp"
    ),
}
RECORDS = {
    "migrate, m": lambda d: migrate(d, operators()),
    "migrate, m, one background": lambda d: migrate(d, acoustic(), background=velocity(3)[0] ** -2),
    "migrate, vp": lambda d: migrate(d, operators(), background=velocity(3)[:, None], parameter="vp"),
    "weighted migration": lambda d: apply(
        DepthWeight(SHAPE, power=1.0, dtype="float64") @ acoustic().at(V0[0] ** -2).H, d
    ),
}
WAVELETS = {
    "(nt,)": (NT,),
    "(nsrc, nt)": (2, NT),
    "(B, nsrc, nt)": (2, 2, NT),
}
linear = pytest.mark.parametrize(
    ("function", "make"),
    [(f, lambda: noise(2, *SHAPE)) for name, f in FUNCTIONS.items() if name.startswith("born")]
    + [(f, records) for f in RECORDS.values()],
    ids=[name for name in FUNCTIONS if name.startswith("born")] + list(RECORDS),
)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_gradient_of_records(function):
    x = 0.3 * noise(2, *SHAPE).detach()
    assert check(function, x.requires_grad_())


@pytest.mark.parametrize("function", RECORDS.values(), ids=RECORDS.keys())
def test_gradient_of_images(function):
    assert check(function, records())


@pytest.mark.parametrize("shape", WAVELETS.values(), ids=WAVELETS.keys())
def test_gradient_in_the_wavelet_and_the_model(shape):
    wavelet = torch.from_numpy(WAVELET).expand(shape).clone().requires_grad_()
    x = 0.3 * noise(2, *SHAPE).detach()

    def function(x, wavelet):
        return forward(V0 * (1.0 + 0.1 * x), operators(), parameter="vp", wavelet=wavelet)

    assert check(function, x.requires_grad_(), wavelet)
    assert check(lambda w: forward(V0, operators(), parameter="vp", wavelet=w), wavelet)


def test_every_entry_of_the_jacobian_of_modelling():
    few = Acquisition(NEAR.sources[:1], NEAR.receivers[:1], DT, NT)
    x, wavelet = noise(1, *SHAPE), torch.from_numpy(WAVELET).requires_grad_()

    def function(x, wavelet):
        return forward(V0[:1] * (1.0 + 0.03 * x), acoustic(few), parameter="vp", wavelet=wavelet)

    assert check(function, x, wavelet, fast=False)


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "slow"])
def test_the_check_finds_a_gradient_that_is_wrong_by_a_thousandth(fast):
    few = Acquisition(NEAR.sources[:1], NEAR.receivers[:1], DT, NT)
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        check(lambda x: born(1e-8 * (x + 1e-3 * x.detach()), acoustic(few)), noise(1, *SHAPE), fast=fast)


@linear
def test_linear_operators_have_derivatives_of_any_order(function, make):
    # Of the squares: the second derivative of a linear map is zero, that of its square is not.
    x = make()
    size = function(x).detach().square().mean().sqrt()
    assert check(lambda x: (function(x) / size).square(), x, twice=True)


def test_gauss_newton_product_by_double_backward():
    x, direction = noise(1, *SHAPE), noise(1, *SHAPE, seed=5).detach()
    J = acoustic().at(V0[0] ** -2)
    value = 0.5 * apply(J, x).square().sum()
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)
    (product,) = torch.autograd.grad(gradient, x, direction)
    expected = J.adjoint(J.forward(direction[0].numpy()))
    assert np.allclose(product[0].numpy(), expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_records_and_gradients_are_those_of_the_operators():
    each, m = operators(), (V0**-2).requires_grad_()
    observed = records().detach()
    d = forward(m, each)
    (0.5 * (d - observed).square().sum()).backward()
    for sample, operator in enumerate(each):
        numbers = m[sample].detach().numpy()
        assert np.array_equal(d[sample].detach().numpy(), operator.forward(numbers))
        expected = operator.misfit(numbers, observed[sample].numpy()).gradient
        assert np.array_equal(m.grad[sample].numpy(), expected)


def test_a_batch_is_its_samples():
    # To the bit: nothing of one sample may reach another.
    batch = forward(V0, operators(), parameter="vp")
    single = [forward(V0[b : b + 1], operators()[b], parameter="vp") for b in range(2)]
    assert torch.equal(batch, torch.cat(single))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_results_have_the_dtype_of_the_input(dtype):
    vp = V0.to(dtype).requires_grad_()
    d = forward(vp, acoustic(), parameter="vp")
    d.sum().backward()
    exact = V0.to(dtype).to(torch.float64).requires_grad_()
    expected = forward(exact, acoustic(), parameter="vp")
    expected.sum().backward()
    assert d.dtype == vp.grad.dtype == dtype
    # Computed in double precision, rounded once.
    assert torch.equal(d, expected.to(dtype))
    assert torch.equal(vp.grad, exact.grad.to(dtype))


def test_an_operator_in_single_precision():
    vp = V0.to(torch.float32).requires_grad_()
    d = forward(vp, acoustic(dtype="float32"), parameter="vp")
    expected = forward(V0, acoustic(), parameter="vp")
    # Rounding to 6e-8 at each of 120 steps.
    assert torch.linalg.norm(d.double() - expected) <= 1e-5 * torch.linalg.norm(expected)
    d.sum().backward()
    assert vp.grad.isfinite().all()


SHOTS = 4


def test_without_a_graph_nothing_is_kept_nor_run_twice(runs):
    vp = V0.clone().requires_grad_()
    with torch.no_grad():
        forward(vp, operators(), parameter="vp", keep_wavefields=True)
    forward(V0, operators(), parameter="vp", keep_wavefields=True)
    assert runs == ["forward"] * 2 * SHOTS


def test_gradient_in_the_model_only(runs):
    vp = V0.clone().requires_grad_()
    forward(vp, operators(), parameter="vp", wavelet=torch.from_numpy(WAVELET)).sum().backward()
    assert runs == ["forward"] * SHOTS + ["forward_keep", "born_adjoint"] * SHOTS


def test_gradient_in_the_wavelet_only(runs):
    wavelet = torch.from_numpy(WAVELET).clone().requires_grad_()
    forward(V0, operators(), parameter="vp", wavelet=wavelet).sum().backward()
    assert runs == ["forward"] * SHOTS + ["adjoint"] * SHOTS


def test_kept_wavefields_are_not_computed_again(runs):
    each, gradients = operators(), []
    for keep in (False, True):
        vp = V0.clone().requires_grad_()
        runs.clear()
        forward(vp, each, parameter="vp", keep_wavefields=keep).sum().backward()
        gradients.append(vp.grad)
    assert runs == ["forward_keep"] * SHOTS + ["born_adjoint"] * SHOTS
    assert torch.equal(*gradients)


def test_wavefields_that_another_batch_overwrote_are_computed_again():
    each, first, second = operators(), V0.clone().requires_grad_(), velocity(5).requires_grad_()
    d = forward(first, each, parameter="vp", keep_wavefields=True)
    forward(second, each, parameter="vp", keep_wavefields=True).sum().backward()
    d.sum().backward()
    again = V0.clone().requires_grad_()
    forward(again, each, parameter="vp").sum().backward()
    assert torch.equal(first.grad, again.grad)


def test_shots_that_do_not_count_are_not_run(runs):
    vp = V0.clone().requires_grad_()
    forward(vp, operators(), parameter="vp")[:, 1].sum().backward()
    assert runs == ["forward"] * SHOTS + ["forward_keep", "born_adjoint"] * 2
    assert vp.grad.abs().sum() > 0.0


def test_linear_operators_run_no_adjoint_unless_wanted(runs):
    each = operators()
    born(noise(2, *SHAPE).detach(), each)
    assert runs == ["born"] * SHOTS
    runs.clear()
    migrate(records().detach(), each)
    assert runs == ["forward_keep", "born_adjoint"] * SHOTS


@pytest.mark.parametrize("loss", [lambda d: d.sum(), lambda d: d.square().sum()], ids=["linear", "square"])
def test_second_derivative_of_modelling_is_refused(loss):
    vp = V0.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(forward(vp, operators(), parameter="vp")), vp, create_graph=True)
    with pytest.raises(
        PhysicsError, match=r"expected first derivatives of acoustic modelling only, got .* second"
    ):
        gradient.square().sum().backward()


@pytest.mark.parametrize("function", [born, migrate])
def test_gradient_in_the_background_is_refused(function):
    background = V0.clone().requires_grad_()
    x = noise(2, *SHAPE) if function is born else records()
    with pytest.raises(PhysicsError, match=r"expected a background without gradient, .*detach\(\)"):
        function(x, operators(), background=background, parameter="vp")
    with torch.no_grad():
        function(x, operators(), background=background, parameter="vp")


def wider():
    return acoustic(Acquisition(NEAR.sources, [[20.0, 16.0]], DT, NT))


BAD = {
    "no batch": (
        lambda: forward(V0[0], acoustic()),
        r"model of shape \(B, 14, 13\) or \(B, 1, 14, 13\), got \(14, 13\)",
    ),
    "axes": (lambda: forward(V0.mT, acoustic()), r"\(B, 14, 13\) or .*, got \(2, 13, 14\)"),
    "channels": (
        lambda: forward(V0[None].transpose(0, 1).expand(2, 3, *SHAPE), acoustic()),
        r"got \(2, 3, 14, 13\)",
    ),
    "empty": (lambda: forward(V0[:0], acoustic()), r"batch of at least 1 sample, got shape \(0, 14, 13\)"),
    "number": (lambda: forward(torch.tensor(1.0), acoustic()), r"at least 1 sample, got shape \(\)"),
    "operators": (lambda: forward(V0, [acoustic()] * 3), r"one for each of 2, got 3"),
    "surveys": (
        lambda: forward(V0, [acoustic(), wider()], parameter="vp"),
        r"operators whose records can be stacked, got shapes \[\(2, 120, 1\), \(2, 120, 2\)\]",
    ),
    "parameter": (lambda: forward(V0, acoustic(), parameter="v"), r"parameter 'm' or 'vp', got 'v'"),
    "integers": (
        lambda: forward(V0.long(), acoustic(), parameter="vp"),
        r"floating-point numbers, got torch.int64",
    ),
    "velocity as m": (lambda: forward(V0, acoustic()), r"got a minimum of 200\d.*looks like a velocity"),
    "m as velocity": (lambda: forward(V0**-2, acoustic(), parameter="vp"), r"looks like a velocity"),
    "wavelet": (
        lambda: forward(V0, acoustic(), parameter="vp", wavelet=torch.zeros(5)),
        r"wavelet of shape \(120,\), \(2, 120\) or \(2, 2, 120\), got \(5,\)",
    ),
    "perturbation": (
        lambda: born(V0[..., 1:], acoustic()),
        r"perturbation of shape \(B, 14, 13\) or .*14, 12\)",
    ),
    "background": (
        lambda: born(V0, acoustic(), background=velocity(batch=3)[:, None, 1:], parameter="vp"),
        r"background of shape \(B, 14, 13\) or \(B, 1, 14, 13\), got \(3, 1, 13, 13\)",
    ),
    "backgrounds": (
        lambda: born(V0, acoustic(), background=velocity(batch=3), parameter="vp"),
        r"as many backgrounds as samples, 2, got 3",
    ),
    "records": (
        lambda: migrate(records().mT, acoustic()),
        r"input of shape \(B, 2, 120, 2\), got \(2, 2, 2, 120\)",
    ),
    "not finite": (lambda: forward(V0 * torch.nan, acoustic()), r"expected finite squared slowness m"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(call, message):
    with pytest.raises(PhysicsError, match=message):
        call()
