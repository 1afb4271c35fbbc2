"""One contract, one table, all laws: every invertible layer and network, float64, non-trivial weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import (
    DenseConditioner,
    GatedConditioner,
    ResidualConditioner,
    UNetConditioner,
)
from posterior.invertible import Invertible, trainable
from posterior.layers.activations import ExpClamp, LeakyReLU, Sigmoid
from posterior.layers.actnorm import ActNorm
from posterior.layers.conditional_hint import Resample
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Additive, Affine, Elementwise, ExpClampAffine
from posterior.layers.gradient_update import GradientHead, GradientUpdate
from posterior.layers.hint import HINTCoupling
from posterior.layers.hyperbolic import EachHalf, HyperbolicLayer
from posterior.layers.inverse import Inverse
from posterior.layers.irim import conjugated, irim_coupling
from posterior.layers.lu import Conv1x1LU
from posterior.layers.normalised_mixing import NormalisedMixing
from posterior.layers.orthogonal_squeeze import OrthogonalSqueeze
from posterior.layers.permutation import Permutation
from posterior.layers.pixel_affine import PixelAffine
from posterior.layers.rearrange import ColumnSqueeze, PatchSqueeze
from posterior.layers.slim import LearnedConditioner, slim_coupling
from posterior.layers.spline import RationalQuadraticSpline
from posterior.layers.squeeze import CheckerboardSqueeze, HaarSqueeze
from posterior.layers.summarised import Summarised
from posterior.layers.unconditioned import Unconditioned
from posterior.layers.units import LinearUnits
from posterior.layers.wavelet import WaveletSqueeze
from posterior.linear_map import LinearMap
from posterior.linear_misfit import LinearMisfit
from posterior.misfit import Misfit
from posterior.networks.conditional_hint import ConditionalHINT
from posterior.networks.dense import DenseFlow
from posterior.networks.glow import ConditionalGlow, Glow
from posterior.networks.hint import HINT
from posterior.networks.hyperbolic import Hyperbolic
from posterior.networks.loop import LoopUnrolled
from posterior.nonlinear_misfit import NonlinearMisfit
from posterior.reversible import Memory, Sequential

# Values are of order one and every layer amplifies rounding (1e-16) by a small factor: 1e-10 leaves wide
# room, yet no wrong formula comes near it, not even one that is wrong in a single cell.
TOLERANCE: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}


SPLINE = RationalQuadraticSpline(bins=3, bound=2.0)


@dataclass(frozen=True)
class Case:
    build: Callable[[], Invertible]
    shape: tuple[int, ...]
    cond_channels: int = 0
    cond_shape: tuple[int, ...] | None = None  # where the condition is not an image of x's size

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
        shape = self.cond_shape or (self.cond_channels, *self.shape[1:])
        c = torch.randn(batch, *shape, dtype=torch.float64)
        return x, c if shape[0] else None


def coupling(channels: int, cond: int = 0, ndim: int = 2, *, swap: bool = False) -> Coupling:
    conditioner = partial(ResidualConditioner, hidden=5, ndim=ndim)
    return Coupling(channels, cond, conditioner=conditioner, ndim=ndim, swap=swap)


def wide_coupling() -> Coupling:
    conditioner = partial(ResidualConditioner, hidden=5, activation="relu")
    return Coupling(4, 1, conditioner=conditioner, transform=Affine((0.2, 3.0)))


def chain() -> Sequential:
    inner = Sequential([coupling(3, 2, swap=True), ActNorm(3)], "store")
    return Sequential([ActNorm(3), inner, Conv1x1(3, reflectors=2), coupling(3, 2)])


def hint(channels: int, cond: int = 0, ndim: int = 2, **options: Any) -> HINTCoupling:
    conditioner = partial(ResidualConditioner, hidden=5, ndim=ndim)
    return HINTCoupling(channels, cond, conditioner=conditioner, ndim=ndim, **options)


def hint_vectors() -> HINTCoupling:
    conditioner = partial(DenseConditioner, hidden=5)
    return HINTCoupling(5, 2, conditioner=conditioner, permute="full", min_channels=1, ndim=0)


def family(transform: Elementwise, channels: int = 3, cond: int = 1, **options: Any) -> Coupling:
    conditioner = partial(ResidualConditioner, hidden=5)
    return Coupling(channels, cond, conditioner=conditioner, transform=transform, **options)


def slim(channels: int, model: tuple[int, ...], data: int, **options: Any) -> Coupling:
    """With a random matrix between an image of shape ``model`` and ``data`` numbers for the physics."""
    cells = torch.Size(model).numel()
    matrix = torch.randn(data, cells, generator=torch.Generator().manual_seed(2)).double() / cells**0.5
    operator = LinearMap(lambda x: x.flatten(1) @ matrix.T, lambda d: (d @ matrix).view(-1, *model))
    ndim = len(model) - 1
    network = partial(partial(ResidualConditioner, ndim=ndim) if ndim else DenseConditioner, hidden=5)
    return slim_coupling(channels, operator, network=network, model_channels=model[0], ndim=ndim, **options)


def rotated_slim() -> Sequential:
    return conjugated(slim(5, (2, 2, 3), 4, transform=Additive(), psi=torch.tanh), Conv1x1(5))


def learned_slim() -> Coupling:
    def conditioner(i: int, o: int) -> nn.Module:
        return LearnedConditioner((3, 2), (1, 4, 3), ResidualConditioner(i + 1, o, hidden=5))

    return Coupling(3, conditioner=conditioner, transform=Additive())


def random_matrix(model: tuple[int, ...], data: int) -> Tensor:
    cells = torch.Size(model).numel()
    return torch.randn(data, cells, generator=torch.Generator().manual_seed(2)).double() / cells**0.5


def linear_misfit(model: tuple[int, ...], data: int) -> LinearMisfit:
    matrix = random_matrix(model, data)
    operator = LinearMap(lambda x: x.flatten(1) @ matrix.T, lambda d: (d @ matrix).view(-1, *model))
    return LinearMisfit(operator, model)


def nonlinear_misfit(model: tuple[int, ...], data: int) -> NonlinearMisfit:
    """F(x) = sin(A x), with the exact Hessian: J^T J v and the residual's part."""
    matrix = random_matrix(model, data)

    def jacobian(x: Tensor, d: Tensor, v: Tensor) -> Tensor:
        return torch.cos(x.flatten(1) @ matrix.T) * (v.flatten(1) @ matrix.T)

    def gradient(x: Tensor, d: Tensor) -> Tensor:
        at = x.flatten(1) @ matrix.T
        return (((at.sin() - d) * at.cos()) @ matrix).view(x.shape)

    def curvature(x: Tensor, d: Tensor, v: Tensor) -> Tensor:
        at, moved = x.flatten(1) @ matrix.T, v.flatten(1) @ matrix.T
        return ((moved * (at.cos().square() - (at.sin() - d) * at.sin())) @ matrix).view(x.shape)

    return NonlinearMisfit(gradient, curvature, model, jacobian=jacobian)


