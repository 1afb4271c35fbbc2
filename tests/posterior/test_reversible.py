"""The reversible chain: all memory modes give the same gradients; faults of published chains are absent."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner
from posterior.invertible import Invertible
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.reversible import MemoryLike, Sequential

EXACT: dict[str, Any] = {
    "atol": 1e-10,
    "rtol": 1e-10,
}  # float64 rounding (1e-16) times a depth of 24 layers and sums over cells
MODES = ["invert", "checkpoint", "store"]
C, K = 3, 2


def step(dropout: float = 0.0) -> Sequential:
    conditioner = partial(ResidualConditioner, hidden=6, dropout=dropout)
    return Sequential([ActNorm(C), Conv1x1(C), Coupling(C, K, conditioner=conditioner)], "store")


def chain(memory: MemoryLike, depth: int = 4, *, shared: bool = False, dropout: float = 0.0) -> Sequential:
    torch.manual_seed(0)
    steps = [step(dropout)] * depth if shared else [step(dropout) for _ in range(depth)]
    module = Sequential(steps, memory).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, value in module.named_buffers():
            assert name.endswith("initialised")
            value.fill_(True)
    return module


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return (
        torch.randn(4, C, 6, 4, dtype=dtype, requires_grad=True),
        torch.randn(4, K, 6, 4, dtype=dtype, requires_grad=True),
    )


def loss_of(z: Tensor, logdet: Tensor) -> Tensor:
    """A loss whose gradient differs in every cell and sample."""
    weight = torch.arange(1, z.numel() + 1, dtype=z.dtype).sin().view_as(z)
    share = torch.arange(1, len(logdet) + 1, dtype=z.dtype)
    return (weight * z).sum() + 0.1 * z.square().sum() - (share * logdet).sum()


def gradients(module: Invertible, call: Callable[..., tuple[Tensor, Tensor]]) -> list[Tensor]:
    x, c = inputs()
    return list(torch.autograd.grad(loss_of(*call(x, c)), [x, c, *module.parameters()]))


def assert_same(got: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("shared", [False, True], ids=["distinct", "shared"])
@pytest.mark.parametrize("depth", [1, 8])
@pytest.mark.parametrize("memory", ["invert", "checkpoint"])
def test_gradients_equal_stored_ones(memory: MemoryLike, depth: int, shared: bool, inverse: bool) -> None:
    results = []
    for mode in (memory, "store"):
        module = chain(mode, depth, shared=shared)
        results.append(gradients(module, module.inverse if inverse else module))
    assert_same(*results)


@pytest.mark.parametrize("memory", MODES)
def test_without_condition(memory: MemoryLike) -> None:
    torch.manual_seed(0)
    layers = [Coupling(C, conditioner=ResidualConditioner, swap=bool(i % 2)) for i in range(3)]
    module = Sequential(layers, memory).double()
    x, _ = inputs()
    loss_of(*module(x)).backward()
    assert x.grad is not None
    # Zero-initialised conditioners: z = x, so the gradient is the loss's own.
    torch.testing.assert_close(x.grad, torch.autograd.grad(loss_of(x, x.new_zeros(4)), x)[0], **EXACT)


def test_two_forwards_before_one_backward() -> None:
    module = chain("invert")
    x, c = inputs()
    first, second = loss_of(*module(x, c)), loss_of(*module(2.0 * x, c - 1.0))
    got = torch.autograd.grad(first * second, [x, c, *module.parameters()])
    module = chain("store")
    product = loss_of(*module(x, c)) * loss_of(*module(2.0 * x, c - 1.0))
    assert_same(list(got), list(torch.autograd.grad(product, [x, c, *module.parameters()])))


def test_one_condition_feeds_several_chains_and_the_loss() -> None:
    results = []
    for memory in ("invert", "store"):
        first, second = chain(memory), chain(memory, 2, shared=True)
        x, c = inputs()
        encoded = c.exp()
        z, logdet = first(x, encoded)
        z, more = second(z + x, encoded)  # a skip connection around the chain
        loss = loss_of(z, logdet + more) + encoded.square().sum()
        results.append(list(torch.autograd.grad(loss, [x, c, *first.parameters(), *second.parameters()])))
    assert_same(*results)


def test_input_may_be_a_view_or_the_saved_output_of_an_operation() -> None:
    results = []
    for memory in ("invert", "store"):
        module = chain(memory)
        big = torch.randn(4, 2 * C, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        big.requires_grad_()
        _, c = inputs()
        z, logdet = module(big.exp()[:, 1 : 1 + C], c)  # exp keeps its output for its own backward
        z, more = module(z.sigmoid(), c)  # so does sigmoid, of this chain's output
        results.append(list(torch.autograd.grad(loss_of(z, logdet + more), [big, *module.parameters()])))
    assert_same(*results)


def test_retain_graph_and_autograd_grad() -> None:
    module = chain("invert")
    x, c = inputs()
    loss = loss_of(*module(x, c))
    targets = [x, c, *module.parameters()]
    first = torch.autograd.grad(loss, targets, retain_graph=True)
    assert all(target.grad is None for target in targets)
    loss.backward(retain_graph=True)
    loss.backward()
    for target, gradient in zip(targets, first, strict=True):
        assert target.grad is not None
        torch.testing.assert_close(target.grad, 2.0 * gradient, **EXACT)


def test_frozen_parameters_and_inputs_without_gradient() -> None:
    reference = gradients(module := chain("store"), module)[2:]
    module = chain("invert")
    x, c = (v.detach() for v in inputs())
    frozen = [p for name, p in module.named_parameters() if "middle" in name or "bias" in name]
    for parameter in frozen:
        parameter.requires_grad_(False)
    loss_of(*module(x, c)).backward()
    for parameter, expected in zip(module.parameters(), reference, strict=True):
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, expected, **EXACT)
        else:
            assert parameter.grad is None


@pytest.mark.parametrize("memory", MODES)
def test_latent_of_a_frozen_network_in_evaluation_mode(memory: MemoryLike) -> None:
    module = chain(memory).eval().requires_grad_(False)
    z, c = inputs()
    x, logdet = module.inverse(z, c.detach())
    (gradient,) = torch.autograd.grad(loss_of(x, logdet), z)
    reference = gradients(other := chain("store").eval(), other.inverse)[0]
    torch.testing.assert_close(gradient, reference, **EXACT)


def test_nothing_is_recorded_without_gradients() -> None:
    module = chain("invert")
    with torch.no_grad():
        z, logdet = module(*inputs())
    assert not z.requires_grad
    assert not logdet.requires_grad


@pytest.mark.parametrize("part", [0, 1], ids=["latent", "logdet"])
def test_loss_may_use_one_result_only(part: int) -> None:
    results = []
    for memory in ("invert", "store"):
        module = chain(memory)
        x, c = inputs()
        loss = module(x, c)[part].square().sum()
        grads = torch.autograd.grad(loss, [x, c, *module.parameters()], allow_unused=True)
        results.append([torch.zeros(()) if grad is None else grad for grad in grads])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, torch.zeros_like(got) if expected.ndim == 0 else expected, **EXACT)


def test_second_derivatives_are_refused_and_the_way_out_is_named() -> None:
    x, c = inputs()
    with pytest.raises(RuntimeError, match='build the network with memory="store"'):
        torch.autograd.grad(loss_of(*chain("invert")(x, c)), x, create_graph=True)
    (gradient,) = torch.autograd.grad(loss_of(*chain("store")(x, c)), x, create_graph=True)
    assert torch.autograd.grad(gradient.square().sum(), x)[0].isfinite().all()


@pytest.mark.parametrize("what", ["output", "parameter"])
def test_change_in_place_before_backward_is_noticed(what: str) -> None:
    module = chain("invert")
    z, logdet = module(*inputs())
    loss = loss_of(z.clone(), logdet)
    with torch.no_grad():
        (z if what == "output" else next(module.parameters())).add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("memory", ["invert", "checkpoint"])
def test_dropout_draws_the_same_mask_again(memory: MemoryLike, inverse: bool) -> None:
    results, after = [], []
    for mode in (memory, "store"):
        module = chain(mode, dropout=0.5).train()
        x, c = inputs()
        torch.manual_seed(5)
        loss = loss_of(*(module.inverse if inverse else module)(x, c))
        results.append(list(torch.autograd.grad(loss, [x, c, *module.parameters()])))
        after.append(torch.rand(1))  # the backward pass leaves the generator as it found it
    assert_same(*results)
    assert torch.equal(*after)
    assert not torch.allclose(results[0][0], gradients(other := chain("store"), other)[0])


def test_a_layer_with_the_default_step_draws_the_same_mask_again() -> None:
    class Plain(Invertible):
        """A coupling that inherits the default reverse steps."""

        def __init__(self, coupling: Coupling) -> None:
            super().__init__()
            self.coupling = coupling

        def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.coupling(x, c)

        def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.coupling.inverse(z, c)

    results = []
    for memory in ("invert", "store"):
        torch.manual_seed(0)
        conditioner = partial(ResidualConditioner, hidden=8, dropout=0.5)
        module = Sequential([Plain(Coupling(C, K, conditioner=conditioner)) for _ in range(2)], memory)
        for parameter in module.double().parameters():
            nn.init.normal_(parameter, std=0.2)
        torch.manual_seed(5)
        results.append(gradients(module, module))
    assert_same(*results)


def test_copies_are_independent() -> None:
    module = chain("invert")
    loss_of(*module(*inputs())).backward()
    twin = copy.deepcopy(module)
    assert_same(gradients(twin, twin), gradients(module, module))
    assert all(p is not q for p, q in zip(twin.parameters(), module.parameters(), strict=True))
