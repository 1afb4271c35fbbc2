"""Slabs change no result, and hold a step's memory within the budget that was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from posterior.conditioners import (
    DenseConditioner,
    GatedConditioner,
    ResidualConditioner,
    UNetConditioner,
)
from posterior.invertible import Invertible, ReverseStep
from posterior.layers.coupling import Coupling
from posterior.layers.spline import RationalQuadraticSpline
from posterior.linearise import Conditioner
from posterior.networks.conditional_hint import ConditionalHINT
from posterior.networks.glow import ConditionalGlow
from posterior.networks.hint import HINT
from posterior.reversible import Memory, MemoryLike, Sequential
from posterior.slabs import Footprint, Slabs, limit_memory, parse_bytes

# Sums over cells in another order: rounding (1e-16) of a few thousand terms of order one.
TOLERANCE: dict[str, Any] = {"atol": 1e-12, "rtol": 1e-12}
AMPLE = 10**12

residual, gated = partial(ResidualConditioner, hidden=5), partial(GatedConditioner, hidden=4)
unet = partial(UNetConditioner, hidden=4)


@dataclass(frozen=True)
class Case:
    """A conditioner and the cells of an image, of which the longest axis is cut."""

    build: Callable[..., Conditioner]
    cells: tuple[int, ...]
    options: dict[str, Any]

    def layer(self, **options: Any) -> Coupling:
        ndim = len(self.cells)
        conditioner = partial(self.build, ndim=ndim, **self.options)
        torch.manual_seed(0)
        return shaken(Coupling(3, 2, conditioner=conditioner, ndim=ndim, **options)).double()

    def images(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x, c, and the gradients of the output and of its log-determinant."""
        torch.manual_seed(1)
        shapes = (2, 3, *self.cells), (2, 2, *self.cells), (2, 3, *self.cells), (2,)
        x, c, grad, grad_logdet = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
        return x, c.requires_grad_(), grad, grad_logdet


CASES = {
    "residual 1d": Case(residual, (23,), {}),
    "residual": Case(residual, (5, 19), {}),
    "residual, first axis": Case(residual, (13, 6), {"activation": "relu"}),
    "residual 3d": Case(residual, (4, 11, 3), {}),
    "residual, size below halo": Case(residual, (2, 2), {}),
    "gated 1d": Case(gated, (17,), {"blocks": 1}),
    "gated": Case(gated, (4, 21), {}),
    "gated 3d": Case(gated, (3, 4, 13), {}),
    "gated, halo beyond the image": Case(gated, (3, 7), {"blocks": 5}),
    "u-net 1d": Case(unet, (61,), {"levels": 4}),
    "u-net": Case(unet, (6, 43), {}),
    "u-net 3d": Case(unet, (5, 4, 23), {"levels": 2}),
    "u-net one level": Case(unet, (5, 14), {"levels": 1}),
}
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def shaken(module: Any) -> Any:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def step(layer: Invertible, case: Case, *, inverse: bool, keep: bool) -> tuple[Tensor, Tensor, ReverseStep]:
    x, c, grad, grad_logdet = case.images()
    with torch.no_grad():
        out, logdet, trace = layer.record(x, c, inverse=inverse, keep=keep)
    back = layer.reverse_step_inverse if inverse else layer.reverse_step
    return out, logdet, back(out, c, grad, grad_logdet, trace)


def tensors(result: tuple[Tensor, Tensor, ReverseStep]) -> list[Tensor]:
    out, logdet, (x, grad, grad_c, grads) = result
    assert grad_c is not None
    return [out, logdet, x, grad, grad_c, *(one for one in grads if one is not None)]


@every
@pytest.mark.parametrize("halvings", [1, 2, 9], ids=["two slabs", "four", "as thin as can be"])
@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_a_coupling_gives_the_same_over_slabs(case: Case, halvings: int, inverse: bool) -> None:
    layer = case.layer(swap=inverse)
    for keep in (False, True):
        layer.slabs = None
        expected = tensors(step(layer, case, inverse=inverse, keep=keep))
        layer.slabs = Slabs(AMPLE, halvings)
        got = tensors(step(layer, case, inverse=inverse, keep=keep))
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(one, other, **TOLERANCE)


@pytest.mark.parametrize("name", ["residual", "gated", "u-net", "u-net 1d"])
def test_a_smaller_halo_would_not_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    layer = case.layer()
    expected = tensors(step(layer, case, inverse=False, keep=False))
    own = layer.conditioner.footprint()  # type: ignore[operator]
    less = replace(own, halo=own.halo - own.stride)
    monkeypatch.setattr(layer.conditioner, "footprint", lambda: less, raising=False)
    layer.slabs = Slabs(AMPLE, 1)
    got = tensors(step(layer, case, inverse=False, keep=False))
    assert (got[0] - expected[0]).abs().max() > 1e-6