def gradient_update(
    misfit: Misfit, memory_channels: int, *, affine: bool = False, link: Any = None, weight: Any = None
) -> GradientUpdate:
    channels, ndim = misfit.model_shape[0], len(misfit.model_shape) - 1
    network = partial(ResidualConditioner, hidden=4, ndim=ndim) if affine else None
    head = GradientHead(channels, memory_channels, network=network, ndim=ndim)
    return GradientUpdate(misfit, head, link=link, weight=weight)


def loop(misfit: Misfit, **options: Any) -> Sequential:
    options = {"iterations": 2, "hidden": 4, "memory_channels": 3} | options
    return LoopUnrolled(misfit.model_shape[0], ndim=len(misfit.model_shape) - 1, **options).at(misfit)


def spline_coupling(channels: int, cond: int = 0, ndim: int = 2, *, swap: bool = False) -> Coupling:
    images = partial(ResidualConditioner, hidden=5, ndim=ndim)
    conditioner = images if ndim else partial(DenseConditioner, hidden=5)
    return Coupling(channels, cond, conditioner=conditioner, transform=SPLINE, ndim=ndim, swap=swap)


def deep(kind: Any, channels: int, cond: int = 0, ndim: int = 2) -> Coupling:
    return Coupling(channels, cond, conditioner=partial(kind, hidden=4, ndim=ndim), ndim=ndim)


