"""The leapfrog step: its formula, its symmetric force, its single evaluation on the way back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from posterior.layers.hyperbolic import EachHalf, HyperbolicLayer, SymmetricForce
from posterior.layers.inverse import Inverse
from posterior.layers.squeeze import HaarSqueeze
from posterior.reversible import Sequential


def image(*shape: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3,), (3, 6), (3, 4, 3), (3, 2, 3, 4)], ids=["vectors", "1d", "2d", "3d"])
def test_force_has_a_symmetric_positive_jacobian_since_both_convolutions_are_adjoint(
    shape: tuple[int, ...],
) -> None:
    torch.manual_seed(0)
    force = SymmetricForce(3, 0, hidden=7, kernel=3, ndim=len(shape) - 1).double()
    jacobian = torch.autograd.functional.jacobian(
        lambda q: force(q.view(1, *shape)).flatten(), image(*shape).flatten()
    )
    torch.testing.assert_close(jacobian, jacobian.T, atol=1e-14, rtol=0.0)
    eigenvalues = torch.linalg.eigvalsh(jacobian)
    assert eigenvalues.min() > -1e-14
    assert eigenvalues.max() > 0.1


def test_step_is_the_formula() -> None:
    torch.manual_seed(0)
    layer = HyperbolicLayer(4, 1, hidden=5, step=0.3).double()
    x, c = image(2, 4, 5, 6), image(2, 1, 5, 6)
    p, q = x.chunk(2, 1)
    weight, bias = layer.force.spread.weight.detach(), layer.force.spread.bias

    def stretch(q: Tensor) -> Tensor:
        return F.conv2d(torch.cat((q, c), 1), weight, padding=1)

    hidden = F.relu(stretch(q) + bias.view(-1, 1, 1))  # type: ignore[union-attr]
    leaf = q.clone().requires_grad_()
    (adjoint,) = torch.autograd.grad(stretch(leaf), leaf, hidden)
    z, logdet = layer(x, c)
    torch.testing.assert_close(z, torch.cat((q, 2 * q - p - 0.3 * adjoint), 1), atol=1e-14, rtol=0.0)
    assert not logdet.any()


def test_inverse_is_the_same_step_with_time_reversed() -> None:
    layer, x = HyperbolicLayer(6, hidden=5).double(), image(2, 6, 4, 3)

    def swapped(pair: Tensor) -> Tensor:
        return torch.cat(pair.chunk(2, 1)[::-1], 1)

    assert torch.equal(layer.inverse(x)[0], swapped(layer(swapped(x))[0]))


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_force_is_evaluated_twice_a_training_step(inverse: bool) -> None:
    layers = [HyperbolicLayer(4, hidden=3).double() for _ in range(5)]
    calls: list[Any] = []
    for layer in layers:
        layer.force.register_forward_hook(lambda *_: calls.append(1))
    chain = Sequential(layers)
    z, _ = (chain.inverse if inverse else chain)(image(2, 4, 3, 3).requires_grad_())
    z.square().sum().backward()
    assert len(calls) == 2 * 5


@pytest.mark.parametrize(("half", "hidden"), [(2, 64), (32, 64), (128, 32)])
def test_convolution_starts_with_norm_about_one(half: int, hidden: int) -> None:
    torch.manual_seed(0)
    weight = SymmetricForce(half, 3, hidden=hidden, kernel=3, ndim=2).spread.weight[:, :half].detach()
    # The norm of a convolution is the largest one over the frequencies of its symbol.
    symbols = torch.fft.fft2(weight, s=(16, 16)).permute(2, 3, 0, 1)
    assert 0.8 < torch.linalg.matrix_norm(symbols, ord=2).max() < 1.6


def test_state_keeps_its_precision_under_autocast() -> None:
    torch.manual_seed(0)
    chain = Sequential([HyperbolicLayer(4, hidden=8) for _ in range(6)], "invert")
    x = torch.randn(2, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        z, _ = chain(x)
        back, _ = chain.inverse(z)
    assert z.dtype == torch.float32
    # The current state passes through unchanged, so both directions see the same force, however rounded:
    # what is left is float32 rounding of a few steps.
    torch.testing.assert_close(back, x, atol=1e-5, rtol=0.0)


def test_gradients_of_a_chain_under_autocast_are_those_of_the_stored_one() -> None:
    grads = []
    for memory in ("invert", "store"):
        torch.manual_seed(0)
        chain = Sequential([HyperbolicLayer(4, hidden=8), HyperbolicLayer(4, hidden=8)], memory)
        x = torch.randn(2, 4, 8, 8, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16):
            z, _ = chain(x)
        grads.append(torch.autograd.grad(z.square().sum(), [x, *chain.parameters()]))
    for got, expected in zip(*grads, strict=True):
        # bfloat16 keeps 8 bits; a few roundings of the largest entry are left.
        torch.testing.assert_close(got, expected, atol=0.02 * expected.abs().max().item(), rtol=0.0)


def test_halves_are_squeezed_apart() -> None:
    layer, x = EachHalf(HaarSqueeze(2)), image(2, 6, 4, 8)
    z, _ = layer(x)
    for half, squeezed in zip(x.chunk(2, 1), z.chunk(2, 1), strict=True):
        assert torch.equal(HaarSqueeze(2)(half)[0], squeezed)
    torch.testing.assert_close(Inverse(layer)(z)[0], x, atol=1e-14, rtol=0.0)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="expected an even number of channels, two halves, got 3: squeeze"):
        HyperbolicLayer(3, hidden=4)
    with pytest.raises(ValueError, match="expected an odd kernel, which keeps the size, got 4"):
        HyperbolicLayer(4, hidden=4, kernel=4)
    with pytest.raises(ValueError, match=r"expected a positive step, got 0\.0"):
        HyperbolicLayer(4, hidden=4, step=0.0)
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, or 0 for vectors, got 4"):
        HyperbolicLayer(4, hidden=4, ndim=4)


def test_wrong_shapes_name_both_sides() -> None:
    layer, x = HyperbolicLayer(4, 2, hidden=3), torch.zeros(3, 4, 5, 5)
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 4, nx, nz\), got \(3, 2, 5, 5\)"):
        layer(x[:, :2], x[:, :2])
    with pytest.raises(ValueError, match=r"expected c of shape \(3, 2, 5, 5\) .*, got \(3, 3, 5, 5\)"):
        layer.inverse(x, x[:, :3])
    with pytest.raises(ValueError, match=r"expected an even number of channels.*, got \(3, 3, 4, 4\)"):
        EachHalf(HaarSqueeze(2))(torch.zeros(3, 3, 4, 4))
    with pytest.raises(ValueError, match="nz of x must be a multiple of 2, got 5: pad to 6"):
        EachHalf(HaarSqueeze(2))(torch.zeros(3, 4, 4, 5))
