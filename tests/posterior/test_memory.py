"""What a chain keeps, how often it evaluates, in which precision, and how it guards against drift."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from posterior.conditioners import GatedConditioner, ResidualConditioner
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.linearise import Conditioner
from posterior.networks.glow import ConditionalGlow
from posterior.reversible import Memory, MemoryLike, Sequential

SavedBytes = Callable[..., int]


def glow(memory: MemoryLike, steps: int) -> ConditionalGlow:
    torch.manual_seed(0)
    return ConditionalGlow(1, 2, hidden=8, scales=2, steps=steps, memory=memory)


def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 1, 16, 8), torch.randn(2, 2, 16, 8)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("frozen", [False, True], ids=["training", "frozen"])
def test_bytes_saved_do_not_depend_on_depth(saved_bytes: SavedBytes, direction: str, frozen: bool) -> None:
    kept = {}
    for memory in ("invert", "store"):
        for steps in (4, 16):
            net = glow(memory, steps).train(not frozen).requires_grad_(not frozen)
            x, c = pair()
            call = net if direction == "forward" else net.inverse
            kept[memory, steps] = saved_bytes(call, net.parameters(), x.requires_grad_(), c)
    assert kept["invert", 4] == kept["invert", 16]
    assert kept["store", 16] > 3 * kept["store", 4] > 15 * kept["invert", 4]


def test_a_chain_keeps_its_output_its_condition_and_nine_numbers_a_sample(saved_bytes: SavedBytes) -> None:
    chain = Sequential([ActNorm(4), Coupling(4, 2, conditioner=ResidualConditioner)])
    x, c = torch.randn(8, 4, 6, 5), torch.randn(8, 2, 6, 5)
    assert saved_bytes(chain, chain.parameters(), x, c) == x.nbytes + c.nbytes + 8 * 9 * 4


def test_bytes_saved_by_checkpoint_are_one_image_a_step(saved_bytes: SavedBytes) -> None:
    kept = [saved_bytes(net := glow("checkpoint", steps), net.parameters(), *pair()) for steps in (4, 16)]
    x, _ = pair()
    image = x.numel() * x.element_size()
    # 12 more steps at each scale; the second scale has half as many cells.
    assert kept[1] - kept[0] == pytest.approx(12 * 1.5 * image, rel=0.05)


class ConvolutionFlops(TorchDispatchMode):
    """Counts floating-point operations of convolutions and of their gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.forward, self.backward = 0, 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = op(*args, **(kwargs or {}))
        packet = op.overloadpacket
        if packet is torch.ops.aten.convolution:
            self.forward += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        elif packet is torch.ops.aten.convolution_backward:
            self.backward += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        return out


def convolution_flops(call: Callable[[], object]) -> dict[str, int]:
    """Floating-point operations of convolutions and of their gradients in a call."""
    with ConvolutionFlops() as counter:
        call()
    return {"forward": counter.forward, "backward": counter.backward}


def plain(in_channels: int, out_channels: int) -> nn.Module:
    """A conditioner of the user's own."""
    return nn.Sequential(nn.Conv2d(in_channels, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, out_channels, 1))


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("conditioner", [partial(ResidualConditioner, hidden=8), GatedConditioner, plain])
def test_two_evaluations_of_every_conditioner(conditioner: Any, direction: str) -> None:
    x, c = torch.randn(2, 4, 6, 8), torch.randn(2, 2, 6, 8)
    spent = {}
    for memory in ("store", "invert", Memory(keep=True)):
        net = Sequential([Coupling(4, 2, conditioner=conditioner) for _ in range(3)], memory)
        call = net if direction == "forward" else net.inverse

        def step(call: Any = call) -> None:
            z, logdet = call(x.requires_grad_(), c.requires_grad_())
            (z.square().sum() - logdet.sum()).backward()

        spent[str(memory)] = convolution_flops(step)
    store, invert, keep = spent.values()
    assert store["forward"] > 0
    assert invert == {"forward": 2 * store["forward"], "backward": store["backward"]}
    # What was kept spares the last convolution, where the conditioner tells which one that is.
    heads = 3 * convolution_flops(lambda: head_of(net.layers[0].conditioner))["forward"]
    assert keep == {"forward": 2 * store["forward"] - heads, "backward": store["backward"]}