def test_a_spline_gives_the_same_over_slabs() -> None:
    case = CASES["residual"]
    layer = case.layer(transform=RationalQuadraticSpline(bins=3, bound=2.0))
    expected = tensors(step(layer, case, inverse=False, keep=False))
    layer.slabs = Slabs(AMPLE, 2)
    for one, other in zip(tensors(step(layer, case, inverse=False, keep=False)), expected, strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)


def test_without_fixed_channels_or_without_a_condition() -> None:
    for channels, cond, fixed in ((3, 2, 0), (4, 0, 2)):
        torch.manual_seed(0)
        layer = shaken(Coupling(channels, cond, conditioner=residual, fixed=fixed)).double()
        x = torch.randn(2, channels, 4, 9, dtype=torch.float64)
        c = torch.randn(2, cond, 4, 9, dtype=torch.float64) if cond else None
        results = []
        for layer.slabs in (None, Slabs(AMPLE, 2)):
            with torch.no_grad():
                z, logdet = layer(x, c)
            back = layer.reverse_step(z, c, x, logdet)
            assert back.grad_c is None
            results.append([z, logdet, back.input, back.grad_input, *back.grad_parameters])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, **TOLERANCE)


@pytest.mark.parametrize("name", ["residual", "gated 3d", "u-net"])
def test_dropout_draws_the_mask_of_the_whole_image(name: str) -> None:
    case = replace(CASES[name], options={**CASES[name].options, "dropout": 0.5})
    layer = case.layer().train()
    results, after = [], []
    for layer.slabs in (None, Slabs(AMPLE, 2)):
        x, c, grad, grad_logdet = case.images()
        torch.manual_seed(2)
        with torch.no_grad():
            out, logdet, trace = layer.record(x, c)
        after.append(torch.get_rng_state())
        results.append(tensors((out, logdet, layer.reverse_step(out, c, grad, grad_logdet, trace))))
        assert torch.equal(torch.get_rng_state(), after[-1])
    assert torch.equal(*after)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)


NETWORKS: dict[str, tuple[Callable[..., Invertible], tuple[int, ...]]] = {
    "glow": (partial(ConditionalGlow, 1, 2, hidden=6, scales=2, steps=2), (12, 28)),
    "glow 1d": (partial(ConditionalGlow, 1, 2, hidden=6, scales=2, steps=2, ndim=1), (44,)),
    "glow 3d": (partial(ConditionalGlow, 1, 2, hidden=6, scales=1, steps=2, ndim=3), (8, 6, 18)),
    "glow gated spline": (
        partial(
            ConditionalGlow, 1, 2, scales=1, steps=2, conditioner=gated, transform=RationalQuadraticSpline()
        ),
        (8, 26),
    ),
    "hint": (partial(HINT, 1, 2, hidden=6, scales=2, steps=1), (12, 28)),
    "conditional hint": (partial(ConditionalHINT, 1, 2, hidden=6, scales=2, steps=1), (12, 28)),
}
MEMORIES = {
    "invert": Memory(slab_budget=AMPLE),
    "keep, chunk, anchors": Memory(keep=True, chunk=2, anchor_every=2, slab_budget=AMPLE),
    "checkpoint": Memory("checkpoint", slab_budget=AMPLE),
    "store": Memory("store", slab_budget=AMPLE),
}


def network(build: Callable[..., Invertible], memory: MemoryLike, halvings: int = 0) -> Invertible:
    torch.manual_seed(0)
    net = shaken(build(memory=memory)).double()
    for layer in net.modules():
        if isinstance(layer, Coupling) and layer.slabs is not None:
            layer.slabs = replace(layer.slabs, halvings=halvings)
    return net


def gradients(net: Invertible, cells: tuple[int, ...], *, inverse: bool) -> list[Tensor]:
    """Output, log-determinant, and every gradient of a loss."""
    torch.manual_seed(1)
    x = torch.randn(3, 1, *cells, dtype=torch.float64, requires_grad=True)
    c = torch.randn(3, 2, *cells, dtype=torch.float64, requires_grad=True)
    out, logdet = (net.inverse if inverse else net)(x, c)
    loss = (out.sin() * out).sum() - logdet.sum()
    found = torch.autograd.grad(loss, [x, c, *net.parameters()], allow_unused=True)
    return [out.detach(), logdet.detach(), *(one for one in found if one is not None)]