def summarised() -> Summarised:
    """The observation is twice as wide as the image."""
    return Summarised(coupling(3, 2), nn.Conv2d(1, 2, (1, 2), (1, 2)))


glow = partial(ConditionalGlow, hidden=4, steps=2)
dense = partial(DenseFlow, hidden=6, steps=2, layers=1)
hyperbolic = partial(Hyperbolic, hidden=4, steps=2)
hint_net, two_lanes = partial(HINT, hidden=4, steps=2), partial(ConditionalHINT, hidden=4, steps=2)

LAYERS = {
    "actnorm": Case(lambda: ActNorm(3), (3, 4, 6)),
    "actnorm 1d": Case(lambda: ActNorm(2, ndim=1), (2, 5)),
    "actnorm 3d": Case(lambda: ActNorm(1, ndim=3), (1, 2, 3, 4)),
    "actnorm vectors": Case(lambda: ActNorm(5, ndim=0), (5,)),
    "pixel affine": Case(lambda: PixelAffine((3, 4, 2)), (3, 4, 2)),
    "pixel affine 1d": Case(lambda: PixelAffine((1, 5)), (1, 5)),
    "pixel affine 3d": Case(lambda: PixelAffine((2, 2, 3, 2)), (2, 2, 3, 2)),
    "pixel affine vectors": Case(lambda: PixelAffine((4,)), (4,)),
    "conv1x1": Case(lambda: Conv1x1(4), (4, 3, 2)),
    "conv1x1 3 reflectors": Case(lambda: Conv1x1(5, reflectors=3), (5, 2, 3)),
    "conv1x1 1 channel 1d": Case(lambda: Conv1x1(1, ndim=1), (1, 4)),
    "conv1x1 3d": Case(lambda: Conv1x1(3, ndim=3), (3, 2, 3, 2)),
    "conv1x1 7 reflectors": Case(lambda: Conv1x1(3, reflectors=7), (3, 2, 3)),
    "conv1x1 frozen": Case(lambda: Conv1x1(3, frozen=True), (3, 2, 3)),
    "conv1x1 vectors": Case(lambda: Conv1x1(5, ndim=0), (5,)),
    "conv1x1 lu": Case(lambda: Conv1x1LU(4), (4, 3, 2)),
    "conv1x1 lu frozen": Case(lambda: Conv1x1LU(3, frozen=True), (3, 2, 3)),
    "conv1x1 lu 1 channel 1d": Case(lambda: Conv1x1LU(1, ndim=1), (1, 4)),
    "conv1x1 lu 3d": Case(lambda: Conv1x1LU(3, ndim=3), (3, 2, 3, 2)),
    "conv1x1 lu vectors": Case(lambda: Conv1x1LU(5, ndim=0), (5,)),
    "normalised mixing": Case(lambda: NormalisedMixing(5), (5, 3, 2)),
    "normalised mixing 1d": Case(lambda: NormalisedMixing(3, ndim=1), (3, 4)),
    "normalised mixing 3d": Case(lambda: NormalisedMixing(2, ndim=3), (2, 2, 3, 2)),
    "normalised mixing vectors": Case(lambda: NormalisedMixing(4, ndim=0), (4,)),
    "sigmoid": Case(lambda: Sigmoid(), (3, 4, 2)),
    "sigmoid interval 3d": Case(lambda: Sigmoid(-2.0, 5.0, ndim=3), (1, 2, 3, 2)),
    "leaky relu 1d": Case(lambda: LeakyReLU(0.3, ndim=1), (3, 5)),
    "leaky relu steep vectors": Case(lambda: LeakyReLU(4.0, ndim=0), (5,)),
    "exp clamp": Case(lambda: ExpClamp(), (3, 4, 2)),
    "exp clamp narrow vectors": Case(lambda: ExpClamp(0.5, ndim=0), (5,)),
    "coupling": Case(lambda: coupling(4), (4, 4, 3)),
    "coupling of all channels": Case(lambda: family(Affine(), fixed=0), (3, 3, 2), 1),
    "coupling exp clamp": Case(lambda: family(ExpClampAffine(1.5)), (3, 3, 2), 1),
    "coupling additive": Case(lambda: family(Additive(), swap=True), (3, 3, 2), 1),
    "coupling odd, condition": Case(lambda: coupling(3, 2), (3, 3, 4), 2),
    "coupling swapped": Case(lambda: coupling(5, 1, swap=True), (5, 3, 2), 1),
    "coupling 1 channel, condition": Case(lambda: coupling(1, 2), (1, 4, 4), 2),
    "coupling wide bounds": Case(wide_coupling, (4, 3, 3), 1),
    "coupling 1d": Case(lambda: coupling(3, ndim=1), (3, 6)),
    "coupling 3d": Case(lambda: coupling(2, 1, 3), (2, 3, 2, 2), 1),
    "spline coupling": Case(lambda: spline_coupling(3, 1), (3, 3, 4), 1),
    "spline coupling 1d": Case(lambda: spline_coupling(3, ndim=1, swap=True), (3, 6)),
    "spline coupling 3d": Case(lambda: spline_coupling(2, 1, 3), (2, 3, 2, 2), 1),
    "spline coupling vectors": Case(lambda: spline_coupling(5, 2, 0), (5,), 2),
    "gated 1d": Case(lambda: deep(GatedConditioner, 3, ndim=1), (3, 5)),
    "gated": Case(lambda: deep(GatedConditioner, 3, 2), (3, 3, 4), 2),
    "gated 3d": Case(lambda: deep(GatedConditioner, 2, 1, 3), (2, 3, 2, 2), 1),
    "u-net 1d": Case(lambda: deep(UNetConditioner, 2, 1, 1), (2, 7), 1),
    "u-net": Case(lambda: deep(UNetConditioner, 3, 1), (3, 5, 6), 1),
    "u-net 3d": Case(lambda: deep(UNetConditioner, 2, 1, 3), (2, 3, 2, 5), 1),
    "permutation": Case(lambda: Permutation(3), (3, 2, 4)),
    "permutation vectors": Case(lambda: Permutation(5, ndim=0), (5,)),
    "checkerboard 1d": Case(lambda: CheckerboardSqueeze(1), (3, 6)),
    "checkerboard 2d": Case(lambda: CheckerboardSqueeze(2), (3, 2, 4)),
    "checkerboard 3d": Case(lambda: CheckerboardSqueeze(3), (1, 2, 4, 2)),
    "haar 1d": Case(lambda: HaarSqueeze(1), (3, 6)),
    "haar 2d": Case(lambda: HaarSqueeze(2), (3, 2, 4)),
    "haar 3d": Case(lambda: HaarSqueeze(3), (2, 2, 4, 2)),
    "column 1d": Case(lambda: ColumnSqueeze(1), (3, 6)),
    "column 2d": Case(lambda: ColumnSqueeze(2), (3, 6, 4)),
    "column 3d": Case(lambda: ColumnSqueeze(3), (1, 2, 4, 2)),
    "patch 1d": Case(lambda: PatchSqueeze(1), (3, 6)),
    "patch 2d": Case(lambda: PatchSqueeze(2), (3, 6, 4)),
    "patch 3d": Case(lambda: PatchSqueeze(3), (2, 2, 4, 2)),
    "wavelet db2 1d": Case(lambda: WaveletSqueeze("db2", 1), (3, 8)),
    "wavelet db4 2d": Case(lambda: WaveletSqueeze("db4", 2), (1, 4, 6)),
    "wavelet sym5 2d": Case(lambda: WaveletSqueeze("sym5", 2), (3, 6, 2)),
    "wavelet db3 3d": Case(lambda: WaveletSqueeze("db3", 3), (1, 2, 4, 6)),
    "orthogonal squeeze 1d": Case(lambda: OrthogonalSqueeze(3, 1), (3, 6)),
    "orthogonal squeeze 2d": Case(lambda: OrthogonalSqueeze(2, start="checkerboard"), (2, 2, 4)),
    "orthogonal squeeze 3d": Case(lambda: OrthogonalSqueeze(1, 3), (1, 4, 2, 2)),
    "hint": Case(lambda: hint(8), (8, 3, 2)),
    "hint odd, condition, lower": Case(lambda: hint(7, 2, permute="lower", min_channels=2), (7, 2, 3), 2),
    "hint shared, full": Case(lambda: hint(8, 1, permute="full", shared=True, min_channels=2), (8, 2, 2), 1),
    "hint shared, both": Case(lambda: hint(16, permute="both", shared=True, reflectors=3), (16, 2, 2)),
    "hint to single channels": Case(lambda: hint(5, 1, min_channels=1), (5, 2, 2), 1),
    "hint 3 channels": Case(lambda: hint(3, permute="both", min_channels=1), (3, 2, 2)),
    "hint one level": Case(lambda: hint(9, permute="lower", recursion=1), (9, 2, 2)),
    "hint 1d": Case(lambda: hint(6, 2, 1, permute="full"), (6, 4), 2),
    "hint 3d": Case(lambda: hint(6, ndim=3, permute="both"), (6, 2, 1, 2)),
    "hint vectors": Case(hint_vectors, (5,), 2),
    "hyperbolic": Case(lambda: HyperbolicLayer(4, hidden=5), (4, 3, 4)),
    "hyperbolic, condition": Case(lambda: HyperbolicLayer(6, 2, hidden=5, step=0.5), (6, 3, 2), 2),
    "hyperbolic vectors": Case(lambda: HyperbolicLayer(6, 2, hidden=5, ndim=0), (6,), 2),
    "hyperbolic 1d": Case(lambda: HyperbolicLayer(2, 1, hidden=3, kernel=5, ndim=1), (2, 7), 1),
    "hyperbolic 3d": Case(lambda: HyperbolicLayer(2, hidden=3, ndim=3), (2, 2, 3, 2)),
    "haar of each half": Case(lambda: EachHalf(HaarSqueeze(2)), (6, 2, 4)),
    "learned squeeze of each half": Case(lambda: EachHalf(OrthogonalSqueeze(3, ndim=1)), (6, 4)),
    "irim": Case(lambda: irim_coupling(4, hidden=5, stride=2), (4, 4, 2)),
    "irim odd, condition": Case(lambda: irim_coupling(3, 2, hidden=5, stride=2, reflectors=3), (3, 2, 4), 2),
    "irim 1d": Case(lambda: irim_coupling(2, hidden=3, ndim=1), (2, 8)),
    "irim 3d": Case(lambda: irim_coupling(2, 1, hidden=3, stride=2, ndim=3), (2, 2, 4, 2), 1),
    "slim": Case(lambda: slim(4, (1, 4, 3), 7), (4, 4, 3), cond_shape=(7,)),
    "slim additive, odd, rotated": Case(rotated_slim, (5, 2, 3), cond_shape=(4,)),
    "slim 1d": Case(lambda: slim(2, (1, 5), 4), (2, 5), cond_shape=(4,)),
    "slim 3d": Case(lambda: slim(2, (1, 2, 3, 2), 4), (2, 2, 3, 2), cond_shape=(4,)),
    "slim vectors": Case(lambda: slim(6, (3,), 4), (6,), cond_shape=(4,)),
    "slim learned": Case(learned_slim, (3, 4, 3), cond_shape=(3, 2)),
    "linear units": Case(lambda: LinearUnits(0.3, -2.0), (2, 3, 2)),
    "gradient update": Case(
        lambda: gradient_update(linear_misfit((1, 4, 3), 7), 2), (3, 4, 3), cond_shape=(7,)
    ),
    "gradient update affine, link": Case(
        lambda: gradient_update(
            linear_misfit((2, 3, 2), 5),
            3,
            affine=True,
            link=Sigmoid(-1.0, 2.0),
            weight=torch.tensor([0.3, 2.0], dtype=torch.float64),
        ),
        (5, 3, 2),
        cond_shape=(5,),
    ),
    "gradient update nonlinear, units": Case(
        lambda: gradient_update(nonlinear_misfit((1, 2, 3), 4), 2, link=LinearUnits(0.5, 0.2)),
        (3, 2, 3),
        cond_shape=(4,),
    ),
    "gradient update 1d": Case(
        lambda: gradient_update(linear_misfit((1, 5), 4), 1, affine=True), (2, 5), cond_shape=(4,)
    ),
    "gradient update 3d": Case(
        lambda: gradient_update(nonlinear_misfit((1, 2, 3, 2), 4), 1, link=Sigmoid(ndim=3)),
        (2, 2, 3, 2),
        cond_shape=(4,),
    ),
    "unconditioned": Case(lambda: Unconditioned(coupling(4)), (4, 3, 3)),
    "unconditioned chain": Case(lambda: Unconditioned(irim_coupling(4, hidden=3, stride=2)), (4, 4, 2)),
    "inverse": Case(lambda: Inverse(coupling(4)), (4, 3, 3)),
    "inverse of a chain": Case(lambda: Inverse(chain()), (3, 4, 3), 2),
    "summarised": Case(summarised, (3, 4, 3), cond_shape=(1, 4, 6)),
    "chain": Case(chain, (3, 4, 3), 2),
}
NETWORKS = {
    "glow 1 channel": Case(lambda: glow(1, 2, scales=2), (1, 8, 4), 2),
    "glow odd channels": Case(lambda: glow(3, 1, scales=1), (3, 4, 2), 1),
    "glow unconditional": Case(lambda: glow(2, 0, scales=2, squeeze="checkerboard"), (2, 4, 4)),
    "glow 1d": Case(lambda: glow(1, 1, scales=3, ndim=1), (1, 16), 1),
    "glow 3d": Case(lambda: glow(1, 1, scales=1, ndim=3), (1, 2, 4, 2), 1),
    "glow not split, lu": Case(lambda: glow(1, 0, scales=2, split=False, mixing=Conv1x1LU), (1, 4, 8)),
    "glow alone": Case(lambda: Glow(3, hidden=4, steps=1, scales=1, memory="store"), (3, 4, 2)),
    "glow spline": Case(lambda: glow(1, 1, scales=2, transform=SPLINE), (1, 4, 8), 1),
    "glow gated": Case(
        lambda: glow(1, 1, scales=1, conditioner=partial(GatedConditioner, hidden=4)), (1, 4, 6), 1
    ),
    "dense": Case(lambda: dense(5), (5,)),
    "dense condition": Case(lambda: dense(4, 3, mixing="householder"), (4,), 3),
    "dense 1 entry": Case(lambda: dense(1, 2, mixing="permutation"), (1,), 2),
    "dense affine": Case(lambda: dense(3, 1, transform=Affine()), (3,), 1),
    "dense hint": Case(lambda: dense(5, 2, coupling="hint"), (5,), 2),
    "composition": Case(lambda: Sequential([glow(1, 1, scales=1), glow(1, 1, scales=2)]), (1, 4, 8), 1),
    "inverse of a network": Case(lambda: Inverse(glow(2, 1, scales=1)), (2, 4, 2), 1),
    "multi-scale hint odd channels": Case(lambda: hint_net(3, 2, scales=1), (3, 4, 2), 2),
    "multi-scale hint 1d": Case(
        lambda: hint_net(1, scales=3, ndim=1, permute="both", squeeze="checkerboard"), (1, 16)
    ),
    "multi-scale hint 3d": Case(lambda: hint_net(1, 1, scales=1, ndim=3, recursion=1), (1, 2, 4, 2), 1),
    "hyperbolic network 1 channel": Case(lambda: hyperbolic(1, 2, scales=2), (1, 4, 8), 2),
    "hyperbolic network even": Case(lambda: hyperbolic(4, 1, scales=2, step=0.5), (4, 2, 4), 1),
    "hyperbolic network odd 1d": Case(lambda: hyperbolic(3, scales=2, ndim=1), (3, 8)),
    "hyperbolic network learned squeeze": Case(
        lambda: hyperbolic(2, scales=3, ndim=1, squeeze=partial(OrthogonalSqueeze, ndim=1)), (2, 8)
    ),
    "hyperbolic network 3d": Case(lambda: hyperbolic(1, 1, scales=1, ndim=3), (1, 2, 4, 2), 1),
    "hyperbolic network, the seed's architecture": Case(
        lambda: Hyperbolic(8, architecture=((0, 3), (1, 4), (0, 5), (-1, 4), (0, 3)), step=0.2), (8, 2, 3)
    ),
    "hyperbolic network down first": Case(
        lambda: Hyperbolic(3, architecture=((-1, 3), (0, 4), (1, 5)), ndim=1), (3, 8)
    ),
    "loop irim": Case(lambda: loop(linear_misfit((1, 4, 8), 6), step="irim"), (4, 4, 8), cond_shape=(6,)),
    "loop u-net affine, link": Case(
        lambda: loop(
            nonlinear_misfit((2, 4, 4), 5), strides=(1, 2, 4), update="affine", link=Sigmoid(-2.0, 1.0)
        ),
        (5, 4, 4),
        cond_shape=(5,),
    ),
    "loop hint 1d": Case(
        lambda: loop(linear_misfit((1, 6), 4), step="hint", memory_channels=4), (5, 6), cond_shape=(4,)
    ),
    "loop u-net 3d": Case(
        lambda: loop(linear_misfit((1, 2, 4, 2), 5), strides=(1, 2), update="affine"),
        (4, 2, 4, 2),
        cond_shape=(5,),
    ),
    "loop hint 3d": Case(
        lambda: loop(nonlinear_misfit((1, 2, 1, 3), 4), step="hint"), (4, 2, 1, 3), cond_shape=(4,)
    ),
    "conditional hint one resolution": Case(lambda: two_lanes(3, 5, scales=0), (3, 2, 3), 5),
    "conditional hint two sizes": Case(
        lambda: two_lanes(1, 2, scales=1, adapter=partial(Resample, ratio=(2.0, 0.5))),
        (1, 4, 4),
        cond_shape=(2, 2, 8),
    ),
    "conditional hint vectors": Case(lambda: two_lanes(2, 3, scales=0, ndim=0), (2,), 3),
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


DIRECTIONS = pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])


