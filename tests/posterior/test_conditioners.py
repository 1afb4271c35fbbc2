"""Conditioners: they start at zero, keep the size, see as far as they should, and differentiate rightly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import (
    DenseConditioner,
    GatedBlock,
    GatedConditioner,
    ResidualConditioner,
    UNetConditioner,
)
from posterior.invertible import trainable
from posterior.linearise import Conditioner, linear_backward

# Values of order one, a few layers deep, in float64.
TOLERANCE = {"atol": 1e-12, "rtol": 1e-12}


@dataclass(frozen=True)
class Case:
    build: Callable[..., Conditioner]
    shape: tuple[int, ...]

    def module(self, *, fresh: bool = False, dropout: float = 0.0) -> Conditioner:
        torch.manual_seed(0)
        module = self.build(self.shape[1], 3, dropout=dropout).double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.0 if fresh else 0.3 * torch.randn_like(parameter))
        return module

    def input(self) -> Tensor:
        torch.manual_seed(1)
        return torch.randn(self.shape, dtype=torch.float64)


gated, unet = partial(GatedConditioner, hidden=4), partial(UNetConditioner, hidden=4)
CASES = {
    "residual": Case(partial(ResidualConditioner, hidden=4), (2, 3, 4, 5)),
    "residual relu 1d": Case(partial(ResidualConditioner, hidden=4, ndim=1, activation="relu"), (2, 3, 5)),
    "gated": Case(gated, (2, 3, 4, 5)),
    "gated 1d": Case(partial(gated, ndim=1, blocks=1), (2, 1, 5)),
    "gated 3d": Case(partial(gated, ndim=3), (2, 2, 3, 4, 2)),
    "u-net": Case(unet, (2, 3, 8, 4)),
    "u-net odd sizes": Case(unet, (2, 3, 5, 7)),
    "u-net 1d": Case(partial(unet, ndim=1, levels=4), (2, 2, 3)),
    # No level has 2 cells along nx: there torch 2.13 fills weight gradients of bfloat16 convolutions in 3-D
    # with uninitialised memory on a CPU.
    "u-net 3d": Case(partial(unet, ndim=3, levels=2), (2, 2, 5, 1, 4)),
    "u-net one level": Case(partial(unet, levels=1), (2, 1, 3, 3)),
    "dense": Case(partial(DenseConditioner, hidden=6), (4, 5)),
    "dense relu": Case(partial(DenseConditioner, hidden=6, activation="relu"), (4, 5)),
    "dense 1 entry": Case(partial(DenseConditioner, hidden=6, layers=1), (4, 1)),
}
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@every
def test_starts_at_zero_and_keeps_the_size(case: Case) -> None:
    u = case.input()
    out = case.module(fresh=True)(u)
    assert out.shape == (u.shape[0], 3, *u.shape[2:])
    assert not out.any()
    assert case.module()(u).any()


@every
def test_samples_do_not_mix(case: Case) -> None:
    module, u = case.module(), case.input()
    torch.testing.assert_close(module(u.flip(0)), module(u).flip(0), **TOLERANCE)


@every
@pytest.mark.parametrize("value", [True, False], ids=["value", "gradient only"])
@pytest.mark.parametrize("frozen", ["", "head.weight", "first.bias"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_linearise_equals_autograd(case: Case, value: bool, frozen: str, dropout: float) -> None:
    module, u = case.module(dropout=dropout), case.input().requires_grad_()
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name != frozen)
    torch.manual_seed(2)
    expected = module(u)
    torch.manual_seed(2)
    out, pullback = module.linearise(u, value=value)
    grad = torch.randn_like(expected)
    wanted = [u, *trainable(module)]
    (grad_u,), grad_parameters = pullback(grad)
    if value:
        torch.testing.assert_close(out, expected, **TOLERANCE)
    else:
        assert out is None
    for got, truth in zip(
        [grad_u, *grad_parameters], torch.autograd.grad(expected, wanted, grad), strict=True
    ):
        torch.testing.assert_close(got, truth, **TOLERANCE)


@every
def test_dropout_acts_in_training_alone(case: Case) -> None:
    module, u = case.module(dropout=0.5), case.input()
    assert not torch.equal(module(u), module(u))
    module.eval()
    assert torch.equal(module(u), module(u))
    torch.testing.assert_close(module(u), case.module()(u), **TOLERANCE)


@every
def test_autocast_gives_gradients_in_the_precision_of_the_parameters(case: Case) -> None:
    module, u = case.module().float(), case.input().float()
    expected, pull = module.linearise(u, value=True)
    grad = torch.ones_like(expected)
    with torch.autocast("cpu", torch.bfloat16):
        out, pull_low = module.linearise(u, value=True)
        with torch.no_grad():  # as a chain evaluates it: a coupling is undone by the very same numbers
            assert torch.equal(out, module(u))
    assert out.dtype == torch.bfloat16
    for got, truth in zip(pull_low(grad)[1], pull(grad)[1], strict=True):
        assert got.dtype == torch.float32
        # bfloat16 keeps 8 bits, some of them lost over a few layers.
        assert (got - truth).norm() < 0.05 * truth.norm() + 1e-3
    assert (out - expected).norm() < 0.05 * expected.norm()


def layers() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    return {
        "linear": (nn.Linear(4, 3), (5, 4)),
        "linear over more axes": (nn.Linear(4, 3), (5, 2, 4)),
        "linear without bias": (nn.Linear(4, 3, bias=False), (5, 4)),
        "conv1d": (nn.Conv1d(4, 3, 3, padding=1), (2, 4, 5)),
        "conv2d": (nn.Conv2d(4, 3, 3, padding=1), (2, 4, 5, 3)),
        "conv2d without bias": (nn.Conv2d(4, 3, 1, bias=False), (2, 4, 5, 3)),
        "conv2d strided, dilated, in groups": (
            nn.Conv2d(4, 6, (3, 2), stride=2, padding=(2, 1), dilation=(2, 1), groups=2),
            (2, 4, 7, 6),
        ),
        "conv3d": (nn.Conv3d(4, 3, 3, padding=1), (2, 4, 3, 2, 4)),
    }


@pytest.mark.parametrize("name", layers())
@pytest.mark.parametrize("frozen", [(), ("weight",), ("bias",), ("weight", "bias")], ids=str)
def test_backward_of_a_linear_layer_equals_autograd(name: str, frozen: tuple[str, ...]) -> None:
    layer, shape = layers()[name]
    layer.double()
    for which, parameter in layer.named_parameters():
        parameter.requires_grad_(which not in frozen)
    u = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    out = layer(u)
    grad = torch.randn_like(out)
    found = linear_backward(layer, u.detach(), grad)
    expected = torch.autograd.grad(out, [u, *trainable(layer)], grad)
    for got, truth in zip(found, expected, strict=True):
        torch.testing.assert_close(got, truth, **TOLERANCE)


def reach(module: nn.Module, size: int = 33) -> int:
    """How many cells away an output cell of a 1-D conditioner still depends on the input."""
    u = torch.randn(1, 2, size, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(module(u)[..., size // 2].sum(), u)
    seen = grad[0].abs().sum(0).nonzero()[:, 0]
    return int((seen - size // 2).abs().max())


def test_how_far_a_conditioner_sees() -> None:
    build = {
        "residual": partial(ResidualConditioner, hidden=4, ndim=1),
        "gated": partial(GatedConditioner, hidden=4, blocks=3, ndim=1),
        "u-net": partial(UNetConditioner, hidden=4, levels=3, ndim=1),
    }
    far = {name: reach(Case(one, (1, 2, 33)).module()) for name, one in build.items()}
    assert far["residual"] == 2
    assert far["gated"] == 5
    assert far["u-net"] > 10


def test_the_gate_decides_what_is_added() -> None:
    torch.manual_seed(0)
    block = GatedBlock(3).double()
    h = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    change, gate = block.body(h).chunk(2, 1)
    torch.testing.assert_close(block(h), h + change * torch.sigmoid(gate), **TOLERANCE)
    with torch.no_grad():
        block.body[-1].bias[3:] = -1e3
    assert torch.equal(block(h), h)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="expected at least 1 level, got 0"):
        UNetConditioner(2, 2, levels=0)
    with pytest.raises(ValueError, match="expected at least 1 layer, got 0"):
        DenseConditioner(2, 2, layers=0)
    with pytest.raises(ValueError, match=r"expected u of shape \(B, 2\), got \(3, 2, 4\)"):
        DenseConditioner(2, 2)(torch.randn(3, 2, 4))
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, got 0"):
        GatedConditioner(2, 2, ndim=0)
