"""A real SLURM of one node, started by the test: the dataset is the same whatever happens to its jobs."""

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from physics.config import PairConfig, SlurmConfig
from physics.dataset import verify
from physics.executors.places import _check_job
from physics.manifest import read_manifest
from physics.simulate import simulate

pytestmark = pytest.mark.slow

Contents = Callable[[Path], dict[str, bytes]]
COUNT, SIZE = 2400, 4  # long enough for a job to be replaced meanwhile
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel")

SLURM = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1
ReturnToService=2
KillWait=2
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} after {seconds:.0f} s"
        time.sleep(0.1)


@contextmanager
def daemon(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon in the foreground of a process group of its own, which ends with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running SLURM; gives its configuration."""
    pytest.importorskip("dask_jobqueue")
    missing = [name for name in DAEMONS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        pytest.skip(f"needs SLURM and munge (Debian: slurm-wlm, munge), got no {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("slurmd needs root")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    config = folder / "slurm.conf"
    config.write_text(
        SLURM.format(folder=folder, host=socket.gethostname(), ports=free_ports(2), user=getpass.getuser())
    )
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munged = [f"--{option}={folder}/munge.{name}" for option, name in files.items()]
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("SLURM_CONF", str(config))
        patch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
        for name, options in (
            ("munged", ["--foreground", "--force", *munged]),
            ("slurmctld", ["-D", "-f", str(config)]),
            ("slurmd", ["-D", "-f", str(config)]),
        ):
            process = stack.enter_context(daemon(folder / f"{name}.out", name, *options))
            time.sleep(1.0)
            if process.poll() is not None:
                pytest.skip(f"{name} cannot be started: {(folder / f'{name}.out').read_text()[-300:]}")
        try:
            wait_until(lambda: said("sinfo", "-h", "-o", "%T") == "idle", "idle node", seconds=30.0)
        except (AssertionError, subprocess.CalledProcessError) as error:
            pytest.skip(f"SLURM does not get ready: {error}")
        yield config
        said("scancel", "--user", getpass.getuser())


def finished_shards(folder: Path) -> int:
    return len(read_manifest(folder / "manifest.jsonl"))


def jobs(state: str) -> list[str]:
    return said("squeue", "-h", "-t", state, "-o", "%A").split()


def pids_of_workers() -> list[int]:
    """Processes that simulate: spawned by the nanny of a job."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (path / "cmdline").read_bytes()
            environment = (path / "environ").read_bytes()
            if b"spawn_main" in command and b"SLURM_JOB_ID=" in environment:
                found.append(int(path.name))
    return found


class Disturber(threading.Thread):
    """Does to a run, while it goes on, what happens on a cluster."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.done: list[str] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.kill_a_worker()
            self.cancel_a_job_and_drain_the_node()
        except BaseException as error:
            self.error = error
            raise

    def progress(self) -> None:
        """Wait for two more shards."""
        aim = finished_shards(self.folder) + 2
        wait_until(lambda: finished_shards(self.folder) >= aim, "progress")

    def kill_a_worker(self) -> None:
        self.progress()
        os.kill(pids_of_workers()[0], 9)
        self.done.append("killed")
        self.progress()

    def cancel_a_job_and_drain_the_node(self) -> None:
        node = socket.gethostname()
        said("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
        _check_job("#!/bin/sh\n")  # what a run asks first: a drained node is no refusal
        said("scancel", jobs("RUNNING")[0])
        # What replaces it cannot start; the job that is left goes on.
        wait_until(lambda: len(jobs("PENDING")) == 1, "waiting job")
        self.done.append("drained")
        said("scontrol", "update", f"NodeName={node}", "State=RESUME")
        wait_until(lambda: len(jobs("RUNNING")) == 2, "second job")
        self.done.append("resumed")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"queue": "none"}, "invalid partition"), ({"memory": "99GB"}, "Memory specification can not be")],
)
def test_a_job_that_slurm_refuses_is_said(
    slurm: Path, tiny: PairConfig, tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    place = replace(SlurmConfig(queue="main", memory="1GB", interface="lo"), **change)
    with pytest.raises(ValueError, match=rf"settings that SLURM takes, got its refusal: .*{reason}"):
        simulate(tiny, tmp_path / "data", count=2, executor=place, progress=False)


def test_a_dataset_made_by_slurm_jobs_is_the_same_whatever_happens_to_them(
    slurm: Path, import_path: str, tiny: PairConfig, tmp_path: Path, contents: Contents
) -> None:
    place = SlurmConfig(
        queue="main", walltime="00:20:00", memory="1GB", interface="lo", logs=str(tmp_path / "logs"),
        directives=("--comment=seispost",), prologue=("echo a job starts",),
    )  # fmt: skip
    disturber = Disturber(tmp_path / "slurm")
    disturber.start()
    folder = simulate(
        tiny, tmp_path / "slurm", count=COUNT, shard_size=SIZE, workers=2, executor=place, progress=False
    )
    disturber.join(60.0)
    assert disturber.error is None
    assert disturber.done == ["killed", "drained", "resumed"]
    assert verify(folder) == COUNT
    local = simulate(tiny, tmp_path / "local", count=COUNT, shard_size=SIZE, progress=False)
    assert contents(folder) == contents(local)
    assert any("a job starts" in log.read_text() for log in (tmp_path / "logs").glob("*.out"))
    wait_until(lambda: not jobs("PENDING,RUNNING"), "empty queue", seconds=60.0)
