"""Loop-unrolled reconstruction: what it costs, keeps and learns; physics that change between calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from posterior.layers.activations import Sigmoid
from posterior.layers.gradient_update import GradientHead
from posterior.layers.units import LinearUnits
from posterior.linear_map import LinearMap
from posterior.linear_misfit import LinearMisfit
from posterior.misfit import NonFiniteGradientError
from posterior.networks.loop import Known, LoopUnrolled
from posterior.reversible import Memory, MemoryLike

SavedBytes = Callable[..., int]
SHAPE = (1, 8, 4)


def operator(scale: float = 1.0, seed: int = 0) -> LinearMap:
    draws = torch.Generator().manual_seed(seed)
    matrix = scale * torch.randn(10, 32, generator=draws, dtype=torch.float64) / 32**0.5
    return LinearMap(lambda x: x.flatten(1) @ matrix.T, lambda d: (d @ matrix).view(-1, *SHAPE))


def physics(scale: float = 1.0, seed: int = 0) -> LinearMisfit:
    return LinearMisfit(operator(scale, seed), SHAPE)


def network(memory: MemoryLike = "invert", *, moved: float = 0.2, **options: Any) -> LoopUnrolled:
    """With weights moved away from the start, at which every block is the identity."""
    torch.manual_seed(0)
    net = LoopUnrolled(
        **{"iterations": 3, "hidden": 4, "memory_channels": 3, "step": "irim"} | options, memory=memory
    )
    net.double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(moved * torch.randn_like(parameter))
    return net


def data(batch: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(batch, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Applications of (A, A^T) a sample and iteration: forward, backward.
COSTS = {
    "invert": (Memory("invert"), 1, 2),
    "keep": (Memory("invert", keep=True), 1, 1),
    "checkpoint": (Memory("checkpoint"), 1, 2),
    "store": (Memory("store"), 1, 1),
}


@pytest.mark.parametrize("update", ["additive", "affine"])
@pytest.mark.parametrize("start", ["gradient", "zero", "network"])
@pytest.mark.parametrize(("memory", "ahead", "back"), COSTS.values(), ids=COSTS.keys())
def test_applications_of_the_operator(memory: Memory, ahead: int, back: int, start: Any, update: Any) -> None:
    net, misfit, batch, iterations = network(memory, start=start, update=update), physics(), 2, 3
    x = net.eval().reconstruct(data(), misfit)
    first = 0 if start == "zero" else batch
    assert misfit.num_forward == misfit.num_adjoint == batch * iterations * ahead + first
    before = misfit.num_forward
    x.square().sum().backward()
    # Where eta starts at zero, plain autograd sees that nothing before the first iteration is wanted.
    spared = batch if start == "zero" and memory.mode in ("store", "checkpoint") else 0
    assert misfit.num_forward - before == misfit.num_adjoint - before == batch * iterations * back - spared


@pytest.mark.parametrize(
    "memory", [Memory(), Memory(keep=True), Memory(anchor_every=2), "checkpoint"], ids=str
)
@pytest.mark.parametrize("step", ["irim", "unet", "hint"])
def test_first_training_step_has_the_stored_gradients(memory: MemoryLike, step: Any) -> None:
    options = {"strides": (1, 2, 4)} if step == "unet" else {}
    found = []
    for mode in (memory, "store"):
        net, d = network(mode, step=step, update="affine", link=Sigmoid(-3.0, 2.0), **options).train(), data()
        x = net.reconstruct(d.requires_grad_(), physics())
        loss = (x.square() * x.cumsum(-1)).sum()
        found.append((x, *torch.autograd.grad(loss, [d, *net.parameters()], allow_unused=True)))
    for got, expected in zip(*found, strict=True):
        assert (got is None) == (expected is None)
        if got is not None:
            torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


def test_bytes_saved_do_not_depend_on_iterations(saved_bytes: SavedBytes) -> None:
    kept = {}
    for memory in ("invert", "keep", "store"):
        for iterations in (2, 16):
            mode = Memory(keep=True) if memory == "keep" else memory
            net, misfit = network(mode, iterations=iterations, moved=0.0), physics()
            kept[memory, iterations] = saved_bytes(
                lambda d, net=net, misfit=misfit: net.reconstruct(d, misfit)[None], net.parameters(), data()
            )
    assert kept["invert", 2] == kept["invert", 16]
    assert kept["store", 16] > 7 * kept["store", 2] > 20 * kept["invert", 2]
    # One gradient an iteration, what a coupling of 4 channels keeps, and Q with its reflections.
    assert kept["keep", 16] - kept["keep", 2] < 14 * (1 + 2 + 4) * data().new_empty(2, *SHAPE).nbytes


def test_bytes_saved_do_not_depend_on_depth(saved_bytes: SavedBytes) -> None:
    kept = []
    for depth in (2, 16):
        net, misfit = network(strides=(1,) * depth), physics()
        call = lambda d, net=net, misfit=misfit: net.reconstruct(d, misfit)[None]  # noqa: E731
        kept.append(saved_bytes(call, net.parameters(), data()))
    assert kept[0] == kept[1]


@pytest.mark.parametrize("step", ["irim", "hint"])
def test_inverse_undoes_every_iteration(step: Any) -> None:
    net, misfit, d = network(step=step, update="affine", iterations=6, moved=0.1).eval(), physics(), data()
    torch.manual_seed(3)
    eta, s = (torch.randn(2, channels, 8, 4, dtype=torch.float64) for channels in (1, 3))
    out = net(eta, s, d, misfit)
    assert (out[0] - eta).abs().max() > 0.1
    for got, expected in zip(net.inverse(*out, d, misfit), (eta, s), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=0.0)


@pytest.mark.parametrize("scale", [1e-9, 1e7])
def test_first_batch_takes_the_units_of_the_physics_out_of_every_iteration(scale: float) -> None:
    results: list[Tensor] = []
    for size in (1.0, scale):
        net = network(moved=0.0)
        for block in net.blocks:  # weights that do not pass through the scale of the gradient
            torch.manual_seed(7)
            for parameter in block.parameters():
                torch.nn.init.normal_(parameter, std=0.2)
        results.append(net.train().reconstruct(size * data(), physics(size)))
    assert results[0].abs().mean() > 0.1
    # Rounding of log-scales as large as 2 log(1e9) = 41.
    torch.testing.assert_close(*results, atol=1e-10, rtol=1e-10)


def test_the_start_is_a_migration_of_unit_size() -> None:
    net, d = network(moved=0.0).train(), data(3)
    eta, s = net.initial(d, physics(1e4))
    migrated = operator(1e4).adjoint(d)
    centred = migrated - migrated.mean()
    torch.testing.assert_close(eta, centred / centred.std(unbiased=False), atol=1e-12, rtol=0.0)
    assert not s.any()
    # Blocks start as the identity: an untrained network returns its start.
    torch.testing.assert_close(net.reconstruct(d, physics(1e4)), eta, atol=1e-12, rtol=0.0)
    given = net.reconstruct(d, physics(1e4), eta=2.0 * eta)
    torch.testing.assert_close(given, 2.0 * eta, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("memory", ["invert", "store"])
def test_gradients_belong_to_the_physics_of_their_call(memory: MemoryLike) -> None:
    net, d = network(memory).eval(), data()

    def gradients(seed: int) -> tuple[Tensor, ...]:
        return torch.autograd.grad(net.reconstruct(d, physics(seed=seed)).square().sum(), net.parameters())

    expected = [a + b for a, b in zip(gradients(1), gradients(2), strict=True)]
    # Both calls before either backward pass, as with gradients that accumulate over encodings.
    losses = [net.reconstruct(d, physics(seed=seed)).square().sum() for seed in (1, 2)]
    for loss in losses:
        loss.backward()
    for parameter, want in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, want, atol=1e-10, rtol=1e-10)


def test_a_batch_of_geometries_is_its_samples() -> None:
    net, d, each = network(update="affine").eval(), data(3), [operator(seed=seed) for seed in (3, 4, 5)]
    together = net.reconstruct(d, LinearMisfit(each, SHAPE))
    alone = [net.reconstruct(d[i : i + 1], LinearMisfit(one, SHAPE)) for i, one in enumerate(each)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-12, rtol=0.0)


def test_link_bounds_the_image_and_gives_its_units() -> None:
    net, d = network(link=Sigmoid(1500.0, 4500.0)).train(), data()
    seen: list[Tensor] = []
    base = operator(1e-3)

    def forward(x: Tensor) -> Tensor:
        seen.append(x)
        return base.forward(x)

    x = net.reconstruct(d, LinearMisfit(LinearMap(forward, base.adjoint), SHAPE))
    assert torch.equal(seen[0], torch.full_like(x, 3000.0))
    for model in (*seen[1:], x):
        assert 1500.0 < model.min() < model.max() < 4500.0
    assert len(seen) == 4
    small = network(link=LinearUnits(1e-8)).eval().reconstruct(d, physics(1e8))
    plain = network().eval()
    for head in [plain.scale, *(one.norm for one in plain.heads if isinstance(one, GradientHead))]:
        assert head is not None  # the gradient in eta of the one is that of x of the other
    torch.testing.assert_close(small, 1e-8 * plain.reconstruct(d, physics()), atol=1e-16, rtol=1e-10)


def test_learns_to_reconstruct_better_than_the_start() -> None:
    torch.manual_seed(5)
    basis = torch.randn(3, 32, dtype=torch.float64)
    misfit = physics()
    optimiser, losses = None, []
    net = network(moved=0.0, iterations=4).train()
    for _ in range(150):
        x = (torch.randn(16, 3, dtype=torch.float64) @ basis).view(16, *SHAPE)
        d = misfit.operator.forward(x)
        got = net.reconstruct(d, misfit)
        optimiser = optimiser or torch.optim.Adam(net.parameters(), 1e-2)
        loss = (got - x).square().mean() / x.square().mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # A migration leaves most of the image; ten data tell three coefficients without error.
    assert losses[0] > 0.5
    assert sum(losses[-10:]) / 10 < 0.2


def test_bad_input() -> None:
    net, d = network().eval(), data()
    with pytest.raises(NonFiniteGradientError, match=r"got nan or inf for samples \[1\] of 2"):
        net.reconstruct(d.index_fill(0, torch.tensor([1]), torch.inf), physics())
    with pytest.raises(ValueError, match=r"expected eta of shape \(B, 1, nx, nz\), got \(2, 3, 8, 4\)"):
        net(torch.zeros(2, 3, 8, 4), torch.zeros(2, 3, 8, 4), d, physics())
    with pytest.raises(ValueError, match="expected data d as the condition, got None"):
        net.at(physics())(torch.zeros(2, 4, 8, 4).double())
    short, wide = LinearMisfit(LinearMap(lambda x: x, lambda d: d), (1, 4, 8)), network(strides=(8,))
    with pytest.raises(ValueError, match="nx of the image must be a multiple of 8, got 4: pad to 8"):
        wide.reconstruct(torch.zeros(1, 1, 4, 8).double(), short)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": "glow"}, r"expected step among \['irim', 'unet', 'hint'\], got 'glow'"),
        ({"update": "multiplied"}, r"expected update among \['additive', 'affine'\]"),
        ({"start": "random"}, r"expected start among \['gradient', 'zero', 'network'\]"),
        ({"context_channels": 1}, 'expected start "network" where there is a context, got .gradient.'),
        ({"iterations": 0}, "expected iterations of at least 1, got 0"),
        ({"memory_channels": 1, "in_channels": 2}, "expected at least 2 memory channels, got 1"),
        ({"memory": Memory(chunk=2)}, "expected memory without chunk, .* got 2"),
        ({"step": "hint", "strides": (2,)}, r"expected strides for step .* alone, got \(2,\) for 'hint'"),
        ({"step": "unet", "strides": ()}, r"expected strides for step .* alone, got \(\) for 'unet'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoopUnrolled(**options)


def known(batch: int = 2) -> Known:
    draws = torch.Generator().manual_seed(3)
    context = torch.randn(batch, 2, *SHAPE[1:], generator=draws, dtype=torch.float64)
    return Known(context, torch.linspace(0.1, 1.0, 4, dtype=torch.float64))


@pytest.mark.parametrize("update", ["additive", "affine"])
def test_start_by_a_network_and_weighted_gradients_train_by_inversion_as_stored(update: Any) -> None:
    found, options = [], {"start": "network", "context_channels": 2, "update": update}
    for memory in ("invert", Memory(keep=True), "store"):
        net = network(memory, link=LinearUnits(3.0), **options).train()
        x = net.reconstruct(data(), physics(), known=known())
        found.append((x, *torch.autograd.grad(x.square().sum(), list(net.parameters()))))
    for got, kept, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(kept, expected, atol=1e-9, rtol=1e-9)


def test_a_weight_multiplies_every_gradient() -> None:
    # With weights of zero the data are not seen at all; a weight of one changes nothing.
    net = network().eval()
    nothing, one = (Known(weight=torch.full((1,), value, dtype=torch.float64)) for value in (0.0, 1.0))
    images = [net.reconstruct(data(seed=seed), physics(), known=nothing) for seed in (1, 2)]
    torch.testing.assert_close(*images, atol=0.0, rtol=0.0)
    plain = net.reconstruct(data(), physics())
    torch.testing.assert_close(net.reconstruct(data(), physics(), known=one), plain, atol=0.0, rtol=0.0)
    assert (plain - images[0]).abs().max() > 0.1


def test_inverse_with_weights_undoes_the_iterations() -> None:
    net, misfit = network(moved=0.1).eval(), physics()
    eta, s = net.initial(data(), misfit, known())
    out = net(eta, s, data(), misfit, weight=known().weight)
    back = net.inverse(*out, data(), misfit, weight=known().weight)
    torch.testing.assert_close(torch.cat(back, 1), torch.cat((eta, s), 1), atol=1e-9, rtol=1e-9)


def test_context_that_is_missing_or_not_expected_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a context of 2 channels, got none"):
        network(start="network", context_channels=2).reconstruct(data(), physics())
    with pytest.raises(
        ValueError, match=r"expected a context of 0 channels, got one of shape \(2, 2, 8, 4\)"
    ):
        network(start="network").reconstruct(data(), physics(), known=known())
