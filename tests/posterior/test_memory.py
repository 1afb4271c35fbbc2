"""What a chain keeps, how often it evaluates, in which precision, and how it guards against drift."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner
from posterior.invertible import Invertible
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import AffineCoupling
from posterior.networks.glow import ConditionalGlow
from posterior.reversible import Memory, Sequential


def glow(memory: Memory, steps: int) -> ConditionalGlow:
    torch.manual_seed(0)
    return ConditionalGlow(1, 2, hidden=8, scales=2, steps=steps, memory=memory)


def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 1, 16, 8), torch.randn(2, 2, 16, 8)


def saved_bytes(call: Callable[..., Any], parameters: Iterable[nn.Parameter], *arguments: Tensor) -> int:
    """Bytes that autograd keeps for the backward pass, each storage once, parameters not counted."""
    own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        results = call(*arguments)
        assert results[0].requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("frozen", [False, True], ids=["training", "frozen"])
def test_bytes_saved_do_not_depend_on_depth(direction: str, frozen: bool) -> None:
    kept = {}
    for memory in ("invert", "store"):
        for steps in (4, 16):
            net = glow(memory, steps).train(not frozen).requires_grad_(not frozen)
            x, c = pair()
            call = net if direction == "forward" else net.inverse
            kept[memory, steps] = saved_bytes(call, net.parameters(), x.requires_grad_(), c)
    assert kept["invert", 4] == kept["invert", 16]
    assert kept["store", 16] > 3 * kept["store", 4] > 15 * kept["invert", 4]


def test_a_chain_keeps_its_output_its_condition_and_two_numbers_a_sample() -> None:
    chain = Sequential([ActNorm(4), AffineCoupling(4, 2, conditioner=ResidualConditioner)])
    x, c = torch.randn(8, 4, 6, 5), torch.randn(8, 2, 6, 5)
    assert saved_bytes(chain, chain.parameters(), x, c) == x.nbytes + c.nbytes + 8 * 2 * 4


def test_bytes_saved_by_checkpoint_are_one_image_a_step() -> None:
    kept = [saved_bytes(net := glow("checkpoint", steps), net.parameters(), *pair()) for steps in (4, 16)]
    x, _ = pair()
    image = x.numel() * x.element_size()
    # 12 more steps at each scale; the second scale has half as many cells.
    assert kept[1] - kept[0] == pytest.approx(12 * 1.5 * image, rel=0.05)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_two_evaluations_of_every_conditioner(direction: str) -> None:
    net = glow("invert", 3)
    counts = dict.fromkeys(net.modules(), 0)

    def count(module: nn.Module, *_: Any) -> None:
        counts[module] += 1

    conditioners = [module for module in net.modules() if isinstance(module, ResidualConditioner)]
    for module in conditioners:
        module.register_forward_hook(count)
    x, c = pair()
    z, logdet = net(x, c) if direction == "forward" else net.inverse(x, c)
    (z.square().sum() - logdet.sum()).backward()
    assert len(conditioners) == 6
    assert {counts[module] for module in conditioners} == {2}


def test_autocast_is_entered_again_and_the_state_stays_in_full_precision() -> None:
    results = []
    seen: set[torch.dtype] = set()
    for memory in ("invert", "store"):
        net = glow(memory, 3)
        x, c = pair()
        for module in net.modules():
            if isinstance(module, ResidualConditioner):
                nn.init.normal_(module.last.weight, std=0.1)  # type: ignore[arg-type]
                module.register_forward_hook(lambda _module, _inputs, out: seen.add(out.dtype))
        with torch.autocast("cpu", torch.bfloat16):
            z, logdet = net(x, c.requires_grad_())
        assert z.dtype == logdet.dtype == torch.float32
        loss = z.square().mean() - logdet.mean() / 128
        results.append(torch.autograd.grad(loss, [c, *net.parameters()]))
        drifts = [chain.drift or 0.0 for chain in net.chains if isinstance(chain, Sequential)]
        # The state never left float32: neither the rebuilt input nor its comparison saw bfloat16.
        assert max(drifts) < 1e-5
    assert seen == {torch.bfloat16}
    for got, expected in zip(*results, strict=True):
        # Rebuilding x perturbs it by float32 rounding, which may flip a bfloat16 rounding (4e-3) at times.
        assert (got - expected).norm() <= 1e-2 * expected.norm() + 1e-7


def test_autocast_cache_does_not_hide_parameters_from_a_later_call() -> None:
    net = glow("invert", 1)
    x, c = pair()
    with torch.autocast("cpu", torch.bfloat16):
        net(x, c)
        module = next(m for m in net.modules() if isinstance(m, ResidualConditioner))
        inputs = torch.randn(1, 2 + 2, 4, 4)  # two fixed channels and the condition's two
        module(inputs).square().sum().backward()
    assert all(parameter.grad is not None for parameter in module.last.parameters())


def test_coupling_arithmetic_stays_in_full_precision() -> None:
    layer = AffineCoupling(4, 2, conditioner=ResidualConditioner)
    x, c = torch.randn(2, 4, 3, 3), torch.randn(2, 2, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        results = [*layer(x, c), *layer.inverse(x, c), *Conv1x1(4)(x)]
    assert {value.dtype for value in results} == {torch.float32}


class Leaky(Invertible):
    """A layer whose inverse is off by a relative error."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x * self.gain, x.new_zeros(len(x))

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
        return z + self.error * noise, z.new_zeros(len(z))


def test_drift_guard_stays_silent_on_an_exact_chain() -> None:
    net = glow("invert", 8)
    z, logdet = net(*pair())
    assert [chain.drift for chain in net.chains] == [None, None]
    (z.square().sum() - logdet.sum()).backward()
    for chain in net.chains:
        assert isinstance(chain, Sequential)
        assert chain.drift is not None
        assert 0.0 <= chain.drift < 1e-5


@pytest.mark.parametrize("error", [3e-2, 1.0])
def test_drift_guard_measures_and_warns(error: float) -> None:
    chain = Sequential([Leaky(error)])
    z, _ = chain(torch.randn(16, 1, 16, 16, generator=torch.Generator().manual_seed(1)))
    with pytest.warns(RuntimeWarning, match=r'relative error of .*split the chain .* memory="checkpoint"'):
        z.sum().backward()
    # The worst of 16 estimates, each the size of the true error times a standard normal.
    assert chain.drift == pytest.approx(2.0 * error, rel=0.6)


def test_drift_tolerance_is_the_users() -> None:
    chain = Sequential([Leaky(3e-2)], drift_tolerance=1.0)
    chain(torch.randn(4, 1, 8, 8))[0].sum().backward()
    assert chain.drift is not None


def test_memory_of_inner_chains_is_walked_as_part_of_the_outer_one() -> None:
    coupling = partial(AffineCoupling, 4, conditioner=ResidualConditioner)
    nested = Sequential([Sequential([ActNorm(4), Sequential([Conv1x1(4), coupling()], "store")], "store")])
    flat = Sequential([ActNorm(4), Conv1x1(4), coupling()])
    x = torch.randn(2, 4, 8, 8)
    sizes = [saved_bytes(chain, chain.parameters(), x) for chain in (nested, flat)]
    assert sizes[0] == sizes[1]