def head_of(conditioner: nn.Module) -> None:
    """Evaluate the last layer of a conditioner that names it."""
    if isinstance(conditioner, Conditioner):
        head = conditioner.head
        assert isinstance(head, nn.Conv2d)
        head(torch.randn(2, head.in_channels, 6, 8))


def test_autocast_is_entered_again_and_the_state_stays_in_full_precision() -> None:
    results = []
    seen: set[torch.dtype] = set()
    # With (s, t) kept no rounding of a conditioner's input to bfloat16 can tip over on the way back.
    for memory in (Memory(keep=True), "store"):
        net = glow(memory, 3)
        x, c = pair()
        for module in net.modules():
            if isinstance(module, ResidualConditioner):
                nn.init.normal_(module.head.weight, std=0.1)  # type: ignore[arg-type]
                module.first.register_forward_hook(lambda _module, _inputs, out: seen.add(out.dtype))
        with torch.autocast("cpu", torch.bfloat16):
            z, logdet = net(x, c.requires_grad_())
        assert z.dtype == logdet.dtype == torch.float32
        loss = z.square().mean() - logdet.mean() / 128
        results.append(torch.autograd.grad(loss, [c, *net.parameters()]))
        drifts = [chain.drift or 0.0 for chain in net.scales.chains if isinstance(chain, Sequential)]
        # The state never left float32: neither the rebuilt input nor its comparison saw bfloat16.
        assert max(drifts) < 1e-5
    assert seen == {torch.bfloat16}
    for got, expected in zip(*results, strict=True):
        # The two round to bfloat16 (4e-3) in other places: the skip of a conditioner is part of its weight.
        assert (got - expected).norm() <= 2e-2 * expected.norm() + 1e-7


def test_autocast_cache_does_not_hide_parameters_from_a_later_call() -> None:
    net = glow("invert", 1)
    x, c = pair()
    with torch.autocast("cpu", torch.bfloat16):
        net(x, c)
        module = next(m for m in net.modules() if isinstance(m, ResidualConditioner))
        inputs = torch.randn(1, 2 + 2, 4, 4)  # two fixed channels and the condition's two
        module(inputs).square().sum().backward()
    assert all(parameter.grad is not None for parameter in module.head.parameters())


def test_coupling_arithmetic_stays_in_full_precision() -> None:
    layer = Coupling(4, 2, conditioner=ResidualConditioner)
    x, c = torch.randn(2, 4, 3, 3), torch.randn(2, 2, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        results = [*layer(x, c), *layer.inverse(x, c), *Conv1x1(4)(x)]
    assert {value.dtype for value in results} == {torch.float32}


def test_what_is_kept_is_freed_with_the_graph_not_at_the_next_garbage_collection() -> None:
    net = glow(Memory(keep=True), 2)
    x, c = pair()

    def step() -> None:
        z, logdet = net(x, c.requires_grad_())
        (z.square().sum() - logdet.sum()).backward()

    step()  # what torch makes once is made here
    gc.collect()
    gc.disable()
    try:
        step()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_drift_guard_stays_silent_on_an_exact_chain() -> None:
    net = glow("invert", 8)
    z, logdet = net(*pair())
    assert [chain.drift for chain in net.scales.chains] == [None, None]
    (z.square().sum() - logdet.sum()).backward()
    for chain in net.scales.chains:
        assert isinstance(chain, Sequential)
        assert chain.drift is not None
        assert 0.0 <= chain.drift < 1e-5


def test_memory_of_inner_chains_is_walked_as_part_of_the_outer_one(saved_bytes: SavedBytes) -> None:
    coupling = partial(Coupling, 4, conditioner=ResidualConditioner)
    nested = Sequential([Sequential([ActNorm(4), Sequential([Conv1x1(4), coupling()], "store")], "store")])
    flat = Sequential([ActNorm(4), Conv1x1(4), coupling()])
    x = torch.randn(2, 4, 8, 8)
    sizes = [saved_bytes(chain, chain.parameters(), x) for chain in (nested, flat)]
    assert sizes[0] == sizes[1]
