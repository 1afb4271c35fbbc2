"""One process or many: the few things that training needs of ``torch.distributed``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@final
@dataclass(frozen=True)
class World:
    """This process among all that train together.

    Args:
        rank: number of this process; the one with rank 0 writes.
        size: number of processes.
        device: where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def writes(self) -> bool:
        """Whether this process writes files and progress."""
        return self.rank == 0

    def wrap(self, loss: nn.Module) -> nn.Module:
        """The loss module, with gradients averaged over the processes when there are several."""
        if self.size == 1:
            return loss
        return DistributedDataParallel(loss, device_ids=[self.device] if self.device.type == "cuda" else None)

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes, equal on each of them."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, flags: list[int]) -> list[int]:
        """The largest of each flag over all processes, so that all of them decide alike."""
        if self.size == 1:
            return flags
        shared = torch.tensor(flags, device=self.device)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return [int(flag) for flag in shared.tolist()]

    def barrier(self) -> None:
        """Wait until every process has come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def world() -> Iterator[World]:
    """Join the processes that ``torchrun`` started (``WORLD_SIZE`` > 1), or stand alone.

    A GPU is used where there is one, the one that ``LOCAL_RANK`` names. A process group that exists already
    is used and left as it is.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if size == 1:
        yield World(0, 1, device)
        return
    if cuda:
        torch.cuda.set_device(device)
    joins = not dist.is_initialized()
    if joins:
        dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size(), device)
    finally:
        if joins:
            dist.destroy_process_group()
