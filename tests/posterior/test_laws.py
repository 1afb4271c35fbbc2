"""One contract, one table, all laws: every invertible layer and network, float64, non-trivial weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from posterior.conditioners import ResidualConditioner
from posterior.invertible import Invertible, trainable
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import AffineCoupling
from posterior.layers.squeeze import CheckerboardSqueeze, HaarSqueeze
from posterior.networks.glow import ConditionalGlow
from posterior.reversible import Sequential

# Values are of order one and every layer amplifies rounding (1e-16) by a small factor: 1e-10 leaves wide
# room, yet no wrong formula comes near it, not even one that is wrong in a single cell.
TOLERANCE: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}


@dataclass(frozen=True)
class Case:
    build: Callable[[], Invertible]
    shape: tuple[int, ...]
    cond_channels: int = 0

    def module(self) -> Invertible:
        """The module in float64 and evaluation mode with every weight moved away from its start."""
        torch.manual_seed(0)
        module = self.build().double().eval()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return module

    def inputs(self, batch: int = 3) -> tuple[Tensor, Tensor | None]:
        torch.manual_seed(1)
        x = torch.randn(batch, *self.shape, dtype=torch.float64)
        c = torch.randn(batch, self.cond_channels, *self.shape[1:], dtype=torch.float64)
        return x, c if self.cond_channels else None


def coupling(channels: int, cond: int = 0, ndim: int = 2, *, swap: bool = False) -> AffineCoupling:
    conditioner = partial(ResidualConditioner, hidden=5, ndim=ndim)
    return AffineCoupling(channels, cond, conditioner=conditioner, ndim=ndim, swap=swap)


def wide_coupling() -> AffineCoupling:
    conditioner = partial(ResidualConditioner, hidden=5, activation="relu")
    return AffineCoupling(4, 1, conditioner=conditioner, bounds=(0.2, 3.0))


def chain() -> Sequential:
    inner = Sequential([coupling(3, 2, swap=True), ActNorm(3)], "store")
    return Sequential([ActNorm(3), inner, Conv1x1(3, reflectors=2), coupling(3, 2)])


glow = partial(ConditionalGlow, hidden=4, steps=2)

LAYERS = {
    "actnorm": Case(lambda: ActNorm(3), (3, 4, 6)),
    "actnorm 1d": Case(lambda: ActNorm(2, ndim=1), (2, 5)),
    "actnorm 3d": Case(lambda: ActNorm(1, ndim=3), (1, 2, 3, 4)),
    "conv1x1": Case(lambda: Conv1x1(4), (4, 3, 2)),
    "conv1x1 3 reflectors": Case(lambda: Conv1x1(5, reflectors=3), (5, 2, 3)),
    "conv1x1 1 channel 1d": Case(lambda: Conv1x1(1, ndim=1), (1, 4)),
    "conv1x1 3d": Case(lambda: Conv1x1(3, ndim=3), (3, 2, 3, 2)),
    "coupling": Case(lambda: coupling(4), (4, 4, 3)),
    "coupling odd, condition": Case(lambda: coupling(3, 2), (3, 3, 4), 2),
    "coupling swapped": Case(lambda: coupling(5, 1, swap=True), (5, 3, 2), 1),
    "coupling 1 channel, condition": Case(lambda: coupling(1, 2), (1, 4, 4), 2),
    "coupling wide bounds": Case(wide_coupling, (4, 3, 3), 1),
    "coupling 1d": Case(lambda: coupling(3, ndim=1), (3, 6)),
    "coupling 3d": Case(lambda: coupling(2, 1, 3), (2, 3, 2, 2), 1),
    "checkerboard 1d": Case(lambda: CheckerboardSqueeze(1), (3, 6)),
    "checkerboard 2d": Case(lambda: CheckerboardSqueeze(2), (3, 2, 4)),
    "checkerboard 3d": Case(lambda: CheckerboardSqueeze(3), (1, 2, 4, 2)),
    "haar 1d": Case(lambda: HaarSqueeze(1), (3, 6)),
    "haar 2d": Case(lambda: HaarSqueeze(2), (3, 2, 4)),
    "haar 3d": Case(lambda: HaarSqueeze(3), (2, 2, 4, 2)),
    "chain": Case(chain, (3, 4, 3), 2),
}
NETWORKS = {
    "glow 1 channel": Case(lambda: glow(1, 2, scales=2), (1, 8, 4), 2),
    "glow odd channels": Case(lambda: glow(3, 1, scales=1), (3, 4, 2), 1),
    "glow unconditional": Case(lambda: glow(2, 0, scales=2, squeeze="checkerboard"), (2, 4, 4)),
    "glow 1d": Case(lambda: glow(1, 1, scales=3, ndim=1), (1, 16), 1),
    "glow 3d": Case(lambda: glow(1, 1, scales=1, ndim=3), (1, 2, 4, 2), 1),
}
ALL = LAYERS | NETWORKS
every = pytest.mark.parametrize("case", ALL.values(), ids=ALL.keys())


def directions(module: Invertible) -> list[Callable[..., tuple[Tensor, Tensor]]]:
    return [module, module.inverse]


@every
def test_round_trip_and_logdets_cancel(case: Case) -> None:
    module, (x, c) = case.module(), case.inputs()
    z, logdet = module(x, c)
    back, logdet_inverse = module.inverse(z, c)
    again, _ = module(back, c)
    assert logdet.shape == (len(x),)
    assert z.dtype == x.dtype
    torch.testing.assert_close(back, x, **TOLERANCE)
    torch.testing.assert_close(again, z, **TOLERANCE)
    torch.testing.assert_close(logdet_inverse, -logdet, **TOLERANCE)


@every
def test_logdet_is_that_of_the_autograd_jacobian(case: Case) -> None:
    module, (x, c) = case.module(), case.inputs(batch=2)
    _, logdet = module(x, c)
    for sample in range(2):
        one_c = None if c is None else c[sample : sample + 1]

        def flat(v: Tensor, one_c: Tensor | None = one_c) -> Tensor:
            return module(v.view(1, *case.shape), one_c)[0].flatten()

        jacobian = torch.autograd.functional.jacobian(flat, x[sample].flatten())
        torch.testing.assert_close(logdet[sample], torch.linalg.slogdet(jacobian)[1], **TOLERANCE)


@every
def test_gradients_agree_with_finite_differences(case: Case) -> None:
    module, (x, c) = case.module(), case.inputs(batch=2)
    inputs = [v.requires_grad_() for v in (x, c) if v is not None]
    for call in directions(module):
        start = inputs if call is module else [module(x, c)[0].detach().requires_grad_(), *inputs[1:]]
        assert torch.autograd.gradcheck(call, start, fast_mode=True)


@every
@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_reverse_step_equals_the_default(case: Case, inverse: bool) -> None:
    module, (x, c) = case.module(), case.inputs()
    c = None if c is None else c.requires_grad_()
    call = module.inverse if inverse else module
    point = module(x, c)[0].detach() if inverse else x
    out, logdet = (v.detach() for v in call(point, c))
    arguments = (out, c, torch.randn_like(out), torch.randn_like(logdet))
    name = "reverse_step_inverse" if inverse else "reverse_step"
    step, default = getattr(module, name)(*arguments), getattr(Invertible, name)(module, *arguments)
    torch.testing.assert_close(step.input, point, **TOLERANCE)
    torch.testing.assert_close(step.grad_input, default.grad_input, **TOLERANCE)
    assert (step.grad_c is None) == (default.grad_c is None)
    if step.grad_c is not None:
        torch.testing.assert_close(step.grad_c, default.grad_c, **TOLERANCE)
    assert len(step.grad_parameters) == len(trainable(module))
    for got, expected in zip(step.grad_parameters, default.grad_parameters, strict=True):
        torch.testing.assert_close(got, torch.zeros_like(got) if expected is None else expected, **TOLERANCE)


# A reflection of a single channel is -1 whatever its vector, and squeezes have no parameters.
LEARNING = {
    name: case for name, case in ALL.items() if trainable(case.build()) and name != "conv1x1 1 channel 1d"
}


@pytest.mark.parametrize("case", LEARNING.values(), ids=LEARNING.keys())
def test_gradient_reaches_every_parameter_and_the_condition(case: Case) -> None:
    module, (x, c) = case.module(), case.inputs()
    c = None if c is None else c.requires_grad_()
    z, logdet = module(x, c)
    ((z * torch.randn_like(z)).sum() + logdet.sum()).backward()
    reached = {name: parameter.grad for name, parameter in module.named_parameters()}
    assert [name for name, grad in reached.items() if grad is None or not grad.abs().sum() > 0] == []
    assert c is None or (c.grad is not None and c.grad.abs().sum() > 0)


@every
def test_state_dict_round_trip_is_bitwise(case: Case) -> None:
    module, (x, c) = case.module(), case.inputs()
    torch.manual_seed(99)
    fresh = case.build().double().eval()
    fresh.load_state_dict(module.state_dict())
    for a, b in zip(module(x, c), fresh(x, c), strict=True):
        assert torch.equal(a, b)


@every
def test_samples_do_not_mix(case: Case) -> None:
    module, (x, c) = case.module(), case.inputs()
    order = torch.tensor([2, 0, 1])
    z, logdet = module(x, c)
    z_moved, logdet_moved = module(x[order], None if c is None else c[order])
    torch.testing.assert_close(z_moved, z[order], **TOLERANCE)
    torch.testing.assert_close(logdet_moved, logdet[order], **TOLERANCE)


@every
def test_wrong_dimension_is_refused(case: Case) -> None:
    module, (x, c) = case.module(), case.inputs()
    for name, call in (("x", module), ("z", module.inverse)):
        with pytest.raises(ValueError, match=rf"expected {name} of shape \(B, .*\), got \(3, "):
            call(x[..., None], c)


@pytest.mark.parametrize("case", NETWORKS.values(), ids=NETWORKS.keys())
def test_latent_has_the_shape_of_the_image(case: Case) -> None:
    module, (x, c) = case.module(), case.inputs()
    z, _ = module(x, c)
    assert z.shape == x.shape
    assert z.is_contiguous()
