"""Laws of the reversible core in figures: gradients, work and bytes saved, by memory mode.

Run: OMP_NUM_THREADS=2 python examples/benchmarks/reversible_core.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from core_nets import MODES, data, glow, train_step
from record import record
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

FULL = [mode for mode, (_, dtype) in MODES.items() if dtype is None]


def gradients(mode: str) -> list[Tensor]:
    """Every gradient of a training step, in float64."""
    net = glow(mode, steps=8, hidden=16, precision=torch.float64)
    x, c = (t.requires_grad_() for t in data(2, 32, torch.float64))
    z, logdet = net(x, c)
    return list(torch.autograd.grad((z.sin() * z).sum() - logdet.sum(), [x, c, *net.parameters()]))


def mismatch(mode: str) -> float:
    """Largest relative difference of any gradient to the stored one."""
    pairs = zip(gradients(mode), gradients("store"), strict=True)
    return max(float((a - b).norm() / b.norm()) for a, b in pairs if b.norm() > 0)


class Convolutions(TorchDispatchMode):
    """Counts floating-point operations of convolutions, their gradients left out."""

    flops = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, and call."""
        out = op(*args, **(kwargs or {}))
        if op.overloadpacket is torch.ops.aten.convolution:
            self.flops += flop_registry[op.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def flops(call: Callable[[], object]) -> int:
    """Operations of convolutions in a call."""
    with Convolutions() as counter:
        call()
    return counter.flops


def evaluations(mode: str) -> float:
    """How often the conditioners' convolutions are evaluated in a training step."""
    net, (x, c) = glow(mode, steps=4), data(2, 32)
    pyramid = flops(lambda: net.scales.pyramid(c))  # outside of the chains: once
    with torch.no_grad():
        once = flops(lambda: net(x, c)) - pyramid
    return (flops(lambda: train_step(net, x, c)) - pyramid) / once


def saved_bytes(mode: str, steps: int) -> int:
    """Bytes that autograd keeps between the forward and the backward pass, parameters not counted."""
    net, kept = glow(mode, steps=steps, hidden=16), {}
    own = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        results = net(*data(2, 32))
    assert results[0].requires_grad
    return sum(kept.values())


if __name__ == "__main__":
    record(
        "reversible_core",
        {
            "gradient_relative_mismatch_float64": {mode: mismatch(mode) for mode in FULL if mode != "store"},
            "conditioner_evaluations_a_training_step": {mode: evaluations(mode) for mode in FULL},
            "bytes_saved_for_backward": {
                mode: {steps: saved_bytes(mode, steps) for steps in (4, 16)} for mode in FULL
            },
        },
    )
