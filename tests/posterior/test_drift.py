"""The drift guard: its estimate of an error, its tolerance, and what it sees of a chain."""

from __future__ import annotations

import math
import warnings
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner
from posterior.drift import (
    DriftGuard,
    declared_precisions,
    default_tolerance,
    estimated_error,
    fingerprint,
    relative_error,
)
from posterior.invertible import Invertible
from posterior.lanes import TwoLanes
from posterior.layers.actnorm import ActNorm
from posterior.layers.coupling import Coupling
from posterior.reversible import Memory, Sequential
from posterior.walk import Step

BATCH = 400
WARNING = r"relative error of .*keep or anchor_every .* split the chain .* memory=\"checkpoint\""

# -- the estimate


def white(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(BATCH, *shape)


def smooth(shape: tuple[int, ...]) -> Tensor:
    """Noise summed up along every axis in space."""
    noise = torch.randn(BATCH, *shape)
    for axis in range(2, noise.ndim):
        noise = noise.cumsum(axis)
    return noise


def constant(shape: tuple[int, ...]) -> Tensor:
    return torch.ones(BATCH, *shape)


def wave(shape: tuple[int, ...]) -> Tensor:
    """A plane wave, the same in all channels."""
    phase = 6.3 * torch.rand(BATCH, *(1,) * len(shape))
    for axis, size in enumerate(shape[1:], start=2):
        place = torch.arange(size).view(-1, *(1,) * (len(shape) - axis))
        phase = phase + 3.1 * torch.rand(BATCH, *(1,) * len(shape)) * place
    return phase.cos().expand(BATCH, *shape)


def one_cell(shape: tuple[int, ...]) -> Tensor:
    cells = torch.zeros(BATCH, math.prod(shape))
    cells[torch.arange(BATCH), torch.randint(cells.shape[1], (BATCH,))] = 1.0
    return cells.view(BATCH, *shape)


@pytest.mark.parametrize("pattern", [white, smooth, constant, wave, one_cell])
@pytest.mark.parametrize("shape", [(6,), (3, 50), (4, 16, 16), (1, 32, 24), (8, 12, 10, 9)], ids=str)
def test_estimate_follows_the_error_whatever_its_pattern(pattern, shape) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    x, change = 2.0 + torch.randn(BATCH, *shape), 1e-3 * pattern(shape)
    ratio = estimated_error(fingerprint(x), fingerprint(x + change)) / relative_error(x, x + change)
    # Eight standard normals: their root mean square is within (0.4, 1.8) but for 1 in 100.
    assert ratio.quantile(0.01) > 0.25
    assert ratio.quantile(0.99) < 3.0


def test_fingerprint_is_nine_numbers_a_sample_in_the_precision_of_the_state() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        prints = fingerprint(torch.randn(5, 2, 4, 4))
    assert prints.shape == (5, 9)
    assert prints.dtype == torch.float32


def test_errors_are_relative_and_by_sample() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 2.0]])
    rebuilt = torch.tensor([[3.0, 4.5], [0.0, 0.0], [0.0, 2.0]])
    assert relative_error(x, rebuilt).tolist() == pytest.approx([0.1, 0.0, 0.0])
    assert estimated_error(fingerprint(x), fingerprint(rebuilt)).tolist() == pytest.approx([0.1, 0.0, 0.0])


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (4, 3, 8, 8)])
def test_rounding_of_an_image_of_zeros_is_no_drift_but_an_error_of_its_size_is(
    shape: tuple[int, ...],
) -> None:
    zeros, noise = torch.zeros(shape), white(shape[1:])[: shape[0]] / 14.0
    assert estimated_error(fingerprint(zeros), fingerprint(1e-7 * noise)).max() < 1e-6
    assert estimated_error(fingerprint(zeros), fingerprint(noise)).min() > 0.2
    # Beside others of the batch, it is as large as the largest of them.
    zeros[0, 0, 0, 0] = 100.0
    errors = estimated_error(fingerprint(zeros), fingerprint(zeros + noise))
    assert errors.max() < 0.03


def test_a_chain_that_starts_at_zeros_does_not_warn() -> None:
    chain = Sequential([Coupling(4, conditioner=ResidualConditioner) for _ in range(3)])
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    z, _ = chain(torch.zeros(2, 4, 8, 8, requires_grad=True))
    z.square().sum().backward()
    assert chain.drift is not None
    assert chain.drift < 1e-5


# -- the tolerance


def test_default_tolerance_is_that_of_the_coarsest_precision() -> None:
    assert default_tolerance([torch.float32]) == default_tolerance([torch.float64]) == 1e-3
    assert default_tolerance([torch.float32, torch.bfloat16]) == 2.0**-7


