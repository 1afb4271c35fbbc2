"""Conditional HINT: its joint and conditional densities, both lanes' maps, memory, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posterior.invertible import Invertible
from posterior.lanes import Lanes
from posterior.layers.conditional_hint import Resample
from posterior.networks.conditional_hint import ConditionalHINT
from posterior.reversible import Memory, MemoryLike

EXACT: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}  # float64 rounding over a few layers of order one
CONFIGURATIONS: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    # options, shape of x, shape of y
    "one resolution": ({"scales": 0}, (3, 2, 3), (2, 2, 3)),
    "two scales": ({"scales": 2}, (1, 4, 4), (2, 4, 4)),
    "unsplit": ({"scales": 2, "split": False}, (1, 4, 4), (1, 4, 4)),
    "two sizes": ({"scales": 1, "adapter": partial(Resample, ratio=(0.5, 2.0))}, (1, 2, 4), (1, 4, 2)),
    "1d": ({"scales": 2, "ndim": 1, "squeeze": "checkerboard"}, (2, 8), (1, 8)),
    "3d": ({"scales": 1, "ndim": 3, "recursion": 0}, (1, 2, 2, 4), (1, 2, 2, 4)),
    "vectors": ({"scales": 0, "ndim": 0, "hidden": 6}, (2,), (5,)),
}
every = pytest.mark.parametrize(
    ("options", "shape_x", "shape_y"), CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys()
)
DIRECTIONS = pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])

SavedBytes = Callable[..., int]


def build(in_channels: int, cond_channels: int, **options: Any) -> ConditionalHINT:
    torch.manual_seed(0)
    net = ConditionalHINT(in_channels, cond_channels, **{"hidden": 4, "steps": 2} | options).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def pair(shape_x: tuple[int, ...], shape_y: tuple[int, ...], batch: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    x, y = (torch.randn(batch, *shape, dtype=torch.float64) for shape in (shape_x, shape_y))
    return x.requires_grad_(), y.requires_grad_()


@every
def test_log_determinants_are_those_of_the_jacobian(
    options: dict[str, Any], shape_x: tuple[int, ...], shape_y: tuple[int, ...]
) -> None:
    net = build(shape_x[0], shape_y[0], **options).eval()
    x, y = pair(shape_x, shape_y, batch=1)
    lanes = net.joint(x, y)

    def joint(v: Tensor) -> Tensor:
        zx, zy, _, _ = net.joint(v[: x.numel()].view_as(x), v[x.numel() :].view_as(y))
        return torch.cat((zx.flatten(), zy.flatten()))

    jacobian = torch.autograd.functional.jacobian(joint, torch.cat((x.flatten(), y.flatten())))
    n = x.numel()
    assert not jacobian[n:, :n].any()
    for block, logdet in (
        (jacobian, lanes.logdet_x + lanes.logdet_y),
        (jacobian[:n, :n], net(x, y)[1]),
        (jacobian[n:, n:], net.encode_y(y)[1]),
    ):
        torch.testing.assert_close(torch.linalg.slogdet(block)[1], logdet[0], **EXACT)


@every
def test_all_maps_agree(options: dict[str, Any], shape_x: tuple[int, ...], shape_y: tuple[int, ...]) -> None:
    net = build(shape_x[0], shape_y[0], **options).eval()
    x, y = pair(shape_x, shape_y)
    zx, zy, logdet_x, logdet_y = net.joint(x, y)
    assert zx.shape == x.shape
    assert zy.shape == y.shape
    assert zx.is_contiguous()
    assert zy.is_contiguous()
    torch.testing.assert_close(net(x, y), (zx, logdet_x), **EXACT)
    torch.testing.assert_close(net.inverse(zx, y), (x, -logdet_x), **EXACT)
    torch.testing.assert_close(net.joint_inverse(zx, zy), Lanes(x, y, -logdet_x, -logdet_y), **EXACT)
    torch.testing.assert_close(net.encode_y(y), (zy, logdet_y), **EXACT)
    torch.testing.assert_close(net.decode_y(zy), (y, -logdet_y), **EXACT)


CALLS: dict[str, Callable[[ConditionalHINT, Tensor, Tensor], tuple[Tensor, ...]]] = {
    "forward": lambda net, x, y: net(x, y),
    "inverse": lambda net, x, y: net.inverse(x, y),
    "joint": lambda net, x, y: net.joint(x, y),
    "joint inverse": lambda net, x, y: net.joint_inverse(x, y),
    "encode y": lambda net, _, y: net.encode_y(y),
    "decode y": lambda net, _, y: net.decode_y(y),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_memory_modes_agree_in_training(call: Callable[..., tuple[Tensor, ...]]) -> None:
    results = []
    for memory in ("store", "invert", "checkpoint", Memory(keep=True)):
        net = build(1, 2, scales=2, memory=memory).train()
        x, y = pair((1, 4, 8), (2, 4, 8))
        outputs = call(net, x, y)
        loss = sum((out * out.flatten().cumsum(0).view_as(out)).sum() for out in outputs)
        found = torch.autograd.grad(loss, [x, y, *net.parameters()], allow_unused=True)
        results.append(found)
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            if got is None or expected is None:  # what was not used: no gradient, or zeros
                assert all(grad is None or not grad.any() for grad in (got, expected))
            else:
                # Gradients are of order 1e2 to 1e4.
                torch.testing.assert_close(got, expected, atol=1e-8, rtol=1e-10)


def test_joint_density_teaches_every_parameter() -> None:
    net = build(1, 2, scales=2)
    lanes = net.joint(*pair((1, 4, 8), (2, 4, 8)))
    (lanes.x.square().sum() + lanes.y.square().sum() - lanes.logdet_x.sum() - lanes.logdet_y.sum()).backward()
    grads = [parameter.grad for parameter in net.parameters()]
    assert all(grad is not None and grad.abs().sum() > 0 for grad in grads)


def test_conditional_density_leaves_only_the_end_of_y_untaught() -> None:
    net = build(1, 2, scales=2)
    zx, logdet = net(*pair((1, 4, 8), (2, 4, 8)))
    (zx.square().sum() - logdet.sum()).backward()
    # Zeros rather than nothing: distributed training waits for the gradient of every parameter.
    grads = {name: parameter.grad for name, parameter in net.named_parameters()}
    untaught = {name for name, grad in grads.items() if grad is not None and not grad.any()}
    ends = {name for name in grads if name.startswith(("chains.0.layers.15.", "chains.1.layers.15."))}
    assert None not in grads.values()
    # Of the first scale, the lesser half of y's channels goes on and still teaches.
    assert {name for name in ends if name.startswith("chains.1.")} < untaught < ends


@pytest.mark.parametrize("name", ["forward", "inverse", "joint", "joint inverse"])
def test_bytes_saved_do_not_depend_on_depth(saved_bytes: SavedBytes, name: str) -> None:
    kept = {}
    for memory in ("invert", "store"):
        for steps in (2, 8):
            net = build(1, 2, scales=2, steps=steps, memory=memory)
            kept[memory, steps] = saved_bytes(
                partial(CALLS[name], net), net.parameters(), *pair((1, 8, 8), (2, 8, 8))
            )
    assert kept["invert", 2] == kept["invert", 8]
    assert kept["store", 8] > 3 * kept["store", 2] > 10 * kept["invert", 2]


class Counted(nn.Module):
    """A convolution that counts its evaluations."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolution, self.count = nn.Conv2d(in_channels, out_channels, 1), 0

    def forward(self, u: Tensor) -> Tensor:
        self.count += 1
        return self.convolution(u)


