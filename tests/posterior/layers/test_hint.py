"""The recursion of a HINT coupling, its shared weights, its cost, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner
from posterior.invertible import Invertible
from posterior.layers.actnorm import ActNorm
from posterior.layers.coupling import Coupling
from posterior.layers.hint import HINTCoupling, Permute
from posterior.linearise import Conditioner
from posterior.reversible import Memory, MemoryLike, Sequential

EXACT: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}  # float64 rounding over a few layers of order one
DIRECTIONS = pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])


def moved(module: nn.Module) -> Any:
    """The module in float64 with every weight away from its start, which for conditioners is zero."""
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def hint(channels: int, cond: int = 0, *, dropout: float = 0.0, **options: Any) -> HINTCoupling:
    torch.manual_seed(0)
    conditioner = partial(ResidualConditioner, hidden=6, dropout=dropout)
    return moved(HINTCoupling(channels, cond, conditioner=conditioner, **options))


def gradients(
    layer: Invertible, memory: MemoryLike, shape: tuple[int, ...], *, inverse: bool
) -> list[Tensor]:
    """Gradients of input, condition and every parameter of a chain of the layer; 2 condition channels."""
    chain = Sequential([layer, ActNorm(shape[1]).double(), layer], memory)
    torch.manual_seed(1)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    c = torch.randn(shape[0], 2, *shape[2:], dtype=torch.float64, requires_grad=True)
    z, logdet = (chain.inverse if inverse else chain)(x, c)
    loss = (z * z.cumsum(1)).sum() - (torch.arange(1, len(x) + 1) * logdet).sum()
    return list(torch.autograd.grad(loss, [x, c, *chain.parameters()]))


def reference(layer: HINTCoupling, x: Tensor) -> tuple[Tensor, Tensor]:
    """The recursion as it is printed: the coupling of part b is conditioned on part a as it came."""
    mix = layer.mixing
    if mix is not None and layer.permute != "lower":
        x, _ = mix(x)
    a, b = x.tensor_split([layer.channels // 2], 1)
    if mix is not None and layer.permute == "lower":
        b, _ = mix(b)
    branch_a, branch_b = (layer.second if layer.shared else layer.first), layer.second
    new_a, logdet_a = reference(branch_a, a) if branch_a else (a, 0.0)
    new_b, logdet_b = reference(branch_b, b) if branch_b else (b, 0.0)
    raw_scale, shift = layer.coupling.conditioner(a).chunk(2, 1)
    scale = 0.5 + torch.sigmoid(raw_scale)
    z = torch.cat((new_a, scale * new_b + shift), 1)
    if mix is not None and layer.permute == "both":
        z, _ = mix.inverse(z)
    return z, scale.log().flatten(1).sum(1) + logdet_a + logdet_b


@pytest.mark.parametrize("permute", get_args(Permute))
@pytest.mark.parametrize(("channels", "shared"), [(4, False), (11, False), (8, True), (16, True)])
def test_equals_the_printed_recursion(channels: int, shared: bool, permute: Permute) -> None:
    layer = hint(channels, permute=permute, shared=shared)
    x = torch.randn(2, channels, 3, 2, dtype=torch.float64)
    for got, expected in zip(layer(x), reference(layer, x), strict=True):
        torch.testing.assert_close(got, expected, **EXACT)


@pytest.mark.parametrize(
    ("channels", "options", "parts"),
    [
        (4, {}, [4]),
        (16, {}, [16, 8, 4, 4, 8, 4, 4]),
        (16, {"shared": True}, [16, 8, 4]),
        (16, {"recursion": 0}, [16]),
        (16, {"recursion": 1}, [16, 8, 8]),
        (7, {"min_channels": 2}, [7, 3, 2, 4, 2, 2]),
        (5, {"min_channels": 1, "cond": 2}, [5, 2, 1, 1, 3, 1, 2, 1, 1]),
    ],
)
def test_parts_are_divided_as_far_as_told(channels: int, options: dict[str, Any], parts: list[int]) -> None:
    couplings = [module for module in hint(channels, **options).modules() if isinstance(module, Coupling)]
    assert [coupling.channels for coupling in couplings] == parts


def test_jacobian_is_a_full_triangle_where_that_of_a_coupling_is_one_block() -> None:
    filled = []
    for recursion in (None, 0):
        layer = moved(HINTCoupling(8, conditioner=mlp, min_channels=1, recursion=recursion, ndim=0))
        jacobian = torch.autograd.functional.jacobian(
            lambda x, f=layer: f(x[None])[0][0], torch.randn(8).double()
        )
        assert torch.equal(jacobian, jacobian.tril())
        filled.append(int((jacobian != 0.0).sum()))
    assert filled == [8 * 9 // 2, 8 + 4 * 4]


@DIRECTIONS
@pytest.mark.parametrize("channels", [8, 16])
def test_gradients_of_shared_couplings_add_up(channels: int, inverse: bool) -> None:
    layer = hint(channels, 2, shared=True, permute="both")
    shape = (2, channels, 3, 2)
    got = gradients(layer, "invert", shape, inverse=inverse)
    expected = gradients(layer, "store", shape, inverse=inverse)
    torch.testing.assert_close(got, expected, **EXACT)
    # Both uses of Q and every branch share what there is: one Q, and one conditioner a level.
    assert len(list(layer.parameters())) == 1 + 6 * round(math.log2(channels / 2))


@DIRECTIONS
@pytest.mark.parametrize("shared", [False, True], ids=["distinct", "shared"])
@pytest.mark.parametrize("memory", ["invert", Memory(keep=True), Memory(chunk=2)], ids=["", "keep", "chunks"])
def test_dropout_is_replayed(memory: MemoryLike, shared: bool, inverse: bool) -> None:
    layer = hint(8, 2, dropout=0.4, shared=shared, permute="full").train()
    shape = (2, 8, 3, 2)
    got, expected = (gradients(layer, mode, shape, inverse=inverse) for mode in (memory, "store"))
    torch.testing.assert_close(got, expected, **EXACT)
    other = gradients(layer.eval(), "store", shape, inverse=inverse)
    assert not torch.allclose(other[0], expected[0])


class Counted(Conditioner):
    """A conditioner that counts the evaluations of its body and of its head."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.head = nn.Conv2d(4, out_channels, 1)
        self.counts = {"body": 0, "head": 0}
        for part, module in (("body", self.hidden), ("head", self.head)):
            module.register_forward_hook(partial(self._count, part))

    def _count(self, part: str, *_: Any) -> None:
        self.counts[part] += 1

    def body(self, u: Tensor) -> Tensor:
        return torch.tanh(self.hidden(u))