@pytest.mark.parametrize("inverse", [False, True], ids=["density", "samples"])
@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES.keys())
@pytest.mark.parametrize("name", NETWORKS.keys())
def test_networks_give_the_same_over_slabs(name: str, memory: Memory, inverse: bool) -> None:
    build, cells = NETWORKS[name]
    # Not against "store" in every case: a spline's inverse amplifies rounding, with slabs or without.
    expected = gradients(network(build, replace(memory, slab_budget=None)), cells, inverse=inverse)
    got = gradients(network(build, memory, halvings=3), cells, inverse=inverse)
    # Of the largest gradient: some are sums that cancel to zero.
    scale = max(1.0, *(float(one.norm()) for one in expected))
    for one, other in zip(got, expected, strict=True):
        assert (one - other).norm() <= 1e-12 * scale


def test_a_budget_that_holds_the_whole_changes_not_one_bit() -> None:
    build, cells = NETWORKS["glow"]
    results = [
        gradients(network(build, memory), cells, inverse=False)
        for memory in ("invert", Memory(slab_budget="1TB"))
    ]
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


class Convolutions(TorchDispatchMode):
    """Counts convolutions and their gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.values, self.gradients = 0, 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.values += op.overloadpacket is torch.ops.aten.convolution
        self.gradients += op.overloadpacket is torch.ops.aten.convolution_backward
        return op(*args, **(kwargs or {}))


@pytest.mark.parametrize(("keep", "expected"), [(False, 6), (True, 5)])
def test_two_evaluations_a_slab(keep: bool, expected: int) -> None:
    case = CASES["residual"]
    layer = case.layer()
    layer.slabs = Slabs(AMPLE, 2)  # 19 cells in slabs of 4
    with Convolutions() as counter:
        step(layer, case, inverse=False, keep=keep)
    assert (counter.values, counter.gradients) == (5 * expected, 5 * 3)


def test_second_derivatives_with_everything_stored() -> None:
    build, cells = NETWORKS["glow 1d"]
    results = []
    for memory in ("store", Memory("store", slab_budget=AMPLE)):
        net = network(build, memory, halvings=3)
        torch.manual_seed(1)
        x = torch.randn(2, 1, *cells, dtype=torch.float64, requires_grad=True)
        z, logdet = net(x, torch.randn(2, 2, *cells, dtype=torch.float64))
        loss = z.square().sum() - logdet.sum()
        (first,) = torch.autograd.grad(loss, x, create_graph=True)
        results.append(torch.autograd.grad(first.square().sum(), x)[0])
    torch.testing.assert_close(*results, **TOLERANCE)


@pytest.mark.parametrize("ambient", [False, True], ids=["dtype", "autocast"])
def test_conditioners_in_bfloat16(ambient: bool) -> None:
    results = []
    dtype = None if ambient else torch.bfloat16
    for memory in (Memory(keep=True), Memory(keep=True, slab_budget=AMPLE)):
        net = network(partial(NETWORKS["glow"][0], dtype=dtype), memory, halvings=3).float()
        torch.manual_seed(1)
        x, c = torch.randn(3, 1, 12, 28), torch.randn(3, 2, 12, 28, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=ambient):
            z, logdet = net(x, c)
        assert z.dtype == torch.float32
        loss = z.square().sum() - logdet.sum()
        results.append([z.detach(), logdet.detach(), *torch.autograd.grad(loss, [c, *net.parameters()])])
    for one, other in zip(*results, strict=True):
        # Each parameter's gradient is rounded to bfloat16 (4e-3) once a slab rather than once.
        assert (one - other).norm() <= 2e-2 * other.norm() + 1e-6


def peak_bytes(call: Callable[[], object]) -> int:
    """What torch's allocator held at most during a call, beyond what was there."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events = [one for one in profiler.profiler.kineto_results.events() if one.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda one: one.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


# Large enough for torch to leave its own convolution, which copies the image once for every cell of a kernel.
BIG = {1: (8192,), 2: (64, 128), 3: (16, 16, 112)}


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("build", [ResidualConditioner, GatedConditioner, UNetConditioner])
def test_a_coupling_stays_within_the_budget(build: Any, ndim: int, dtype: torch.dtype | None) -> None:
    torch.manual_seed(0)
    layer = Coupling(8, 4, conditioner=partial(build, hidden=16, ndim=ndim), ndim=ndim, dtype=dtype)
    x, c = torch.randn(2, 8, *BIG[ndim]), torch.randn(2, 4, *BIG[ndim], requires_grad=True)
    own = sum(2 * parameter.nbytes for parameter in layer.parameters())

    def call() -> None:
        with torch.no_grad():
            z, logdet = layer(x, c)
        layer.reverse_step(z, c, x, logdet)

    whole = peak_bytes(call)
    # Beside the slab: z and its gradient, what is rebuilt, and the gradient of c.
    images = 3 * x.nbytes + c.nbytes + own
    budget = (whole - images) // 2
    limit_memory(layer, budget)
    peak = peak_bytes(call)
    assert peak <= images + budget
    # The budget is made use of: half of it at least, or thinner slabs would do as well.
    assert peak >= images + 2 * budget // 5


