"""Figures of the reversible core: gradients, evaluations, bytes saved; time and memory by mode.

Run: OMP_NUM_THREADS=2 python examples/benchmarks/reversible_core.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from record import record
from torch import Tensor

from posterior import ConditionalGlow
from posterior.layers.coupling import Coupling

MODES = ("store", "checkpoint", "invert")


def network(
    memory: str, *, steps: int, hidden: int = 16, dtype: torch.dtype = torch.float32
) -> ConditionalGlow:
    """A conditional Glow with its zero-initialised layers moved off zero: every gradient is at work."""
    torch.manual_seed(0)
    net = ConditionalGlow(1, 8, hidden=hidden, scales=3, steps=steps, memory=memory).to(dtype)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return net


def data(batch: int, size: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """A batch of images with a condition."""
    generator = torch.Generator().manual_seed(1)
    shape = (batch, 1, size, size), (batch, 8, size, size)
    return tuple(torch.randn(s, generator=generator, dtype=dtype) for s in shape)  # type: ignore[return-value]


def backward(net: ConditionalGlow, x: Tensor, c: Tensor) -> None:
    """One negative log-likelihood and its gradients."""
    z, logdet = net(x, c)
    (0.5 * z.square().sum() - logdet.sum()).backward()


def gradient_mismatch() -> float:
    """Largest relative difference of any gradient between "invert" and "store", in float64."""
    found = {}
    for memory in ("store", "invert"):
        net = network(memory, steps=8, dtype=torch.float64)
        x, c = (t.requires_grad_() for t in data(2, 32, torch.float64))
        backward(net, x, c)
        found[memory] = [x.grad, c.grad, *(p.grad for p in net.parameters())]
    pairs = zip(found["store"], found["invert"], strict=True)
    return max(float((a - b).norm() / a.norm()) for a, b in pairs if a is not None and a.norm() > 0)


def evaluations() -> float:
    """Evaluations of a conditioner for each coupling in one training step under "invert"."""
    net, calls = network("invert", steps=4), 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    couplings = [module for module in net.modules() if isinstance(module, Coupling)]
    for coupling in couplings:
        coupling.conditioner.register_forward_hook(count)
    backward(net, *data(2, 32))
    return calls / len(couplings)


def saved_bytes(memory: str, steps: int) -> int:
    """Bytes that autograd keeps between the forward and the backward pass, parameters not counted."""
    net, kept = network(memory, steps=steps), {}
    own = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(*data(2, 32))
    return sum(kept.values())


def seconds(steps: int = 8, size: int = 64, rounds: int = 7) -> dict[str, Any]:
    """Seconds of a training step by memory mode, in turn, and the ratio to "store" round by round."""
    nets = {memory: network(memory, steps=steps, hidden=32) for memory in MODES}
    x, c = data(16, size)
    times: dict[str, list[float]] = {memory: [] for memory in MODES}
    for turn in range(rounds + 1):
        for memory, net in nets.items():
            start = time.perf_counter()
            backward(net, x, c)
            if turn:  # the first round warms up
                times[memory].append(time.perf_counter() - start)
    ratios = {
        m: statistics.median(a / b for a, b in zip(times[m], times["store"], strict=True)) for m in MODES
    }
    return {
        "median": {m: statistics.median(t) for m, t in times.items()},
        "ratio_to_store": ratios,
        "rounds": rounds,
    }


def peak_megabytes(memory: str, steps: int) -> float:
    """Growth of the peak resident memory by two training steps, in a process of its own."""
    code = f"import reversible_core as r; print(r.resident_growth({memory!r}, {steps}))"
    folder = Path(__file__).resolve().parent
    return float(
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, check=True, text=True
        ).stdout
    )


def resident_growth(memory: str, steps: int) -> float:
    """Megabytes by which two training steps at 128 x 128 raise this process's peak."""
    net, (x, c) = network(memory, steps=steps, hidden=64), data(4, 128)
    small = data(1, 8)
    backward(net, *small)  # libraries and gradients are there before the measurement
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is resident now
    before = resident("VmRSS")
    for _ in range(2):
        backward(net, x, c)
    return (resident("VmHWM") - before) / 1024


def resident(field: str) -> int:
    """Kilobytes of this process's memory by the kernel's count: VmRSS now, VmHWM at its peak (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    record(
        "reversible_core",
        {
            "gradient_relative_mismatch_float64": gradient_mismatch(),
            "conditioner_evaluations_a_layer_and_step": evaluations(),
            "bytes_saved_for_backward": {m: {k: saved_bytes(m, k) for k in (4, 16)} for m in MODES},
            "seconds_a_step": seconds(),
            "peak_megabytes_128x128": {m: {k: peak_megabytes(m, k) for k in (4, 16, 32)} for m in MODES},
        },
    )