@DIRECTIONS
@pytest.mark.parametrize(("keep", "heads"), [(False, 2), (True, 1)], ids=["invert", "keep"])
def test_two_evaluations_of_every_conditioner(keep: bool, heads: int, inverse: bool) -> None:
    chain = Sequential([HINTCoupling(8, conditioner=Counted, permute="both")], Memory(keep=keep))
    z, logdet = (chain.inverse if inverse else chain)(torch.randn(2, 8, 4, 4))
    (z.square().sum() - logdet.sum()).backward()
    counts = [module.counts for module in chain.modules() if isinstance(module, Counted)]
    assert counts == [{"body": 2, "head": heads}] * 3


def test_a_shared_conditioner_is_evaluated_twice_a_branch() -> None:
    chain = Sequential([HINTCoupling(16, conditioner=Counted, shared=True)])
    z, _ = chain(torch.randn(2, 16, 4, 4))
    z.square().sum().backward()
    counts = [module.counts["body"] for module in chain.modules() if isinstance(module, Counted)]
    assert counts == [2, 4, 8]


@pytest.mark.parametrize("options", [{"permute": "both"}, {"shared": True}])
def test_every_weight_has_one_name(options: dict[str, Any]) -> None:
    state = hint(8, **options).state_dict()
    assert len({value.data_ptr() for value in state.values()}) == len(state)


def test_arithmetic_stays_in_full_precision() -> None:
    layer = HINTCoupling(8, 2, conditioner=ResidualConditioner, permute="full", dtype=torch.bfloat16)
    x, c = torch.randn(2, 8, 4, 4), torch.randn(2, 2, 4, 4, requires_grad=True)
    z, logdet = layer(x, c)
    step = layer.reverse_step(z.detach(), c, torch.ones_like(z), torch.ones_like(logdet))
    assert step.grad_c is not None
    assert {v.dtype for v in (z, logdet, *layer.inverse(z, c), *step[:3])} == {torch.float32}
    # The rebuilt input is off by float32 rounding: no bfloat16 (4e-3) came into it.
    torch.testing.assert_close(step.input, x, atol=1e-5, rtol=1e-5)


def mlp(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def test_density_of_the_plane_integrates_to_one() -> None:
    torch.manual_seed(0)
    chain = moved(Sequential([HINTCoupling(2, conditioner=mlp, permute="full", ndim=0) for _ in range(4)]))
    axis = torch.linspace(-12.0, 12.0, 301, dtype=torch.float64)
    with torch.no_grad():
        z, logdet = chain(torch.cartesian_prod(axis, axis))
    density = torch.exp(logdet - 0.5 * z.square().sum(1)).view(301, 301) / (2.0 * math.pi)
    cell = (axis[1] - axis[0]).item() ** 2
    assert density.sum().item() * cell == pytest.approx(1.0, abs=1e-3)
    # Nothing is cut off at the edge, and the volume changes from place to place.
    assert max(density[0].max(), density[-1].max(), density[:, 0].max(), density[:, -1].max()) < 1e-9
    assert logdet.std() > 0.1


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (8, {"permute": "all"}, 'expected permute "none", "lower", "both" or "full", got \'all\''),
        (8, {"min_channels": 0}, "expected min_channels of at least 1, got 0"),
        (8, {"recursion": -1}, "expected recursion of at least 0, got -1"),
        (1, {}, "expected a condition or at least 2 channels, got 1"),
        (10, {"shared": True}, "expected parts of equal size to share a coupling, got 2 and 3 channels of 5"),
        (8, {"ndim": 4}, "expected ndim 1, 2 or 3, or 0 for vectors, got 4"),
    ],
)
def test_bad_arguments(channels: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HINTCoupling(channels, conditioner=ResidualConditioner, **options)


def test_wrong_shapes_name_both_sides() -> None:
    layer = hint(8, 2)
    x, c = torch.randn(3, 8, 6, 4).double(), torch.randn(3, 2, 6, 4).double()
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: layer(x[:, :4], c), r"expected x of shape \(B, 8, nx, nz\), got \(3, 4, 6, 4\)"),
        (lambda: layer.inverse(x[0], c), r"expected z of shape \(B, 8, nx, nz\), got \(8, 6, 4\)"),
        (
            lambda: layer(x, c[..., :2]),
            r"expected c of shape \(3, 2, 6, 4\) for x of shape \(3, 8, 6, 4\), got",
        ),
        (lambda: layer(x), r"expected a condition c of shape \(3, 2, 6, 4\), got None"),
        (lambda: hint(8)(x, c), r"expected no condition c, got \(3, 2, 6, 4\)"),
    ]
    for call, message in calls:
        with pytest.raises(ValueError, match=message):
            call()
