"""Networks of InvertibleNetworks.jl, against its formulas in its own axes; files that are something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import convolve, correlate

from posterior.interop.julia import JuliaCheckpoint, load
from posterior.invertible import trainable
from posterior.layers.actnorm import ActNorm
from posterior.reversible import MemoryLike

Array = NDArray[np.float64]
# Julia's scale s is float32, ours is its logarithm in float32: both agree to 1e-7, a few layers to 1e-6.
TOLERANCE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}


@dataclass(frozen=True)
class Network:
    """A small network as Julia has it: parameters in Julia's axes and order, and its forward map."""

    kind: str = "hint"
    in_channels: int = 1
    scales: int = 2
    steps: int = 2
    kernel: int = 1
    ndim: int = 2
    split: bool = True
    bounds: tuple[float, float] = (0.5, 1.0)
    signed: bool = False
    levels: int = 1
    hidden: int = 3

    def widths(self) -> list[int]:
        """Channels of every scale."""
        growth = 2 ** (self.ndim - 1) if self.split else 2**self.ndim
        return [self.in_channels * 2**self.ndim * growth**level for level in range(self.scales)]

    def parameters(self) -> list[NDArray[np.float32]]:
        """As ``get_params`` lists them."""
        rng = np.random.default_rng(5)
        outer, inner = (3,) * self.ndim, (self.kernel,) * self.ndim
        found: list[Array] = []
        for width in (width for width in self.widths() for _ in range(self.steps)):
            sign = rng.choice([-1.0, 1.0], width) if self.signed else np.ones(width)
            norm = [sign * np.exp(0.3 * rng.standard_normal(width)), rng.standard_normal(width)]
            block = [
                0.4 * rng.standard_normal(shape)
                for part in (width // 2**level for level in range(self.levels))
                for shape in (
                    (*outer, part // 2, self.hidden),
                    (*inner, self.hidden, self.hidden),
                    (*outer, part, self.hidden),
                    (self.hidden,),
                    (self.hidden,),
                )
            ]
            reflectors = [rng.standard_normal(width) for _ in range(3)]
            found += [*norm, *block, *reflectors] if self.kind == "hint" else [*norm, *reflectors, *block]
        return [array.astype(np.float32) for array in found]

    def forward(self, x: Array) -> tuple[Array, float]:
        """Map one image (nx, ny, ..., channels) to its latent, back in space, and the log-determinant."""
        rest, parts, logdet = self.parameters(), [], 0.0
        for level in range(self.scales):
            x = squeeze(x)
            for _ in range(self.steps):
                own, rest = rest[: 5 + 5 * self.levels], rest[5 + 5 * self.levels :]
                x, change = self.step(x, own)
                logdet += change
            if self.split and level < self.scales - 1:
                x, part = np.split(x, 2, axis=-1)
                parts.append(part)
        for level in reversed(range(self.scales)):
            if level < len(parts):
                x = np.concatenate([x, parts[level]], axis=-1)
            x = unsqueeze(x)
        return x, logdet

    def step(self, x: Array, own: list[NDArray[np.float32]]) -> tuple[Array, float]:
        """ActNorm, three reflections, couplings."""
        s, b, *rest = own
        blocks, v = (rest[:-3], rest[-3:]) if self.kind == "hint" else (rest[3:], rest[:3])
        logdet = x[..., 0].size * np.log(np.abs(s)).sum(dtype=np.float64)
        x = s * x + b
        for vector in v:
            x = x - 2.0 * (x @ vector)[..., None] * vector / (vector @ vector)
        if self.kind == "hint":
            x, change = self.hint(x, blocks)
        else:
            first, last = np.split(x, 2, axis=-1)
            changed, change = self.couple(first, last, blocks)
            x = np.concatenate([changed, last], axis=-1)
        return x, logdet + change

    def hint(self, x: Array, blocks: list[NDArray[np.float32]]) -> tuple[Array, float]:
        """The first half and the last as halves of their own, then the last given the first as it came."""
        first, last = np.split(x, 2, axis=-1)
        done, logdet = first, 0.0
        if len(blocks) > 5:
            (done, one), (last, other) = self.hint(first, blocks[5:]), self.hint(last, blocks[5:])
            logdet = one + other
        changed, change = self.couple(last, first, blocks[:5])
        return np.concatenate([done, changed], axis=-1), logdet + change

    def couple(self, changed: Array, fixed: Array, block: list[NDArray[np.float32]]) -> tuple[Array, float]:
        """The affine coupling, and the residual block in it."""
        w1, w2, w3, b1, b2 = block
        h = relu(convolution(fixed, w1) + b1)
        h = relu(h + convolution(h, w2) + b2)
        raw, shift = np.split(relu(adjoint(h, w3)), 2, axis=-1)
        scale = self.bounds[0] + (self.bounds[1] - self.bounds[0]) / (1.0 + np.exp(-raw))
        return scale * changed + shift, np.log(scale).sum()


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def convolution(x: Array, w: NDArray[np.float32]) -> Array:
    """A true convolution: x (..., in), w (k, k, in, out)."""
    return np.stack([sum_over(x, w[..., out], convolve) for out in range(w.shape[-1])], axis=-1)


def adjoint(y: Array, w: NDArray[np.float32]) -> Array:
    """The adjoint of the convolution with w (k, k, in, out): y (..., out)."""
    return np.stack([sum_over(y, w[..., which, :], correlate) for which in range(w.shape[-2])], axis=-1)


def sum_over(x: Array, w: NDArray[np.float32], slide: Callable[..., Array]) -> Array:
    channels = range(x.shape[-1])
    return np.sum([slide(x[..., c], w[..., c], mode="same", method="direct") for c in channels], axis=0)


def corners(ndim: int) -> list[tuple[slice, ...]]:
    """Cells of each parity; that of the first axis varies fastest."""
    return [tuple(slice((i >> axis) & 1, None, 2) for axis in range(ndim)) for i in range(2**ndim)]


def squeeze(x: Array) -> Array:
    return np.concatenate([x[corner] for corner in corners(x.ndim - 1)], axis=-1)


def unsqueeze(z: Array) -> Array:
    where = corners(z.ndim - 1)
    x = np.zeros((*(2 * size for size in z.shape[:-1]), z.shape[-1] // len(where)))
    for corner, block in zip(where, np.split(z, len(where), axis=-1), strict=True):
        x[corner] = block
    return x


def write(path: Path, parameters: list[NDArray[np.float32]], **roots: Any) -> Path:
    """A file as JLD2 lays it out: 512 bytes of its own, records (data, grad) of references, axes reversed."""
    record = np.dtype([("data", h5py.ref_dtype), ("grad", h5py.ref_dtype)])
    with h5py.File(path, "w", userblock_size=512) as file:
        references = []
        for number, array in enumerate(parameters):
            data = file.create_dataset(f"_refs/{number}", data=np.ascontiguousarray(array.T))
            entry = file.create_dataset(f"_records/{number}", (), record)
            entry[()] = np.array((data.ref, data.ref), record)
            references.append(entry.ref)
        file.create_dataset("Params", data=np.array(references, h5py.ref_dtype), dtype=h5py.ref_dtype)
        for name, value in roots.items():
            file[name] = value
    return path


def saved(network: Network, folder: Path, **roots: Any) -> Path:
    settings = {"L": network.scales, "K": network.steps, "n_hidden": network.hidden}
    return write(folder / "network.jld2", network.parameters(), **settings | roots)


NETWORKS = {
    "hint": Network(),
    "hint, signed scales": Network(signed=True, steps=1),
    "hint, 2 channels, inner kernel 3": Network(in_channels=2, kernel=3, steps=1),
    "hint, 3 scales": Network(scales=3, steps=1),
    "hint, scales not split": Network(split=False, steps=1),
    "hint, 2 levels of recursion": Network(levels=2, steps=1),
    "hint, 3 levels, 4 channels": Network(levels=3, in_channels=4, scales=1, signed=True),
    "hint 3d": Network(ndim=3, scales=1, steps=1),
    "glow": Network("glow"),
    "glow, lower bound 0": Network("glow", bounds=(0.0, 1.0)),
    "glow 3d, 1 step": Network("glow", ndim=3, steps=1, signed=True),
}
every = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())


@every
def test_network_is_the_one_of_julias_formulas(network: Network, tmp_path: Path) -> None:
    ours = load(saved(network, tmp_path), bounds=network.bounds).network.double()
    size = 2**network.scales
    shape = (2, network.in_channels, *(2 * size, size, size)[: network.ndim])
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    z, logdet = ours(x)
    for sample in range(2):
        expected, logdet_expected = network.forward(x[sample].numpy().T)
        np.testing.assert_allclose(z[sample].detach().numpy().T, expected, **TOLERANCE)
        np.testing.assert_allclose(logdet[sample].item(), logdet_expected, **TOLERANCE)
    back, logdet_inverse = ours.inverse(z)
    # Both directions are ours, in float64.
    torch.testing.assert_close(back, x, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(logdet_inverse, -logdet, atol=1e-10, rtol=1e-10)


def test_oracles_adjoint_is_one() -> None:
    rng = np.random.default_rng(0)
    x, y, w = (rng.standard_normal(shape) for shape in ((5, 4, 2), (5, 4, 3), (3, 3, 2, 3)))
    assert np.vdot(convolution(x, w), y) == pytest.approx(np.vdot(x, adjoint(y, w)), rel=1e-12)


def test_network_comes_in_float32_evaluating_and_initialised(tmp_path: Path) -> None:
    network = load(saved(Network(), tmp_path)).network
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert not any(module.training for module in network.modules())
    norms = [module for module in network.modules() if isinstance(module, ActNorm)]
    assert len(norms) == 4
    before = [norm.log_scale.clone() for norm in norms]
    network.train()(5.0 * torch.randn(4, 1, 8, 8))
    assert all(torch.equal(norm.log_scale, old) for norm, old in zip(norms, before, strict=True))


def gradients(checkpoint: JuliaCheckpoint, *, inverse: bool) -> list[torch.Tensor | None]:
    network = checkpoint.network.double()
    x = torch.randn(2, 1, 8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    z, logdet = network.inverse(x) if inverse else network(x)
    (z.square().sum() - logdet.sum()).backward()
    return [parameter.grad for parameter in trainable(network)]


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("memory", ["invert", "checkpoint", ["invert", "store"]], ids=str)
def test_memory_modes_give_the_same_gradients(
    memory: MemoryLike | list[MemoryLike], inverse: bool, tmp_path: Path
) -> None:
    path = saved(Network(signed=True, levels=2), tmp_path)
    got, expected = (gradients(load(path, memory=m), inverse=inverse) for m in (memory, "store"))
    assert any(grad is not None and grad.abs().sum() > 0 for grad in expected)
    # Rounding in float64, amplified by four steps.
    torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


def test_state_dict_round_trip_is_bitwise(tmp_path: Path) -> None:
    path, x = saved(Network(signed=True), tmp_path), torch.randn(2, 1, 8, 4)
    network, other = load(path).network, load(path).network
    with torch.no_grad():
        for parameter in trainable(network):
            parameter.add_(0.1 * torch.randn_like(parameter))
    other.load_state_dict(network.state_dict())
    for a, b in zip(network(x), other(x), strict=True):
        assert torch.equal(a, b)


def test_what_the_file_says_is_reachable(tmp_path: Path) -> None:
    curve = np.zeros((4, 3), np.float32)
    curve[:2] = [[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]]
    roots = {"floss": curve, "flogdet": 2.0 * curve, "lr": np.float32(0.5), "script": np.bytes_("train.jl")}
    checkpoint = load(saved(Network(scales=3, steps=1), tmp_path, **roots))
    assert (checkpoint.scales, checkpoint.steps, checkpoint.hidden) == (3, 1, 3)
    assert checkpoint.settings == {"L": 3, "K": 1, "n_hidden": 3, "lr": 0.5, "script": "train.jl"}
    np.testing.assert_array_equal(checkpoint.square, curve[:2])
    np.testing.assert_array_equal(checkpoint.logdet, -2.0 * curve[:2])


def test_curves_and_settings_are_optional(tmp_path: Path) -> None:
    checkpoint = load(write(tmp_path / "bare.jld2", Network().parameters()))
    assert (checkpoint.scales, checkpoint.steps, checkpoint.settings) == (2, 2, {})
    assert checkpoint.logdet.shape == checkpoint.square.shape == (0, 0)


def edited(edit: Callable[[list[NDArray[Any]]], Any], **roots: Any) -> Callable[[Path], Path]:
    """Makes the file of a network whose parameters were tampered with."""

    def make(folder: Path) -> Path:
        parameters = Network().parameters()
        edit(parameters)
        return write(folder / "network.jld2", parameters, **{"L": 2, "K": 2, "n_hidden": 3} | roots)

    return make


def other(folder: Path, **roots: Any) -> Path:
    with h5py.File(folder / "other.jld2", "w") as file:
        for name, value in roots.items():
            file[name] = value
    return folder / "other.jld2"


def text(folder: Path) -> Path:
    (folder / "notes.jld2").write_text("not HDF5")
    return folder / "notes.jld2"


def integers(parameters: list[NDArray[Any]]) -> None:
    parameters[4] = np.zeros(4, np.int32)


def drop(where: int | slice) -> Callable[[list[NDArray[Any]]], None]:
    return lambda parameters: parameters.__delitem__(where)


def even_kernel(parameters: list[NDArray[Any]]) -> None:
    parameters[3] = np.zeros((2, 2, 3, 3), np.float32)


def zero_scale(parameters: list[NDArray[Any]]) -> None:
    parameters[10][1] = 0.0


def threefold_growth(parameters: list[NDArray[Any]]) -> None:
    parameters[20:] = Network(in_channels=3, scales=1).parameters()


def no_squeeze(parameters: list[NDArray[Any]]) -> None:
    parameters[:] = [np.ones(2), np.ones(2), *[np.ones(2)] * 3, np.ones((3, 3, 1, 3))]
    parameters += [np.ones((1, 1, 3, 3)), np.ones((3, 3, 2, 3)), np.ones(3), np.ones(3)]


FAULTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "text": (text, r"notes\.jld2: expected a JLD2 file, which is HDF5, got another kind of file"),
    "other contents": (
        partial(other, weights=np.zeros(3), bias=np.zeros(2)),
        r"other\.jld2: expected a vector Params at the root, got bias, weights",
    ),
    "numbers": (
        partial(other, Params=np.zeros(3)),
        r"expected Params\[1\] to be a record \(data, grad\) .* got fields \(\)",
    ),
    "integers": (
        edited(integers),
        r"expected Params\[5\] to be a record .* an array of floats, got int32 of shape \(4,\)",
    ),
    "empty": (
        edited(list.clear),
        r"expected Params\[1\] to be s of an ActNorm of shape \(channels\), got only 0 parameters",
    ),
    "last one missing": (
        edited(drop(-1)),
        r"expected Params\[40\] to be v3 of a 1x1 convolution of shape \(8\), got only 39 parameters",
    ),
    "one missing amid": (
        edited(drop(3)),
        r"expected Params\[4\] to be W2 of a residual block of shape \(3, 3, odd, odd\), got \(3, 4, 3, 3\)",
    ),
    "a step missing": (
        edited(drop(slice(30, 40))),
        r"expected Params of a network with {'L': 2, 'K': 2, 'n_hidden': 3}, got \[2, 1\] steps of \[4, 8\]",
    ),
    "other L": (edited(len, L=3), r"expected Params of a network with {'L': 3, .* got \[2, 2\] steps"),
    "other n_hidden": (edited(len, n_hidden=9), r"'n_hidden': 9}, got .* channels with n_hidden 3"),
    "threefold growth": (
        edited(threefold_growth),
        r"expected numbers of channels that begin with a multiple of 4 .* 2-fold or 4-fold .* got \[4, 12\]",
    ),
    "no squeeze": (edited(no_squeeze, L=1, K=1), r"begin with a multiple of 4 \(a squeeze\) .* got \[2\]"),
    "zero scale": (edited(zero_scale), r"expected no zero in Params\[11\], a scale, got tensor"),
    "even kernel": (
        edited(even_kernel),
        r"expected Params\[4\] to be W2 .* of shape \(3, 3, odd, odd\), got \(3, 3, 2, 2\)",
    ),
}


@pytest.mark.parametrize(("make", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_another_file_is_refused(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a JLD2 file at .*none\.jld2, found none"):
        load(tmp_path / "none.jld2")