def test_precisions_are_those_that_conditioners_declare() -> None:
    couple = partial(Coupling, 4, conditioner=ResidualConditioner)
    chain = Sequential([couple(), couple(dtype=torch.bfloat16), couple(dtype=torch.float32)])
    assert declared_precisions(chain) == {torch.bfloat16, torch.float32}
    assert declared_precisions(Sequential([couple()])) == set()


def warned(guard: DriftGuard, error: float, out: float = 1.0, precision: torch.dtype = torch.float32) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        guard.observe(torch.tensor([1e-9, error, 0.0]), [torch.ones(3), torch.tensor([out])], precision)
    return any(one.category is RuntimeWarning for one in caught)


def test_guard_warns_above_its_tolerance() -> None:
    guard = DriftGuard()
    assert guard.latest is None
    assert not warned(guard, 9e-4)
    assert guard.latest == pytest.approx(9e-4)
    assert warned(guard, 1.1e-3)
    assert not warned(guard, 7e-3, precision=torch.bfloat16)
    assert warned(guard, 9e-3, precision=torch.bfloat16)
    assert not warned(DriftGuard(precisions=[torch.bfloat16]), 7e-3)
    assert warned(DriftGuard(1e-6, [torch.bfloat16]), 1e-5)
    assert not warned(DriftGuard(1.0), 0.9)


def test_what_is_not_a_number_warns_unless_the_call_itself_overflowed() -> None:
    assert warned(DriftGuard(), math.nan)
    assert warned(DriftGuard(), math.inf)
    assert not warned(DriftGuard(), math.nan, out=math.inf)


# -- in a chain


class Leaky(Invertible):
    """A layer whose inverse is off by a relative error."""

    draws_random = False

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x * self.gain, x.new_zeros(len(x))

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
        return z + self.error * noise, z.new_zeros(len(z))


def images(batch: int = 16) -> Tensor:
    return torch.randn(batch, 4, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("error", [3e-2, 1.0])
def test_drift_of_a_chain_is_measured(error: float) -> None:
    chain = Sequential([Leaky(error)])
    z, _ = chain(images())
    assert chain.drift is None
    with pytest.warns(RuntimeWarning, match=WARNING):
        z.sum().backward()
    # The worst of 16 estimates, each within a factor of 2.
    assert chain.drift == pytest.approx(1.4 * error, rel=0.45)


def test_tolerance_is_the_users() -> None:
    chain = Sequential([Leaky(3e-2)], Memory(drift_tolerance=1.0))
    chain(images())[0].sum().backward()
    assert chain.drift is not None
    assert chain.drift > 1e-2


def test_an_empty_batch_does_not_drift() -> None:
    chain = Sequential([Leaky(3e-2)])
    chain(images(0))[0].sum().backward()
    assert chain.drift == 0.0


@pytest.mark.parametrize("chunk", [0, 5])
def test_drift_behind_an_anchor_is_seen(chunk: int) -> None:
    layers = [ActNorm(4).eval(), ActNorm(4).eval(), Leaky(3e-2)]
    chain = Sequential(layers, Memory(anchor_every=2, chunk=chunk))
    with pytest.warns(RuntimeWarning, match=WARNING):
        chain(images())[0].sum().backward()
    # At an anchor the error is known, not estimated; the start was rebuilt from the anchor, without any.
    assert chain.drift == pytest.approx(3e-2, rel=0.1)


def test_drift_of_either_lane_is_seen_at_an_anchor() -> None:
    for leaky_lane in (False, True):
        still = (Step(ActNorm(4).eval()), Step(ActNorm(4).eval(), on_condition=True))
        lanes = TwoLanes([*still, Step(Leaky(3e-2), leaky_lane)], Memory(anchor_every=2))
        out = lanes(images(), images())
        with pytest.warns(RuntimeWarning, match=WARNING):
            (out.x.sum() + out.y.sum()).backward()
        assert lanes.drift == pytest.approx(3e-2, rel=0.1)


class Explosive(Invertible):
    """A layer that overflows: its inverse, or both directions."""

    def __init__(self, *, both: bool) -> None:
        super().__init__()
        self.both = both

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.inverse(x) if self.both else (x * 1.0, x.new_zeros(len(x)))

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * math.inf, z.new_zeros(len(z))


def test_an_inverse_that_overflows_is_drift_and_a_call_that_does_is_not() -> None:
    x = images().requires_grad_()
    with pytest.warns(RuntimeWarning, match="relative error of nan"):
        Sequential([Explosive(both=False)])(x)[0].sum().backward()
    Sequential([Explosive(both=True)])(x)[0].sum().backward()
