"""The wave equation in every iteration of a network, beside migration and least squares of the same cost.

Held-out Marmousi patches are reconstructed from noisy Born records of 4 shots by the network that
``examples/07_reconstruct.py`` trains (trained here first where the run folder has none), with 4 applications
of J and 4 of J^T. Migration is weighted with depth and scaled to fit each truth best. Least squares is CGLS
with as many J and J^T, plain and preconditioned by the weight that the network's gradients have; and with
more. "first guess" is what the network starts from: one J^T. "no records" is the network that is handed
records of zeros: what the background alone tells it.

In float64, through a Devito operator: gradients by inversion against those of plain autograd, each tensor's
largest difference over its largest entry; and what is kept for the backward pass by number of iterations.

Run:
    OMP_NUM_THREADS=1 python examples/benchmarks/reconstruction.py [run folder, runs/reconstruct by default]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from record import record
from torch import Tensor

from physics.acoustic import AcousticOperator
from physics.algebra import LinearOperator
from physics.autograd import apply
from physics.geometry import Acquisition
from physics.model import EarthModel
from physics.wavelets import ricker
from posterior import uq
from posterior.cli.config import RunConfig, load
from posterior.cli.reconstruct import FOLDER, METHODS, MODEL, load_loop, reconstruct
from posterior.cli.simulated_surveys import SimulatedSurveys
from posterior.layers.units import LinearUnits
from posterior.least_squares import least_squares
from posterior.linear_map import LinearMap
from posterior.linear_misfit import LinearMisfit
from posterior.networks.loop import Known, LoopUnrolled
from posterior.reversible import Memory, MemoryLike
from posterior.training.reconstruct import Problem

RUN_FILE = Path(__file__).parents[1] / "07_reconstruct.toml"
MORE = (8, 16)
"""Iterations of least squares beyond the network's count."""
SHAPE, DT, NT = (16, 16), 0.001, 120
UNIT = 2e-8


def main(out: Path) -> None:
    """Train if need be, score, measure, record."""
    config, spent = load(RUN_FILE, []), None
    if not (out / FOLDER / "scores.json").is_file():
        start = time.perf_counter()
        reconstruct(config, out)
        spent = time.perf_counter() - start
    scores = json.loads((out / FOLDER / "scores.json").read_text())["test"]
    with np.load(out / FOLDER / "test.npz") as written:
        images = {name: written[name] for name in ("truth", *METHODS)}
    surveys = SimulatedSurveys(config.pairs("test"), scores["pairs"], quiet=True)
    found, seconds = peers(surveys, load_loop(out / FOLDER / MODEL), scores["applications"])
    figures: dict[str, Any] = {
        "pairs": scores["pairs"],
        "applications": {"J": scores["applications"], "JT": scores["applications"]},
        "ssim_convention": "wang: Gaussian window 11, sigma 1.5, population covariance, range of each truth",
        "methods": {
            name: figures_of(some, images) for name, some in (images | found).items() if name != "truth"
        },
        "seconds_a_pair": seconds,
        "training": training(config, out) | ({} if spent is None else {"seconds_in_all": spent}),
        "float64": {"gradients": gradients(), "kept_bytes": kept_bytes()},
    }
    record("reconstruction", figures)