@every
@DIRECTIONS
@pytest.mark.parametrize("keep", [False, True], ids=["", "keep"])
def test_reverse_step_equals_the_default(case: Case, keep: bool, inverse: bool) -> None:
    module, (x, c) = case.module(), case.inputs()
    c = None if c is None else c.requires_grad_()
    point = module(x, c)[0].detach() if inverse else x
    with torch.no_grad():
        out, logdet, trace = module.record(point, c, inverse=inverse, keep=keep)
    torch.testing.assert_close((module.inverse if inverse else module)(point, c), (out, logdet), **TOLERANCE)
    arguments = (out, c, torch.randn_like(out), torch.randn_like(logdet))
    name = "reverse_step_inverse" if inverse else "reverse_step"
    step = getattr(module, name)(*arguments, trace)
    default = getattr(Invertible, name)(module, *arguments)
    torch.testing.assert_close(step.input, point, **TOLERANCE)
    torch.testing.assert_close(step.grad_input, default.grad_input, **TOLERANCE)
    assert (step.grad_c is None) == (default.grad_c is None)
    if step.grad_c is not None:
        torch.testing.assert_close(step.grad_c, default.grad_c, **TOLERANCE)
    assert len(step.grad_parameters) == len(trainable(module))
    for got, expected in zip(step.grad_parameters, default.grad_parameters, strict=True):
        torch.testing.assert_close(got, torch.zeros_like(got) if expected is None else expected, **TOLERANCE)


