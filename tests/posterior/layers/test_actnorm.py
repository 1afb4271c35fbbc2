"""When ActNorm initialises, when it must not, and what survives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from posterior.layers.actnorm import ActNorm
from posterior.reversible import MemoryLike, Sequential


def batch(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([0.1, 3.0, 40.0], dtype=torch.float64).view(1, 3, 1, 1)
    return scale * torch.randn(8, 3, 5, 4, generator=generator, dtype=torch.float64) + 2.0


def moments(z: Tensor) -> Tensor:
    return torch.stack([z.mean((0, 2, 3)), z.std((0, 2, 3), unbiased=False)])


UNIT = torch.tensor([[0.0] * 3, [1.0] * 3], dtype=torch.float64)


def test_first_training_batch_leaves_normalised_and_fixes_the_layer() -> None:
    layer = ActNorm(3).double()
    z, _ = layer(batch())
    torch.testing.assert_close(moments(z), UNIT, atol=1e-12, rtol=0.0)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    layer(2.0 * batch(1))
    assert all(torch.equal(value, state[name]) for name, value in layer.state_dict().items())
    assert bool(layer.initialised)


def test_neither_evaluation_nor_the_inverse_direction_initialises() -> None:
    layer = ActNorm(3).double()
    layer.eval()(batch())
    layer.train().inverse(batch())
    assert not layer.initialised
    assert not layer.log_scale.any()
    z, _ = layer(batch())
    torch.testing.assert_close(moments(z), UNIT, atol=1e-12, rtol=0.0)


def test_needs_the_whole_batch_until_it_is_initialised() -> None:
    layer = ActNorm(3).double()
    assert layer.needs_whole_batch
    assert not layer.eval().needs_whole_batch
    blank = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.train()(batch())
    assert not layer.needs_whole_batch
    fresh = ActNorm(3).double()
    fresh.load_state_dict(layer.state_dict())
    assert not fresh.needs_whole_batch
    fresh.load_state_dict(blank)
    assert fresh.needs_whole_batch


def test_vectors_are_normalised_over_the_batch() -> None:
    x = batch()[..., 0, 0]
    z, logdet = ActNorm(3, ndim=0).double()(x)
    torch.testing.assert_close(z, (x - x.mean(0)) / x.std(0, correction=0), atol=1e-12, rtol=0.0)
    torch.testing.assert_close(logdet, -x.std(0, correction=0).log().sum().expand(8))


def test_flag_survives_saving_and_loading_both_ways() -> None:
    trained, fresh = ActNorm(3).double(), ActNorm(3).double()
    blank = {name: value.clone() for name, value in fresh.state_dict().items()}
    trained(batch())
    fresh.load_state_dict(trained.state_dict())
    expected, _ = trained(batch(1))
    assert torch.equal(fresh(batch(1))[0], expected)
    fresh.load_state_dict(blank)  # back to the start: the next training batch initialises again
    torch.testing.assert_close(moments(fresh(batch(2))[0]), UNIT, atol=1e-12, rtol=0.0)


def test_channel_without_variation_keeps_its_scale() -> None:
    layer = ActNorm(2)
    x = torch.zeros(4, 2, 3, 3)
    x[:, 1] = 7.0
    z, logdet = layer(x)
    assert not z.any()
    assert not logdet.any()


@pytest.mark.parametrize("memory", ["invert", "checkpoint", "store"])
def test_initialises_once_inside_a_chain_before_anything_is_kept(memory: MemoryLike) -> None:
    layer = ActNorm(3)
    chain = Sequential([layer, layer, ActNorm(3)], memory).double()
    x = batch().requires_grad_()
    z, logdet = chain(x)
    (z.square().sum() - logdet.sum()).backward()
    # The shared layer normalises at its first use; its second use and the last layer see what comes out.
    torch.testing.assert_close(moments(z), UNIT, atol=1e-10, rtol=0.0)
    scale = chain(torch.ones_like(x))[0] - chain(torch.zeros_like(x))[0]
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2.0 * z * scale, atol=1e-9, rtol=1e-9)