def test_peak_of_a_training_step_is_the_state_and_one_slab() -> None:
    peaks = {}
    x, c = torch.randn(2, 1, 128, 128), torch.randn(2, 2, 128, 128)
    for budget in (None, "1MB", "600kB"):
        torch.manual_seed(0)
        net = ConditionalGlow(1, 2, hidden=32, scales=2, steps=2, memory=Memory(slab_budget=budget))

        def train(net: ConditionalGlow = net) -> None:
            z, logdet = net(x, c)
            (z.square().sum() - logdet.sum()).backward()

        train()
        peaks[budget] = peak_bytes(train)
    # Ten images of the size of x (z, what is rebuilt, gradients, the parts of the finest scale) and one of c.
    state = 10 * x.nbytes + c.nbytes
    assert peaks["1MB"] <= state + 1_000_000
    assert peaks["600kB"] <= state + 600_000
    assert peaks[None] > 3 * peaks["600kB"]


def test_too_small_a_budget_names_the_least() -> None:
    layer = CASES["residual"].layer()
    x, c, *_ = CASES["residual"].images()
    limit_memory(layer, 1000)
    with pytest.raises(
        ValueError, match=r"slab budget of at least (\d+) bytes.*5 of 19 cells.*got 1000"
    ) as error:
        layer(x, c)
    least = int(str(error.value).split("at least ")[1].split()[0])
    limit_memory(layer, least - 1)
    with pytest.raises(ValueError, match=f"at least {least}"):
        layer(x, c)
    expected = CASES["residual"].layer()(x, c)
    limit_memory(layer, least)
    for one, other in zip(layer(x, c), expected, strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)


def test_where_the_halo_exceeds_the_image_the_least_is_the_whole() -> None:
    case = CASES["gated, halo beyond the image"]
    layer = case.layer()
    limit_memory(layer, 1000)
    with pytest.raises(ValueError, match="7 of 7 cells"):
        layer(*case.images()[:2])


@pytest.mark.parametrize(
    "conditioner", [lambda i, o: nn.Conv2d(i, o, 3, padding=1), partial(DenseConditioner, hidden=4)]
)
def test_conditioners_that_may_see_everything_are_refused(conditioner: Any) -> None:
    layer = Coupling(4, conditioner=conditioner, ndim=0)
    with pytest.raises(ValueError, match=r"conditioners with a footprint.*got (Conv2d|Dense)"):
        Sequential([layer], Memory(slab_budget="1GB"))


class Scarce(Conditioner):
    """A conditioner on a device that holds so many cells at once and no more."""

    def __init__(self, in_channels: int, out_channels: int, *, limit: int) -> None:
        super().__init__()
        self.inner = ResidualConditioner(in_channels, out_channels, hidden=4)
        self.head, self.limit = self.inner.head, limit

    def body(self, u: Tensor) -> Tensor:
        if u.shape[2] > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return self.inner.body(u)

    def footprint(self) -> Footprint:
        return self.inner.footprint()


def test_out_of_memory_halves_the_slabs_and_says_so() -> None:
    torch.manual_seed(0)
    layer = shaken(Coupling(4, conditioner=partial(Scarce, limit=AMPLE))).double()
    x = torch.randn(2, 4, 16, 3, dtype=torch.float64)
    expected = [*layer(x), *torch.autograd.grad(sum(one.sum() for one in layer(x)), [*layer.parameters()])]
    layer.conditioner.limit = 9
    chain = Sequential([layer], Memory(slab_budget="1GB"))
    with pytest.warns(RuntimeWarning, match=r"with [12] slabs of an image of shape \(2, 4, 16, 3\)"):
        out = chain(x)
    got = [*out, *torch.autograd.grad(sum(one.sum() for one in chain(x)), [*layer.parameters()])]
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)
    out = chain(x)
    layer.conditioner.limit = 6  # less is left for the backward pass
    with pytest.warns(RuntimeWarning, match="from here on"):
        found = torch.autograd.grad(sum(one.sum() for one in out), [*layer.parameters()])
    for one, other in zip(found, expected[2:], strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)
    layer.conditioner.limit = 1
    with pytest.warns(RuntimeWarning), pytest.raises(torch.OutOfMemoryError):
        chain(x)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20GB", 20 * 10**9), ("512 MiB", 2**29), ("1.5kb", 1500), ("7", 7), ("1e3B", 1000), (12, 12)],
)
def test_sizes_in_words(text: int | str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("bad", ["", "20 G", "GB", "-1GB", "0GB", 0, -5, "1.2.3MB"])
def test_what_is_no_size(bad: int | str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Memory(slab_budget=bad)