def figures_of(estimates: NDArray[np.float32], images: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Mean SNR and SSIM, and the network's gain in SNR with its standard error over the pairs."""
    pairs = list(zip(estimates, images["truth"], strict=True))
    snr = np.array([uq.snr_db(*pair) for pair in pairs])
    best = np.array([uq.snr_db(*pair) for pair in zip(images["network"], images["truth"], strict=True)])
    similar = [uq.ssim(*pair, data_range=float(np.ptp(pair[1]))).value for pair in pairs]
    gain = best - snr
    return {
        "snr_db": float(snr.mean()),
        "ssim": float(np.mean(similar)),
        "gain_of_network_db": float(gain.mean()),
        "gain_standard_error_db": float(gain.std(ddof=1) / len(gain) ** 0.5),
        "smallest_gain_db": float(gain.min()),
    }


@torch.no_grad()
def peers(
    surveys: SimulatedSurveys, network: LoopUnrolled, applications: int
) -> tuple[dict[str, NDArray[np.float32]], dict[str, float]]:
    """Images by more ways, and seconds a pair of those that cost the same."""
    found, seconds = dict[str, list[Tensor]](), dict[str, list[float]]()
    for position in range(len(surveys.pairs)):
        problem = surveys([position], surveys.pairs[position][1][None], None)

        cgls = partial(least_squares, _misfit(problem).operator, problem.d, weight=surveys.weight)
        for name, call in (
            ("network", partial(see, network, problem, problem.d)),
            ("preconditioned", partial(cgls, iterations=applications)),
        ):
            start = time.perf_counter()
            call()
            seconds.setdefault(name, []).append(time.perf_counter() - start)
        eta, _ = network.initial(problem.d, problem.misfit, problem.known)
        ways = {f"preconditioned, {count} iterations": cgls(iterations=count) for count in MORE}
        ways |= {"first guess": _x(network, eta), "no records": see(network, problem, 0.0 * problem.d)}
        for name, image in ways.items():
            found.setdefault(name, []).append(image[0, 0])
    stacked = {name: torch.stack(some).numpy().astype(np.float32) for name, some in found.items()}
    return stacked, {name: float(np.median(some)) for name, some in seconds.items()}


def see(network: LoopUnrolled, problem: Problem, d: Tensor) -> Tensor:
    """The network's image of data."""
    return network.reconstruct(d, problem.misfit, known=problem.known)


def training(config: RunConfig, out: Path) -> dict[str, Any]:
    """What was trained, and how validation went."""
    logs = {"first_guess": out / FOLDER / "first_guess" / "log.jsonl", "loop": out / FOLDER / "log.jsonl"}
    lines = {name: [json.loads(line) for line in log.read_text().splitlines()] for name, log in logs.items()}
    return {"pairs": config.splits["train"].count} | {
        name: {
            "iterations": max(line["iteration"] for line in some),
            "seconds": max(line["seconds"] for line in some if "seconds" in line),
            "val_snr_db": [[line["iteration"], -line["val_loss"]] for line in some if "val_loss" in line][
                -12:
            ],
        }
        for name, some in lines.items()
    }


def gradients() -> dict[str, float]:
    """Largest relative difference of a tensor's gradient from plain autograd's, by memory and update."""
    worst = {}
    for update in ("additive", "affine"):
        found = []
        for memory in ("store", "invert", Memory(keep=True)):
            net, problem = small_loop(memory, 4, update=update), small_problem()
            loss = (see(net, problem, problem.d) / UNIT - 1.0).square().mean()
            found.append(torch.autograd.grad(loss, list(net.parameters())))
        # A bias before a normalisation has a gradient of rounding alone, with no digits to compare.
        least = 1e-12 * max(float(expected.abs().max()) for expected in found[0])
        for name, grads in zip(("invert", "invert, keep"), found[1:], strict=True):
            pairs = zip(grads, found[0], strict=True)
            worst[f"{update}, {name}"] = max(
                float((got - expected).abs().max() / expected.abs().max())
                for got, expected in pairs
                if float(expected.abs().max()) > least
            )
    return worst


def kept_bytes() -> dict[str, dict[str, int]]:
    """Bytes kept for the backward pass, weights not counted, by memory and number of iterations."""
    kept: dict[str, dict[str, int]] = {}
    modes = {"invert": Memory(), "invert, keep": Memory(keep=True), "store": Memory("store")}
    for name, memory in modes.items():
        for iterations in (2, 4, 8, 16):
            net, problem = small_loop(memory, iterations), small_problem()
            weights = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
            call = partial(see, net, problem, problem.d)
            kept.setdefault(name, {})[str(iterations)] = saved(call, weights)
    return kept


def saved(call: Callable[[], Tensor], without: set[int]) -> int:
    """Bytes of the storages that autograd keeps in a call."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in without:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        image = call()
    assert image.requires_grad
    return sum(kept.values())


def small_problem() -> Problem:
    """Two small surveys in float64, each with its own background and geometry."""
    operators = []
    for index in (0, 1):
        vp = np.random.default_rng(index).uniform(2000.0, 2300.0, SHAPE)
        earth = EarthModel(vp=vp, spacing=(10.0, 10.0), nbl=6, space_order=4, dtype="float64")
        at = 20.0 * index
        sources, receivers = ([[30.0 + at, 24.0], [110.0, 16.0]], [[20.0, 16.0], [70.0 + at, 40.0]])
        survey = Acquisition(np.array(sources), np.array(receivers), DT, NT)
        acoustic = AcousticOperator(earth, survey, wavelet=ricker(20.0, DT, NT))
        operators.append(acoustic.at(acoustic.reference.m))
    draws = torch.Generator().manual_seed(4)
    x = UNIT * torch.randn(2, 1, *SHAPE, generator=draws, dtype=torch.float64)
    context = torch.randn(2, 1, *SHAPE, generator=draws, dtype=torch.float64)
    weight = torch.linspace(0.1, 1.0, SHAPE[1], dtype=torch.float64)
    maps = [LinearMap(partial(_forward, J), partial(_adjoint, J)) for J in operators]
    return Problem(LinearMisfit(maps, (1, *SHAPE)), apply(operators, x[:, 0]), Known(context, weight))


def small_loop(memory: MemoryLike, iterations: int, **options: Any) -> LoopUnrolled:
    """A loop in float64 whose weights are moved away from the start, at which every block is the identity."""
    torch.manual_seed(0)
    options |= {"hidden": 8, "memory_channels": 5, "strides": (1, 2, 4), "link": LinearUnits(UNIT)}
    net = LoopUnrolled(iterations=iterations, memory=memory, start="network", context_channels=1, **options)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.double().train()


def _forward(operator: LinearOperator, x: Tensor) -> Tensor:
    return apply([operator], x[:, 0])


def _adjoint(operator: LinearOperator, d: Tensor) -> Tensor:
    return apply([operator.H], d)[:, None]


def _misfit(problem: Problem) -> LinearMisfit:
    assert isinstance(problem.misfit, LinearMisfit)
    return problem.misfit


def _x(network: LoopUnrolled, eta: Tensor) -> Tensor:
    return eta if network.link is None else network.link.function(eta)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/reconstruct"))