def test_two_evaluations_of_every_conditioner() -> None:
    net = build(1, 2, scales=2, conditioner=Counted)
    zx, logdet = net(*pair((1, 4, 8), (2, 4, 8)))
    (zx.square().sum() - logdet.sum()).backward()
    counts = [module.count for module in net.modules() if isinstance(module, Counted)]
    # A layer's couplings: lanes of 4 and 8 channels, then of 8 and 16, and one across.
    assert counts == [2] * 2 * ((1 + 3 + 1) + (3 + 7 + 1))


@pytest.mark.parametrize("memory", ["invert", Memory(chunk=2)], ids=["", "chunks"])
def test_first_batch_initialises_both_lanes(memory: MemoryLike) -> None:
    torch.manual_seed(0)
    net = ConditionalHINT(2, 3, hidden=4, scales=0, steps=1, memory=memory).train()
    zx, zy, _, _ = net.joint(5.0 + 2.0 * torch.randn(8, 2, 4, 4), 3.0 * torch.randn(8, 3, 4, 4))
    # Couplings start as the identity, so what ActNorm normalised comes out, rotated.
    for z in (zx, zy):
        torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(z.shape[1]), atol=1e-5, rtol=0.0)
        torch.testing.assert_close(z.square().sum() / z.numel(), torch.ones(()), atol=1e-4, rtol=0.0)


def test_is_one_invertible_map_as_any_other() -> None:
    net = build(1, 2, scales=1).eval()
    assert isinstance(net, Invertible)
    assert (net.in_channels, net.cond_channels, net.ndim) == (1, 2, 2)


def test_wrong_shapes_and_precision_are_refused() -> None:
    net = build(1, 2, scales=2)
    x, y = pair((1, 8, 4), (2, 8, 4))
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: net(y, y), r"expected x of shape \(B, 1, nx, nz\), got \(3, 2, 8, 4\)"),
        (lambda: net.inverse(x, x), r"expected y of shape \(B, 2, nx, nz\), got \(3, 1, 8, 4\)"),
        (lambda: net(x), "expected an image y with 2 channels as condition, got None"),
        (
            lambda: net.joint(x, y[:, :, :4]),
            r"expected y of shape \(3, 2, 8, 4\) beside x of shape \(3, 1, 8, 4\), got \(3, 2, 4, 4\): "
            "lanes of different sizes need an adapter",
        ),
        (
            lambda: net.joint_inverse(x, y[:2]),
            r"expected zy of shape \(3, 2, 8, 4\) beside zx of shape \(3, 1, 8, 4\), got \(2, 2, 8, 4\)",
        ),
        (lambda: net(x[:, :, :6], y), "nx of x must be a multiple of 4, got 6: pad to 8"),
        (lambda: net.encode_y(y[..., :3]), "nz of y must be a multiple of 4, got 3: pad to 4"),
        (lambda: net.decode_y(x), r"expected zy of shape \(B, 2, nx, nz\), got \(3, 1, 8, 4\)"),
        (lambda: net(x, y.bfloat16()), "expected y in float32 or float64, got torch.bfloat16"),
    ]
    for call, message in calls:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cond_channels": 0}, "expected cond_channels of at least 1, got 0"),
        ({"steps": 0}, "expected steps of at least 1, got 0"),
        ({"scales": 0}, "expected a condition or at least 2 channels, got 1"),
        ({"scales": 1, "ndim": 0}, "expected ndim 1, 2 or 3, got 0"),
        ({"squeeze": "harr"}, "expected squeeze 'haar', 'checkerboard' or a factory, got 'harr'"),
        ({"memory": ["invert"]}, "expected one memory choice, or one for each of 3 scales, got 1"),
        ({"scales": -1}, "expected scales of at least 0, got -1"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConditionalHINT(**{"in_channels": 1, "cond_channels": 1} | options)
