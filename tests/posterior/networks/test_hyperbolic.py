"""The hyperbolic network: its architectures, what it keeps, what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from posterior.layers.hyperbolic import HyperbolicLayer
from posterior.layers.orthogonal_squeeze import OrthogonalSqueeze
from posterior.networks.hyperbolic import Hyperbolic
from posterior.reversible import MemoryLike

SEED = ((0, 6), (1, 12), (0, 24), (-1, 12), (0, 6))
"""The architecture of the seed's test: up to twice the resolution and back."""


def pair(in_channels: int, cond_channels: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    x, c = (torch.randn(3, channels, 8, 16).double() for channels in (in_channels, cond_channels))
    return x.requires_grad_(), c.requires_grad_()


def build(memory: MemoryLike | Sequence[MemoryLike], *, steps: int = 2) -> Hyperbolic:
    torch.manual_seed(0)
    squeeze = partial(OrthogonalSqueeze, ndim=2)
    return Hyperbolic(1, 2, hidden=6, scales=3, steps=steps, memory=memory, squeeze=squeeze).double()


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_memory_modes_agree_and_may_differ_by_resolution(inverse: bool) -> None:
    results = []
    choices: list[MemoryLike | Sequence[MemoryLike]] = ["store", "invert", "checkpoint"]
    for memory in (*choices, ["invert", "checkpoint", "store"]):
        net, (x, c) = build(memory), pair(1, 2)
        z, _ = (net.inverse if inverse else net)(x, c)
        loss = (z.square() * z.cumsum(-1)).sum()
        results.append(torch.autograd.grad(loss, [x, c, *net.parameters()]))
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_bytes_saved_do_not_depend_on_the_number_of_steps(inverse: bool) -> None:
    kept = []
    for steps in (1, 6):
        net, (x, c) = build("invert", steps=steps), pair(1, 2)
        own = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
        saved: dict[int, int] = {}

        def pack(tensor: Tensor, saved: dict[int, int] = saved, own: set[int] = own) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            z, _ = (net.inverse if inverse else net)(x, c)
        assert z.requires_grad
        kept.append(sum(saved.values()))
    assert kept[0] == kept[1] > 0


def hidden_and_channels(net: nn.Module) -> list[tuple[int, int]]:
    layers = [module for module in net.modules() if isinstance(module, HyperbolicLayer)]
    return [(layer.force.spread.out_channels, layer.channels) for layer in layers]


def test_layers_go_down_and_up_again() -> None:
    net = Hyperbolic(1, hidden=5, scales=3, steps=2)
    assert hidden_and_channels(net) == [(5, n) for n in (4, 4, 16, 16, 64, 64, 16, 16, 4, 4)]
    net = Hyperbolic(6, hidden=5, scales=2, steps=1, ndim=1)
    assert hidden_and_channels(net) == [(5, 6), (5, 12), (5, 6)]


def test_architecture_of_the_seed() -> None:
    net = Hyperbolic(8, architecture=SEED, step=0.2).double()
    assert hidden_and_channels(net) == [(6, 8), (12, 2), (24, 2), (12, 8), (6, 8)]
    x, _ = pair(8, 1)
    z, logdet = net(x[..., :7, :5])  # up first: no size needs to divide
    assert z.shape == (3, 8, 7, 5)
    assert not logdet.any()
    torch.testing.assert_close(net.inverse(z)[0], x[..., :7, :5], atol=1e-13, rtol=0.0)


def test_every_resolution_sees_the_condition() -> None:
    net, (x, c) = build("store"), pair(1, 2)
    sizes: list[list[torch.Size]] = []
    for layer in net.modules():
        if isinstance(layer, HyperbolicLayer):
            layer.register_forward_hook(lambda _, given, out: sizes.append([one.shape[2:] for one in given]))
    net(x, c)
    assert [of_x for of_x, _ in sizes] == [of_c for _, of_c in sizes]
    assert [tuple(of_x) for of_x, _ in sizes[::2]] == [(4, 8), (2, 4), (1, 2), (2, 4), (4, 8)]


def test_architectures_that_do_not_work_out_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected actions that sum to 0, back to x's size, got \[-1, 0\]"):
        Hyperbolic(2, architecture=((-1, 4), (0, 4)))
    with pytest.raises(ValueError, match="expected action -1, 0 or 1, got 2 for layer 0"):
        Hyperbolic(2, architecture=((2, 4),))
    with pytest.raises(ValueError, match=r"expected an even number of channels.*got 1 at layer 1 for x of 4"):
        Hyperbolic(4, architecture=((0, 4), (1, 4), (-1, 4)))
    with pytest.raises(ValueError, match="expected no condition where states become finer than x, got 1 ch"):
        Hyperbolic(8, 1, architecture=SEED)
    with pytest.raises(ValueError, match="expected at least 1 channel and 1 layer, got 2 and 0"):
        Hyperbolic(2, architecture=())
    with pytest.raises(ValueError, match="expected at least 1 scale and 1 step, got 0 and 2"):
        Hyperbolic(2, scales=0, steps=2)
    with pytest.raises(ValueError, match="or one for each of 3 scales, got 2"):
        Hyperbolic(2, memory=["invert", "store"])


def test_wrong_shapes_are_refused() -> None:
    net, (x, c) = build("invert"), pair(1, 2)
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 1, nx, nz\), got \(3, 2, 8, 16\)"):
        net(c, c)
    with pytest.raises(ValueError, match="nx of z must be a multiple of 8, got 4: pad to 8"):
        net.inverse(x[:, :, :4], c[:, :, :4])
    with pytest.raises(ValueError, match=r"expected a condition c of shape \(3, 2, 8, 16\), got None"):
        net(x)
    with pytest.raises(ValueError, match=r"expected x in float32 or float64, got torch\.float16"):
        net(x.half(), c)
