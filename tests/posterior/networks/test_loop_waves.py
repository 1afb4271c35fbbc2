"""Loop-unrolled reconstruction through the wave equation: Born modelling, and full waveform modelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from physics.acoustic import AcousticOperator
from physics.autograd import apply, forward
from physics.encoding import random_signs
from physics.geometry import Acquisition
from physics.model import EarthModel
from physics.wavelets import ricker
from posterior.layers.units import LinearUnits
from posterior.linear_map import LinearMap
from posterior.linear_misfit import LinearMisfit
from posterior.misfit import AdjointError, Misfit
from posterior.networks.loop import LoopUnrolled
from posterior.nonlinear_misfit import NonlinearMisfit
from posterior.reversible import Memory, MemoryLike

SavedBytes = Callable[..., int]
SHAPE, DT, NT = (12, 12), 0.001, 100
WAVELET = ricker(20.0, DT, NT)
MODEL = (1, *SHAPE)
UNITS = LinearUnits(2e-8)
SURVEYS = [
    Acquisition([[30.0, 24.0], [80.0, 16.0]], [[20.0, 16.0], [70.0, 40.0]], DT, NT),
    Acquisition([[50.0, 24.0], [90.0, 40.0]], [[105.0, 16.0], [10.0, 56.0]], DT, NT),
]


def acoustic(index: int) -> AcousticOperator:
    """A survey and a background of its own for every sample."""
    vp = np.random.default_rng(index).uniform(2000.0, 2300.0, SHAPE)
    earth = EarthModel(vp=vp, spacing=(10.0, 10.0), nbl=6, space_order=4, dtype="float64")
    return AcousticOperator(earth, SURVEYS[index], wavelet=WAVELET)


OPERATORS = [acoustic(0), acoustic(1)]
BACKGROUND = torch.from_numpy(np.stack([one.reference.m for one in OPERATORS]))[:, None]


def linearised(*, encoded: int | None = None) -> LinearMap:
    """Born modelling of both samples; sources are summed with random signs where a seed is given."""
    each: list[Any] = [one.at(one.reference.m) for one in OPERATORS]
    if encoded is not None:
        rng = np.random.default_rng(encoded)
        each = [
            random_signs(one, 1, rng=rng, dtype=np.float64) @ J for one, J in zip(SURVEYS, each, strict=True)
        ]
    return LinearMap(lambda x: apply(each, x[:, 0]), lambda d: apply([one.H for one in each], d)[:, None])


def born() -> LinearMisfit:
    return LinearMisfit(linearised(), MODEL)


def waveform() -> NonlinearMisfit:
    """Full waveform modelling of background + x, with its Gauss-Newton product."""

    def gradient(x: Tensor, d: Tensor) -> Tensor:
        m = (BACKGROUND + x).numpy()[:, 0]
        found = [one.misfit(m[i], d[i].numpy()).gradient for i, one in enumerate(OPERATORS)]
        return torch.from_numpy(np.stack(found))[:, None]

    def curvature(x: Tensor, d: Tensor, v: Tensor) -> Tensor:
        m = (BACKGROUND + x).numpy()[:, 0]
        jacobians = [one.at(m[i]) for i, one in enumerate(OPERATORS)]
        products = [J.adjoint(J.forward(v[i, 0].numpy())) for i, J in enumerate(jacobians)]
        return torch.from_numpy(np.stack(products))[:, None]

    return NonlinearMisfit(gradient, curvature, MODEL)


def perturbation() -> Tensor:
    return 2e-8 * torch.randn(2, *MODEL, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def born_data() -> Tensor:
    return linearised().forward(perturbation())


def waveform_data() -> Tensor:
    return forward(BACKGROUND + perturbation(), OPERATORS)


def network(memory: MemoryLike, iterations: int = 2, **options: Any) -> LoopUnrolled:
    torch.manual_seed(0)
    options = {"hidden": 4, "memory_channels": 3, "strides": (2,), "link": UNITS} | options
    net = LoopUnrolled(iterations=iterations, memory=memory, **options).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.train()


KINDS: dict[str, tuple[Callable[[], Misfit], Callable[[], Tensor]]] = {
    "born": (born, born_data),
    "waveform": (waveform, waveform_data),
}


@pytest.mark.parametrize(("make", "data"), KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("update", ["additive", "affine"])
def test_gradients_by_inversion_equal_stored_ones(
    make: Callable[[], Misfit], data: Callable[[], Tensor], update: Any
) -> None:
    d, found = data(), []
    for memory in ("invert", Memory(keep=True), "store"):
        net, misfit = network(memory, update=update), make()
        x = net.reconstruct(d, misfit)
        loss = (x / UNITS.scale - 1.0).square().mean()
        found.append((x.detach(), *torch.autograd.grad(loss, list(net.parameters()))))
    for got, kept, expected in zip(*found, strict=True):
        # The largest of each tensor's entries sets the scale: gradients span many magnitudes.
        size = float(expected.abs().max())
        torch.testing.assert_close(got, expected, atol=1e-9 * size, rtol=0.0)
        torch.testing.assert_close(kept, expected, atol=1e-9 * size, rtol=0.0)


@pytest.mark.parametrize(("make", "data"), KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize(("memory", "back"), [(Memory(), 2), (Memory(keep=True), 1)], ids=["invert", "keep"])
def test_waves_that_a_training_step_runs(
    make: Callable[[], Misfit], data: Callable[[], Tensor], memory: Memory, back: int
) -> None:
    misfit, batch, iterations = make(), 2, 2
    x = network(memory, iterations).reconstruct(data(), misfit)
    assert misfit.num_forward == misfit.num_adjoint == batch * (iterations + 1)
    (x / UNITS.scale).square().mean().backward()
    assert misfit.num_forward == misfit.num_adjoint == batch * (iterations + 1 + back * iterations)


def test_gradient_in_the_data() -> None:
    net, d = network("invert").eval(), born_data().requires_grad_()
    found = []
    for memory in ("invert", "store"):
        net.memory = Memory(memory)
        found.append(torch.autograd.grad((net.reconstruct(d, born()) / UNITS.scale).square().sum(), d)[0])
    torch.testing.assert_close(found[0], found[1], atol=1e-9 * float(found[1].abs().max()), rtol=0.0)


def test_bytes_saved_do_not_depend_on_iterations(saved_bytes: SavedBytes) -> None:
    kept, d = {}, born_data()
    for memory in ("invert", "store"):
        for iterations in (2, 16):
            net, misfit = network(memory, iterations), born()
            call = lambda data, net=net, misfit=misfit: net.reconstruct(data, misfit)[None]  # noqa: E731
            kept[memory, iterations] = saved_bytes(call, net.parameters(), d)
    assert kept["invert", 2] == kept["invert", 16]
    assert kept["store", 16] > 5 * kept["store", 2]


def test_a_new_encoding_of_the_sources_in_every_call() -> None:
    net = network("invert", start="zero").eval()
    shots, images = born_data(), []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        encode = [random_signs(one, 1, rng=rng, dtype=np.float64) for one in SURVEYS]
        misfit = LinearMisfit(linearised(encoded=seed), MODEL)
        few = apply(encode, shots)
        assert few.shape == (2, 1, NT, 2)
        torch.testing.assert_close(misfit.operator.forward(perturbation()), few, atol=1e-12, rtol=1e-9)
        images.append(net.reconstruct(few, misfit))
    assert (images[0] - images[1]).abs().max() > 1e-10


def test_dot_test_of_the_waves_and_of_ones_whose_adjoint_lost_a_source() -> None:
    d = born_data()
    assert born().check(perturbation(), d) < 1e-11
    assert waveform().check(perturbation(), waveform_data()) < 1e-11
    right = linearised()

    def lossy(records: Tensor) -> Tensor:
        return right.adjoint(torch.cat((records[:, :1], 0.0 * records[:, 1:]), 1))

    with pytest.raises(
        AdjointError, match=r"<A u, w> = <u, A\^T w> within 1e-09, got .* relative mismatch of 0\."
    ):
        LinearMisfit(LinearMap(right.forward, lossy), MODEL).check(perturbation(), d)


def test_units_that_do_not_fit_are_refused_by_the_waves() -> None:
    velocities = LinearUnits(100.0, 2000.0)
    with pytest.raises(ValueError, match=r"squared slowness m in s\^2/m\^2.*looks like a velocity"):
        network("invert", link=velocities).reconstruct(waveform_data(), waveform())
