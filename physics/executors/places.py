"""The executor that a configuration describes."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial, singledispatch
from typing import Any

from physics.config import DaskConfig, Place, ProcessesConfig, SlurmConfig, SshConfig
from physics.executors.base import Executor
from physics.executors.dask_cluster import NO_RETRIES, ONE_THREAD, DaskExecutor, need
from physics.executors.here import Here
from physics.executors.processes import Processes

_ANY_PORT = {"dashboard_address": ":0"}
_HANDOVER_SHARE, _HANDOVER_SECONDS = 0.1, 300
"""How long before the end of its job a worker stops: a share of the walltime, at most so many seconds."""


@singledispatch
def make_executor(place: Place, *, workers: int) -> Executor:
    """Make the executor of a place.

    Args:
        place: Settings of processes, Dask, SLURM or ssh.
        workers: Workers of one thread each; 0 takes one a processor, a host, or all that a cluster has.

    Raises:
        ValueError: If a package that the place needs is not installed.
    """
    raise TypeError(f"expected a configuration of processes, Dask, SLURM or ssh, got {place!r}")


@make_executor.register
def _processes(place: ProcessesConfig, *, workers: int) -> Executor:
    workers = workers or _processors()
    return Here() if workers == 1 else Processes(workers, place.retries)


@make_executor.register
def _dask(place: DaskConfig, *, workers: int) -> Executor:
    need("distributed", "dask")
    if place.address is not None:
        address = place.address
        return DaskExecutor(lambda _: address, workers, place.retries)
    return DaskExecutor(_local_cluster, workers or _processors(), place.retries)


@make_executor.register
def _slurm(place: SlurmConfig, *, workers: int) -> Executor:
    need("dask_jobqueue", "slurm")
    return DaskExecutor(partial(_slurm_cluster, place), max(1, workers), place.retries)


@make_executor.register
def _ssh(place: SshConfig, *, workers: int) -> Executor:
    need("asyncssh", "ssh")
    return DaskExecutor(partial(_ssh_cluster, place), workers or len(place.hosts), place.retries)


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _local_cluster(workers: int) -> Any:
    return need("distributed", "dask").LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, scheduler_kwargs=NO_RETRIES, **_ANY_PORT
    )


def _slurm_cluster(place: SlurmConfig, workers: int) -> Any:
    seconds = _seconds(place.walltime)
    lifetime = seconds - min(_HANDOVER_SHARE * seconds, _HANDOVER_SECONDS)
    # A job does not inherit our settings of Dask.
    off = ("DASK_DISTRIBUTED__WORKER__MEMORY__SPILL", "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED")
    environment = {**ONE_THREAD, **dict.fromkeys(off, "False")}
    cluster = need("dask_jobqueue", "slurm").SLURMCluster(
        queue=place.queue,
        account=place.account,
        walltime=place.walltime,
        cores=1,
        processes=1,
        memory=place.memory,
        interface=place.interface,
        job_extra_directives=list(place.directives),
        job_script_prologue=[
            *(f"export {name}={value}" for name, value in environment.items()),
            *place.prologue,
        ],
        log_directory=place.logs,
        worker_extra_args=["--lifetime", f"{lifetime:.0f}s", "--no-dashboard"],
        scheduler_options={**NO_RETRIES, **_ANY_PORT},
        python=sys.executable,
    )
    try:
        _check_job(cluster.job_script())
        cluster.scale(workers)
    except BaseException:
        cluster.close()
        raise
    return cluster


def _check_job(script: str) -> None:
    """Submit a job of the same header that does nothing: Dask waits for ever for one that was refused.

    ``sbatch --test-only`` also refuses what must only wait for a node, and ``--hold`` does not look at them.
    """
    header = [line for line in script.splitlines() if line.startswith("#")]
    submit = ["sbatch", "--parsable", "--output=/dev/null", "--error=/dev/null"]
    try:
        answer = subprocess.run(
            submit, input="\n".join([*header, "exit 0\n"]), capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise ValueError(
            "executor 'slurm': expected SLURM's command sbatch on the path, got none: run where jobs are "
            "submitted"
        ) from error
    if answer.returncode:
        reason = " ".join(answer.stderr.split())
        raise ValueError(f"simulate.slurm: expected settings that SLURM takes, got its refusal: {reason}")
    subprocess.run(["scancel", answer.stdout.strip().partition(";")[0]], check=True)


def _ssh_cluster(place: SshConfig, workers: int) -> Any:
    hosts = place.hosts[: max(1, workers)]
    given = {"username": place.username, "client_keys": place.key, "known_hosts": place.known_hosts}
    return need("distributed", "ssh").SSHCluster(
        [hosts[0], *hosts],
        connect_options={"port": place.port, **{key: value for key, value in given.items() if value}},
        worker_options={"nthreads": 1, "n_workers": -(-workers // len(hosts))},
        scheduler_options={"port": 0, **NO_RETRIES, **_ANY_PORT},
        remote_python=place.python,
    )


def _seconds(walltime: str) -> float:
    """Seconds of "[days-]hours:minutes[:seconds]"."""
    days, _, clock = walltime.rpartition("-")
    hours, minutes, *rest = (int(part) for part in clock.split(":"))
    return 86400.0 * int(days or 0) + 3600.0 * hours + 60.0 * minutes + sum(rest)
