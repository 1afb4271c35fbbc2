"""Step time and peak memory of the reversible core against plain autograd, checkpoints and other libraries.

Run: OMP_NUM_THREADS=2 python examples/benchmarks/core_against_peers.py [--rounds 9] [--steps 4 8 16 32]

Needs: pip install normflows FrEIA nflows memcnn (or this project's extra "peers").
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial
from typing import Any

import core_nets
import measure
from record import record
from torch import nn

from posterior.allocator import keep_freed_memory

SIZES = (64, 128)
PEERS = ("normflows", "FrEIA", "FrEIA, learned mixing", "nflows", "MemCNN")
BATCH = 4
DEPTHS = (4, 16, 80)


def network(name: str, *, steps: int, size: int) -> nn.Module:
    """One of our modes, or a peer's network."""
    if name in core_nets.MODES:
        return core_nets.glow(name, steps=steps)
    import peers

    return peers.glow(name, steps=steps, size=size)


def times(names: list[str], *, steps: int, size: int, rounds: int) -> dict[str, Any]:
    """Median seconds of a training step, and the median ratio to "store" in the same round."""
    x, c = core_nets.data(BATCH, size)
    nets = {name: network(name, steps=steps, size=size) for name in names}
    for net in nets.values():
        core_nets.train_step(net, x, c)  # ActNorms initialise
    own = measure.seconds_in_turn(
        {name: partial(core_nets.train_step, net, x, c) for name, net in nets.items()}, rounds
    )
    ratios = measure.median_ratios(own, "store")
    return {name: {"seconds": statistics.median(own[name]), "ratio_to_store": ratios[name]} for name in names}


def peak(name: str, steps: int, size: int) -> dict[str, float]:
    """Megabytes of a training step above parameters and their gradients.

    "tensors" is the highest sum of what torch had allocated; "resident" the growth of the process's peak, in
    a process of its own, with the allocator as the system has it.
    """
    net, (x, c) = network(name, steps=steps, size=size), core_nets.data(BATCH, size)
    step = partial(core_nets.train_step, net, x, c)
    small = partial(core_nets.train_step, net, *core_nets.data(1, size))
    resident = measure.peak_growth(step, small)
    gradients = sum(p.numel() * p.element_size() for p in net.parameters()) / 1e6
    return {"tensors": measure.peak_tensors(step) - gradients, "resident": resident}


def main() -> None:
    """Measure and record."""
    keep_freed_memory()  # as this project's training does; here for every library alike
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8, 16, 32])
    options = parser.parse_args()
    names = [*core_nets.MODES, *PEERS]
    figures: dict[str, Any] = {"time": {}, "peak_megabytes": {}, "depth": {}}
    for size in SIZES:
        for steps in options.steps:
            key = f"{size}x{size}, K={steps}"
            figures["time"][key] = times(names, steps=steps, size=size, rounds=options.rounds)
            ratios = {name: round(entry["ratio_to_store"], 2) for name, entry in figures["time"][key].items()}
            print(key, ratios, flush=True)
            if size < max(SIZES):
                continue
            figures["peak_megabytes"][key] = {
                name: measure.in_own_process(f"m.peak({name!r}, {steps}, {size})", "core_against_peers")
                for name in names
            }
            peaks = {n: round(entry["tensors"], 1) for n, entry in figures["peak_megabytes"][key].items()}
            print(key, peaks, flush=True)
    for name in ("invert", "invert, keep", "checkpoint", "store"):
        figures["depth"][name] = {
            steps: measure.in_own_process(f"m.peak({name!r}, {steps}, 128)", "core_against_peers")
            for steps in (DEPTHS if name != "store" else DEPTHS[:-1])
        }
        print("depth", name, figures["depth"][name], flush=True)
    record("core_against_peers", figures)


if __name__ == "__main__":
    main()
