"""A training step over slabs: peak memory and time against the slab budget, in 3-D and in 2-D.

Run: OMP_NUM_THREADS=1 python examples/benchmarks/slabs.py [--largest 128 1024]

One negative log-likelihood of a conditional Glow (one channel each of x and c, L=3, batch 1) with every
gradient, that of c too, and memory="invert". A budget is a share of what a conditioner of the finest scale
takes for the whole by its own account; 1 means no slabs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import measure
import torch
from core_nets import shaken, train_step
from record import record
from torch import Tensor, nn

from posterior import ConditionalGlow
from posterior.layers.coupling import Coupling
from posterior.layers.slabwise import bytes_a_cell
from posterior.slabs import limit_memory

SHARES = (1.0, 0.5, 0.1875)


@dataclass(frozen=True)
class Experiment:
    """A network and the sizes of its images, smallest first."""

    ndim: int
    hidden: int
    steps: int
    sizes: tuple[int, ...]

    def network(self, dtype: torch.dtype | None = None) -> nn.Module:
        """The network, moved off its start."""
        torch.manual_seed(0)
        options: dict[str, Any] = {"hidden": self.hidden, "scales": 3, "steps": self.steps}
        options |= {"ndim": self.ndim, "squeeze": "checkerboard", "dtype": dtype}
        return shaken(ConditionalGlow(1, 1, **options))

    def images(self, size: int) -> tuple[Tensor, Tensor]:
        """One image x and its condition c."""
        generator = torch.Generator().manual_seed(1)
        x, c = (torch.randn(1, 1, *(size,) * self.ndim, generator=generator) for _ in range(2))
        return x, c


EXPERIMENTS = {
    "3-D, K=4, hidden 32": Experiment(3, 32, 4, (64, 96, 128)),
    "2-D, K=2, hidden 256": Experiment(2, 256, 2, (512, 1024)),
}


def need(net: nn.Module, x: Tensor) -> int:
    """Bytes that a conditioner of the finest scale takes for all cells, by its own account."""
    layer = next(one for one in net.modules() if isinstance(one, Coupling))
    halves = x.new_empty(1, layer.channels, *(size // 2 for size in x.shape[2:]))
    return bytes_a_cell(layer, halves) * halves[0, 0].numel()


def row(step: Callable[[], object], net: nn.Module, budget: int | None) -> dict[str, Any]:
    """Megabytes at the peak of a step, and seconds of another one."""
    if budget is not None:
        limit_memory(net, budget)
    peak = measure.peak_tensors(step)
    start = time.perf_counter()
    step()
    seconds = time.perf_counter() - start
    gradients = sum(parameter.nbytes for parameter in net.parameters()) / 1e6
    return {
        "budget_megabytes": None if budget is None else budget / 1e6,
        "peak_megabytes": peak - gradients,
        "seconds": seconds,
    }


def rows(name: str, size: int) -> dict[str, Any]:
    """All budgets at one size, and the largest relative difference of a gradient to that without slabs."""
    experiment = EXPERIMENTS[name]
    x, c = experiment.images(size)
    figures: dict[str, Any] = {"state_megabytes": x.nbytes / 1e6}
    for label, dtype in (("float32", None), ("bfloat16", torch.bfloat16)):
        net = experiment.network(dtype)
        step = partial(train_step, net, x, c)
        train_step(net, *experiment.images(16))  # ActNorms initialise
        whole = need(net, x)
        reference: list[Tensor] = []
        for share in SHARES if dtype is None else SHARES[::2]:
            own = row(step, net, None if share == 1.0 else int(share * whole))
            found = [p.grad.clone() for p in net.parameters() if p.grad is not None]
            reference = reference or found
            scale = max(float(one.norm()) for one in reference)
            pairs = zip(found, reference, strict=True)
            own["gradient_difference"] = max(float((a - b).norm()) / scale for a, b in pairs)
            figures[f"{label}, budget {share:g} of the whole"] = own
    return figures


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, nargs=2, default=[128, 1024], help="size in 3-D and in 2-D")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for (name, experiment), largest in zip(EXPERIMENTS.items(), options.largest, strict=True):
        for size in (one for one in experiment.sizes if one <= largest):
            call = f"m.rows({name!r}, {size})"
            figures[f"{name}, {size}^{experiment.ndim}"] = own = measure.in_own_process(call, "slabs")
            print(name, size, own, flush=True)
    record("slabs", figures)


if __name__ == "__main__":
    main()