def all_gradients(chain: Invertible, x: Tensor, c: Tensor | None, *, inverse: bool) -> list[Tensor | None]:
    """Gradients of the input, the condition and every parameter, each cell and sample weighted apart."""
    leaves = [v.detach().clone().requires_grad_() for v in (x, c) if v is not None]
    z, logdet = (chain.inverse if inverse else chain)(leaves[0], leaves[1] if len(leaves) > 1 else None)
    weight = torch.arange(1, z.numel() + 1, dtype=z.dtype).sin().view_as(z)
    loss = (weight * z).sum() + 0.1 * z.square().sum() - (torch.arange(1, 4, dtype=z.dtype) * logdet).sum()
    return list(torch.autograd.grad(loss, [*leaves, *trainable(chain)], allow_unused=True))


MEMORIES = {
    "invert": Memory("invert"),
    "keep": Memory("invert", keep=True),
    "chunks, anchors": Memory("invert", chunk=2, anchor_every=1),
    "checkpoint": Memory("checkpoint"),
}


@every
@DIRECTIONS
@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES.keys())
def test_every_memory_mode_gives_the_stored_gradients(case: Case, memory: Memory, inverse: bool) -> None:
    module, (x, c) = case.module(), case.inputs()
    x = module(x, c)[0].detach() if inverse else x
    # The module twice, the second time the other way round: its weights are shared, its shapes fit.
    members = [module, Inverse(module), module]
    got = all_gradients(Sequential(members, memory), x, c, inverse=inverse)
    expected = all_gradients(Sequential(members, "store"), x, c, inverse=inverse)
    for a, b in zip(got, expected, strict=True):
        reference = torch.zeros_like(a) if b is None and a is not None else b
        torch.testing.assert_close(a, reference, **TOLERANCE)


