"""Two processes see what one process sees: ActNorm's first batch and the gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = """
import os, sys, torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from posterior.config import NetworkConfig
from posterior.flow import ConditionalFlow

world, rank, folder = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"]), sys.argv[1]
config = NetworkConfig(hidden=6, scales=2, steps=2, summary_width=4, cond_channels=3, dropout=0.0)
torch.manual_seed(rank)  # processes start apart; DistributedDataParallel makes them equal
flow = ConditionalFlow.from_config(config, in_channels=1, y_channels=1).double()
if os.path.exists(f"{folder}/start.pt") and rank == 0:
    flow.load_state_dict(torch.load(f"{folder}/start.pt"))
torch.manual_seed(7)
x, y = torch.randn(4, 1, 8, 8).double(), torch.randn(4, 1, 8, 8).double()
if world > 1:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    flow = DistributedDataParallel(flow)
share = slice(rank * 4 // world, (rank + 1) * 4 // world)
for _ in range(2):
    flow.zero_grad()
    (-flow(x[share], y[share]).mean()).backward()
inner = flow.module if world > 1 else flow
grads = {name: p.grad.contiguous() for name, p in inner.named_parameters()}
torch.save({"state": inner.state_dict(), "grads": grads}, f"{folder}/{world}-{rank}.pt")
if world > 1:
    dist.destroy_process_group()
"""


def launch(folder: Path, world: int) -> list[dict[str, dict[str, torch.Tensor]]]:
    script = folder / "train.py"
    script.write_text(SCRIPT)
    base = os.environ | {"WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1"}
    base["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-W", "error", str(script), str(folder)]
    workers = [subprocess.Popen(command, env=base | {"RANK": str(rank)}) for rank in range(world)]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * world
    return [torch.load(folder / f"{world}-{rank}.pt") for rank in range(world)]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    from posterior.config import NetworkConfig
    from posterior.flow import ConditionalFlow

    config = NetworkConfig(hidden=6, scales=2, steps=2, summary_width=4, cond_channels=3, dropout=0.0)
    torch.manual_seed(11)
    start = ConditionalFlow.from_config(config, in_channels=1, y_channels=1).double()
    with torch.no_grad():
        for name, parameter in start.named_parameters():
            parameter.add_(0.0 if "log_scale" in name else 0.1 * torch.randn_like(parameter))
    torch.save(start.state_dict(), tmp_path / "start.pt")
    (single,), pair = launch(tmp_path, 1), launch(tmp_path, 2)
    for part in ("state", "grads"):
        for name, value in single[part].items():
            # One average over two halves instead of one over all: rounding of float64 sums.
            torch.testing.assert_close(pair[0][part][name], value, atol=1e-10, rtol=1e-10)
            torch.testing.assert_close(pair[1][part][name], value, atol=1e-10, rtol=1e-10)
