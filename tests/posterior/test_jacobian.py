"""Products with the Jacobian equal those of torch.func on the stored network, and keep nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from posterior.conditioners import ResidualConditioner
from posterior.invertible import Invertible, trainable
from posterior.jacobian import Domain, Jacobian, Tangent
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.hyperbolic import HyperbolicLayer
from posterior.layers.inverse import Inverse
from posterior.layers.irim import conjugated, irim_coupling
from posterior.layers.slim import slim_coupling
from posterior.layers.spline import RationalQuadraticSpline
from posterior.layers.squeeze import HaarSqueeze
from posterior.linear_map import LinearMap
from posterior.networks.glow import ConditionalGlow
from posterior.networks.hyperbolic import Hyperbolic
from posterior.networks.multiscale import MultiScale
from posterior.reversible import MemoryLike, Sequential

# Torch scripts a few of its own derivatives when forward mode is first used, and warns about that.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")

# Both sides are exact derivatives in float64 of values of order one: only rounding is between them.
TOLERANCE: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}
MATRIX = torch.randn(5, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 6.0


def spline(memory: MemoryLike) -> Invertible:
    conditioner = partial(ResidualConditioner, hidden=4)
    transform = RationalQuadraticSpline(bins=4, bound=2.0)
    coupling = Coupling(2, 1, conditioner=conditioner, transform=transform)
    return Sequential([ActNorm(2), Conv1x1(2), coupling], memory)


def multiscale(memory: MemoryLike) -> Invertible:
    couple = partial(Coupling, cond_channels=0, conditioner=partial(ResidualConditioner, hidden=4))
    chains = [Sequential([HaarSqueeze(), Conv1x1(n), couple(n)], memory) for n in (8, 16)]
    return MultiScale(2, chains)


def physical(memory: MemoryLike) -> Invertible:
    operator = LinearMap(lambda x: x.flatten(1) @ MATRIX.T, lambda d: (d @ MATRIX).view(-1, 1, 4, 8))
    network = partial(ResidualConditioner, hidden=4)
    coupling = slim_coupling(2, operator, network=network)
    return Sequential([ActNorm(2), conjugated(coupling, Conv1x1(2), memory)], memory)


# Every network by its memory mode, with the shape of its condition.
NETWORKS: dict[str, tuple[Callable[[MemoryLike], Invertible], tuple[int, ...] | None]] = {
    "conditional glow": (lambda m: ConditionalGlow(2, 1, hidden=4, scales=2, steps=2, memory=m), (1, 4, 8)),
    "multi-scale": (multiscale, None),
    "hyperbolic layer": (lambda m: Sequential([HyperbolicLayer(2, 1, hidden=3)], m), (1, 4, 8)),
    "hyperbolic network": (lambda m: Hyperbolic(2, 1, hidden=3, scales=2, steps=2, memory=m), (1, 4, 8)),
    "i-RIM coupling": (lambda m: irim_coupling(2, 1, hidden=3, stride=2, memory=m), (1, 4, 8)),
    "spline coupling": (spline, (1, 4, 8)),
    "physics inside": (physical, (5,)),
}
every = pytest.mark.parametrize("name", NETWORKS)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(
    name: str, memory: MemoryLike, *, training: bool = False
) -> tuple[Invertible, Tensor, Tensor | None]:
    """A network with weights away from their start, and a point."""
    build, cond_shape = NETWORKS[name]
    torch.manual_seed(0)
    network = build(memory).double()
    x = normal(3, 2, 4, 8, seed=1)
    c = None if cond_shape is None else normal(3, *cond_shape, seed=2)
    network(x, c)  # initialises its ActNorms
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network.train(training), x, c


def directions(jacobian: Jacobian) -> Tangent:
    """Random ones for all that may move."""
    parameters = [normal(*p.shape, seed=5 + i) for i, p in enumerate(trainable(jacobian.network))]
    return Tangent(
        normal(*jacobian.x.shape, seed=3) if "x" in jacobian.of else None,
        normal(*jacobian.c.shape, seed=4) if "c" in jacobian.of and jacobian.c is not None else None,
        parameters if "parameters" in jacobian.of else None,
    )


def movable(c: Tensor | None) -> tuple[Domain, ...]:
    return ("x", "parameters") if c is None else ("x", "c", "parameters")


def dot(a: Tangent, b: Tangent) -> Tensor:
    pairs = [(a.x, b.x), (a.c, b.c), *zip(a.parameters or (), b.parameters or (), strict=True)]
    return sum((torch.sum(u * v) for u, v in pairs if u is not None and v is not None), torch.zeros(()))


@every
@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_equals_torch_func_on_the_stored_network(name: str, inverse: bool, training: bool) -> None:
    network, x, c = built(name, "invert", training=training)
    jacobian = Jacobian(network, x, c, inverse=inverse, of=movable(c))
    v = directions(jacobian)
    stored = built(name, "store", training=training)[0]
    module = Inverse(stored) if inverse else stored
    weights = {key: parameter.detach() for key, parameter in module.named_parameters()}
    assert v.parameters is not None

    def function(x: Tensor, c: Tensor | None, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        # With tie_weights=True torch leaves a module that is in use at two places changed for good.
        return functional_call(module, weights, (x, c), tie_weights=False)

    def without_c(x: Tensor, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return function(x, None, weights)

    moved = dict(zip(weights, v.parameters, strict=True))
    point, tangents = ((x, weights), (v.x, moved)) if c is None else ((x, c, weights), (v.x, v.c, moved))
    call = without_c if c is None else function
    (z, logdet), expected = torch.func.jvp(call, point, tangents)
    for got, want in zip(jacobian.forward(*v), expected, strict=True):
        torch.testing.assert_close(got, want, **TOLERANCE)

    w = normal(*z.shape, seed=98), normal(*logdet.shape, seed=99)
    (_, *_), pull = torch.func.vjp(call, *point)
    grad_x, *grad_c, grad_weights = pull(w)
    back = jacobian.adjoint(*w)
    torch.testing.assert_close(back.x, grad_x, **TOLERANCE)
    torch.testing.assert_close([] if back.c is None else [back.c], grad_c, **TOLERANCE)
    torch.testing.assert_close(back.parameters, list(grad_weights.values()), **TOLERANCE)


@every
@pytest.mark.parametrize("of", [("x",), ("parameters",), ("parameters", "x")], ids="-".join)
def test_linear_operator_and_its_adjoint_agree(name: str, of: tuple[Domain, ...]) -> None:
    network, x, c = built(name, "invert")
    jacobian = Jacobian(network, x, c, of=of)
    operator = jacobian.as_linear_operator()
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert operator.shape == (x.numel(), x.numel() * ("x" in of) + weights * ("parameters" in of))
    rng = np.random.default_rng(0)
    v, w = rng.normal(size=operator.shape[1]), rng.normal(size=operator.shape[0])
    assert np.dot(w, operator @ v) == pytest.approx(np.dot(operator.H @ w, v), rel=1e-12)


def test_linear_operator_is_the_dense_jacobian() -> None:
    network, x, c = built("conditional glow", "invert")
    assert c is not None
    x, c = x[:1], c[:1]
    dense = torch.autograd.functional.jacobian(
        lambda v: network(v.view(x.shape), c)[0].flatten(), x.flatten()
    )
    operator = Jacobian(network, x, c).as_linear_operator()
    torch.testing.assert_close(torch.from_numpy(operator @ np.eye(x.numel())), dense, **TOLERANCE)


def test_parameter_in_use_at_two_places_moves_at_both_and_stays_the_networks_own() -> None:
    layers = [ActNorm(2), ActNorm(2)]
    layers[1].bias = layers[0].bias
    network = Sequential([*layers, layers[0]]).double().eval()
    own = list(network.parameters())
    jacobian = Jacobian(network, normal(1, 2, 3, 3, seed=1), of=("parameters",))
    assert len(own) == 3
    dz, _ = jacobian.forward(dparameters=[torch.ones_like(p) if p is layers[0].bias else 0 * p for p in own])
    torch.testing.assert_close(dz, torch.full_like(dz, 3.0), **TOLERANCE)
    assert all(after is before for after, before in zip(network.parameters(), own, strict=True))
    assert layers[1].bias is layers[0].bias


@pytest.mark.parametrize("logdet", [False, True], ids=["", "logdet"])
def test_gauss_newton_is_the_norm_of_what_moves(logdet: bool) -> None:
    network, x, c = built("conditional glow", "invert")
    jacobian = Jacobian(network, x, c, of=movable(c))
    v = directions(jacobian)
    dz, dlogdet = jacobian.forward(*v)
    expected = dz.square().sum() + (dlogdet.square().sum() if logdet else 0.0)
    torch.testing.assert_close(dot(jacobian.gauss_newton(*v, logdet=logdet), v), expected, **TOLERANCE)
    adjoint = jacobian.adjoint(dz, dlogdet if logdet else None)
    torch.testing.assert_close(jacobian.gauss_newton(*v, logdet=logdet), adjoint, **TOLERANCE)


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_nothing_is_kept_by_forward_and_nothing_that_grows_with_depth_by_adjoint(inverse: bool) -> None:
    kept = []
    for steps in (1, 6):
        network = ConditionalGlow(2, 0, hidden=4, scales=1, steps=steps).eval()
        own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
        saved: dict[int, int] = {}

        def pack(tensor: Tensor, saved: dict[int, int] = saved, own: set[int] = own) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        jacobian = Jacobian(network, torch.randn(2, 2, 8, 8), inverse=inverse, of=("x", "parameters"))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            dz, dlogdet = jacobian.forward(torch.randn(2, 2, 8, 8), None, trainable(network))
            assert not saved
            jacobian.adjoint(dz, dlogdet)
        kept.append(sum(saved.values()))
        assert not dz.requires_grad
        assert all(parameter.grad is None for parameter in network.parameters())
    assert kept[0] == kept[1] > 0


def test_dropout_is_the_same_in_every_product() -> None:
    torch.manual_seed(0)
    conditioner = partial(ResidualConditioner, hidden=16, dropout=0.5)
    layers = [Coupling(4, conditioner=conditioner), Conv1x1(4), Coupling(4, conditioner=conditioner)]
    network = Sequential(layers).double().train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    x = normal(2, 4, 3, 5, seed=1)
    jacobian = Jacobian(network, x, of=("x", "parameters"))
    v = directions(jacobian)
    before = torch.get_rng_state()
    dz, _ = jacobian.forward(*v)
    again, _ = jacobian.forward(*v)
    assert torch.equal(dz, again)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(dot(jacobian.adjoint(dz), v), dz.square().sum(), **TOLERANCE)
    torch.rand(1)
    other, _ = Jacobian(network, x, of=("x", "parameters")).forward(*v)
    assert not torch.equal(dz, other)


def test_frozen_parameters_and_what_stands_still() -> None:
    network, x, c = built("conditional glow", "invert")
    for parameter in list(network.parameters())[2:]:
        parameter.requires_grad_(False)
    jacobian = Jacobian(network, x, c, of=("parameters",))
    back = jacobian.adjoint(torch.ones_like(x))
    assert back.x is None
    assert back.c is None
    assert back.parameters is not None
    assert len(back.parameters) == 2
    assert not any(moved.any() for moved in jacobian.forward())


def test_network_that_would_initialise_itself_is_refused() -> None:
    network = Sequential([ActNorm(2), Conv1x1(2)]).train()
    x = torch.randn(2, 2, 3, 3)
    with pytest.raises(ValueError, match=r"expected an initialised network, got one whose .* use eval\(\)"):
        Jacobian(network, x)
    dz, _ = Jacobian(network.eval(), x).forward(torch.ones_like(x))
    assert dz.shape == x.shape


def test_what_does_not_fit_is_refused() -> None:
    network, x, c = built("conditional glow", "invert")
    jacobian = Jacobian(network, x, c, of=("x", "parameters"))
    with pytest.raises(ValueError, match=r"expected dx of shape \(3, 2, 4, 8\), got \(1, 2, 4, 8\)"):
        jacobian.forward(x[:1])
    with pytest.raises(ValueError, match=r"expected directions of \['x', 'parameters'\], got one of 'c'"):
        jacobian.forward(dc=c)
    with pytest.raises(ValueError, match=r"expected directions of \d+ parameters, got 1"):
        jacobian.forward(dparameters=[x])
    with pytest.raises(ValueError, match=r"expected dlogdet of shape \(3,\), got \(\)"):
        jacobian.adjoint(x, torch.zeros(()))
    with pytest.raises(ValueError, match=r"expected of among \['x', 'parameters'\], got \['c'\]"):
        Jacobian(network, x, of=("c",))
    with pytest.raises(ValueError, match=r"expected of among \['x', 'c', 'parameters'\], got \[\]"):
        Jacobian(network, x, c, of=())