@every
def test_taylor_remainders_are_of_first_and_second_order(case: Case) -> None:
    module, (x, c) = Sequential([case.module()]), case.inputs()
    torch.manual_seed(2)
    direction = torch.randn_like(x)

    def loss(step: float | Tensor) -> Tensor:
        z, logdet = module(x + step * direction, c)
        return (z.sin() * z).sum() - logdet.sum()

    start = torch.zeros((), dtype=x.dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(start), start)
    steps = (1e-4, 2.5e-5)
    with torch.no_grad():
        zeroth = [float(loss(h) - loss(0.0)) for h in steps]
        first = [value - h * float(slope) for value, h in zip(zeroth, steps, strict=True)]
    for (long, short), order in ((zeroth, 1), (first, 2)):
        # A map without curvature in this direction would leave rounding; the loss always has some.
        assert math.log(abs(long / short), 4) == pytest.approx(order, abs=0.1)


# A reflection of a single channel is -1 whatever its vector, and the end of y's lane in conditional HINT does
# not enter p(x|y); squeezes have no parameters.
LEARNING = {
    name: case
    for name, case in ALL.items()
    if trainable(case.build()) and name != "conv1x1 1 channel 1d" and not name.startswith("conditional hint")
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
        # Of an Inverse, or a chain that ends with one, the input is the inner map's output.
        name = "[xz]" if any(isinstance(one, Inverse) for one in module.modules()) else name
        with pytest.raises(ValueError, match=rf"expected {name} of shape \(B, .*\), got \(3, "):
            call(x[..., None], c)


@pytest.mark.parametrize("case", NETWORKS.values(), ids=NETWORKS.keys())
def test_latent_has_the_shape_of_the_image(case: Case) -> None:
    module, (x, c) = case.module(), case.inputs()
    z, _ = module(x, c)
    assert z.shape == x.shape
    assert z.is_contiguous()
