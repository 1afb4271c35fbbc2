"""Configurations of where pairs are computed; nothing here changes a pair."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from physics.config.checks import STRICT, require

_WALLTIME = re.compile(r"(\d+-)?\d{1,2}:\d{2}(:\d{2})?")
_MEMORY = re.compile(r"\d+(\.\d+)?\s*[kMGT]?i?B")
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://\S+:\d+")


def _check_retries(section: str, value: int) -> None:
    require(value >= 0, f"simulate.{section}.retries", "a value >= 0", value)


@dataclass(frozen=True, kw_only=True)
class ProcessesConfig:
    """Processes of this machine."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    retries: int = 2
    """How often a shard is made again after its worker died."""

    def __post_init__(self) -> None:
        _check_retries("processes", self.retries)


@dataclass(frozen=True, kw_only=True)
class DaskConfig:
    """A Dask cluster: one that runs already, or one of this machine's processes."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    address: str | None = None
    """Scheduler to connect to, for example "tcp://10.0.0.7:8786"; None starts workers on this machine."""
    retries: int = 2
    """How often a shard is made again after its worker died."""

    def __post_init__(self) -> None:
        require(
            self.address is None or _ADDRESS.fullmatch(self.address) is not None,
            "simulate.dask.address",
            "an address such as 'tcp://10.0.0.7:8786'",
            self.address,
        )
        _check_retries("dask", self.retries)


@dataclass(frozen=True, kw_only=True)
class SlurmConfig:
    """Jobs of a SLURM cluster, one worker each, submitted by dask-jobqueue.

    The environment of this process must be there on the nodes at the same path. The scheduler of Dask runs in
    this process, so it must live as long as the run: start it in a job of its own, or under ``tmux``.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    queue: str | None = None
    """Partition; None takes SLURM's default."""
    account: str | None = None
    walltime: str = "01:00:00"
    """Time limit of a job, "[days-]hours:minutes[:seconds]"; a worker hands over in time and is replaced."""
    memory: str = "2GB"
    """Memory of a worker."""
    interface: str | None = None
    """Network interface that the nodes can reach this process at, for example "ib0"."""
    directives: tuple[str, ...] = ()
    """Further lines of ``#SBATCH``, for example "--constraint=icelake"."""
    prologue: tuple[str, ...] = ()
    """Lines of shell that a job runs first, for example "module load gcc"."""
    logs: str | None = None
    """Folder of the jobs' output; None leaves it to SLURM."""
    retries: int = 5
    """How often a shard is made again after its worker died; preemption counts."""

    def __post_init__(self) -> None:
        require(
            _WALLTIME.fullmatch(self.walltime) is not None,
            "simulate.slurm.walltime",
            "[days-]hours:minutes[:seconds], such as '02:00:00'",
            self.walltime,
        )
        require(
            _MEMORY.fullmatch(self.memory) is not None,
            "simulate.slurm.memory",
            "a size such as '2GB'",
            self.memory,
        )
        for directive in self.directives:
            require(
                directive.startswith("-"),
                "simulate.slurm.directives",
                "options of sbatch, such as '--constraint=icelake'",
                directive,
            )
        _check_retries("slurm", self.retries)


@dataclass(frozen=True, kw_only=True)
class SshConfig:
    """Workers on machines that are reached by ssh without a password."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    hosts: tuple[str, ...]
    """Machines; the first also runs the scheduler. The workers are dealt out evenly."""
    username: str | None = None
    port: int = 22
    key: str | None = None
    """File of the private key; None takes the usual ones and the agent."""
    known_hosts: str | None = None
    """File of known host keys; None takes the usual one."""
    python: str | None = None
    """Interpreter on the machines; None takes the path of this one."""
    retries: int = 2
    """How often a shard is made again after its worker died."""

    def __post_init__(self) -> None:
        require(len(self.hosts) > 0, "simulate.ssh.hosts", "at least one host", self.hosts)
        require(0 < self.port < 65536, "simulate.ssh.port", "a port from 1 to 65535", self.port)
        _check_retries("ssh", self.retries)


Place = ProcessesConfig | DaskConfig | SlurmConfig | SshConfig
"""Where pairs are computed."""


EXECUTORS: dict[str, type[Place]] = {
    "processes": ProcessesConfig,
    "dask": DaskConfig,
    "slurm": SlurmConfig,
    "ssh": SshConfig,
}
"""Sections of the executors' settings."""


@dataclass(frozen=True, kw_only=True)
class ExecutionConfig:
    """How the pairs are computed; no value here changes a pair."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    executor: Literal["processes", "dask", "slurm", "ssh"] = "processes"
    """Where; its own settings are in the section of its name."""
    workers: int = 0
    """Workers of one thread each; 0 takes one a processor of this machine, one a host of ssh, or all that a
    running Dask cluster has."""
    shard_size: int = 16
    """Pairs an HDF5 shard."""
    processes: ProcessesConfig = field(default_factory=ProcessesConfig)
    dask: DaskConfig = field(default_factory=DaskConfig)
    slurm: SlurmConfig = field(default_factory=SlurmConfig)
    ssh: SshConfig | None = None

    def __post_init__(self) -> None:
        require(self.workers >= 0, "simulate.workers", "a value >= 0", self.workers)
        require(self.shard_size >= 1, "simulate.shard_size", "at least 1", self.shard_size)
        require(
            self.executor != "slurm" or self.workers > 0,
            "simulate.workers",
            "a number of jobs for executor = 'slurm'",
            self.workers,
        )
        require(
            self.executor != "ssh" or self.ssh is not None,
            "simulate.ssh",
            "a section with hosts = [...] for executor = 'ssh'",
            self.ssh,
        )

    @property
    def num_workers(self) -> int:
        """Workers that the settings come to; 1 where only the cluster knows."""
        if self.workers or self.executor == "slurm":
            return self.workers
        if self.ssh is not None and self.executor == "ssh":
            return len(self.ssh.hosts)
        if self.executor == "dask" and self.dask.address is not None:
            return 1
        return len(os.sched_getaffinity(0))

    def describe(self) -> str:
        """Say where, in a few words."""
        if self.executor == "dask" and self.dask.address is not None:
            return f"the Dask cluster at {self.dask.address}"
        kind = {"slurm": "SLURM jobs", "ssh": "workers over ssh", "dask": "Dask workers"}
        return f"{self.num_workers} {kind.get(self.executor, 'processes')}"

    @property
    def place(self) -> Place:
        """Settings of the chosen executor."""
        place: Place | None = getattr(self, self.executor)
        assert place is not None  # __post_init__ refuses it
        return place
