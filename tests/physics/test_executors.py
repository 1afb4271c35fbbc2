"""Executors: tasks in, outcomes out; workers that die are replaced, and draws that kill them are found."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from physics.config import (
    DaskConfig,
    ExecutionConfig,
    PairConfig,
    Place,
    ProcessesConfig,
    SlurmConfig,
    SshConfig,
)
from physics.executors import Executor, Shard, Task, make_executor, run_shards
from physics.executors.here import Here
from physics.executors.processes import Processes
from physics.executors.retries import KILLER
from physics.shards import Failure

SLOW = pytest.mark.slow
COUNT, SIZE = 7, 2
SHARDS = [range(first, first + 8) for first in range(0, 40, 8)]

EXECUTORS: dict[str, Callable[[], Executor]] = {
    "this process": Here,
    "one process": lambda: Processes(1),
    "two processes": lambda: Processes(2),
    "Dask": lambda: make_executor(DaskConfig(), workers=2),
}
MARKED = [pytest.param(name, marks=SLOW if name == "Dask" else ()) for name in EXECUTORS]


@pytest.fixture(params=MARKED)
def executor(request: pytest.FixtureRequest) -> Executor:
    return executor_named(request.param)


@pytest.fixture(params=MARKED[1:])
def apart(request: pytest.FixtureRequest) -> Executor:
    """An executor whose workers may die."""
    return executor_named(request.param)


def executor_named(name: str) -> Executor:
    if name == "Dask":
        pytest.importorskip("distributed")
    return EXECUTORS[name]()


@dataclass(frozen=True)
class Plain:
    """A shard is a list of its draws."""

    def __call__(self, task: Task) -> Shard | None:
        left_out = {failure.index for failure in task.left_out}
        made = [self.make(index) for index in task.probe or task.draws if index not in left_out]
        return None if task.probe else (repr(made).encode(), list(task.left_out))

    def make(self, index: int) -> int:
        return index


@dataclass(frozen=True)
class Deadly(Plain):
    """Draws that end the process that makes them; with a folder, once each."""

    kills: frozenset[int]
    once: Path | None = None

    def make(self, index: int) -> int:
        if index in self.kills and not self.done(index):
            os.kill(os.getpid(), signal.SIGKILL)
        return index

    def done(self, index: int) -> bool:
        if self.once is None:
            return False
        try:
            (self.once / str(index)).touch(exist_ok=False)
        except FileExistsError:
            return True
        return False


@dataclass(frozen=True)
class Greedy(Plain):
    """Draws that end the process together, though none does alone."""

    def __call__(self, task: Task) -> Shard | None:
        if len(task.probe or task.draws) > 1:
            os._exit(3)
        return super().__call__(task)


@dataclass(frozen=True)
class Wrong(Plain):
    def make(self, index: int) -> int:
        if index == 20:
            raise ValueError("expected another index, got 20")
        return index


@dataclass(frozen=True)
class Environment(Plain):
    """A shard is what the worker's process is."""

    def __call__(self, task: Task) -> Shard | None:
        import devito

        threads = os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]
        return repr((threads, devito.configuration["language"], os.getpid())).encode(), []


def run(executor: Executor, work: Plain) -> dict[range, Shard]:
    return dict(run_shards(executor, work, SHARDS))


def expected(draws: range, kills: set[int]) -> Shard:
    left_out = [Failure(index, KILLER) for index in draws if index in kills]
    return repr([index for index in draws if index not in kills]).encode(), left_out


def test_each_task_comes_back_once(executor: Executor) -> None:
    shards = list(run_shards(executor, Plain(), SHARDS))
    assert sorted(draws.start for draws, _ in shards) == [0, 8, 16, 24, 32]
    assert all(shard == expected(draws, set()) for draws, shard in shards)


def test_no_task_needs_no_worker(executor: Executor) -> None:
    assert list(run_shards(executor, Plain(), [])) == []


def test_an_executor_can_be_used_again(executor: Executor) -> None:
    with executor:
        assert run(executor, Plain()) == run(executor, Plain())


def test_an_error_of_the_work_comes_through(executor: Executor) -> None:
    with pytest.raises(ValueError, match="expected another index, got 20"):
        run(executor, Wrong())


def test_workers_have_one_thread_and_plain_c(apart: Executor) -> None:
    for data, _ in run(apart, Environment()).values():
        threads, language, pid = eval(data)
        assert threads == ("1", "1")
        assert language == "C"
        assert pid != os.getpid()


def test_no_worker_is_left(apart: Executor) -> None:
    pids = {eval(data)[2] for data, _ in run(apart, Environment()).values()}
    end = time.monotonic() + 30.0
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_iteration_that_is_given_up_lets_the_workers_go(apart: Executor) -> None:
    shards = run_shards(apart, Environment(), SHARDS)
    _, (data, _) = next(shards)
    shards.close()
    end = time.monotonic() + 30.0
    while Path(f"/proc/{eval(data)[2]}").exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_that_dies_is_replaced(
    apart: Executor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "physics"):
        shards = run(apart, Deadly(frozenset({3, 20}), once=tmp_path))
    assert shards == {draws: expected(draws, set()) for draws in SHARDS}
    said = [record.getMessage() for record in caplog.records if record.name.startswith("physics")]
    assert len(said) == 2
    assert any(line.startswith("draws 0 to 7: the worker died (") for line in said)
    assert all(line.endswith("try 1") for line in said)


@pytest.mark.parametrize(
    "kills", [{39}, pytest.param({9, 10}, marks=SLOW), pytest.param({0, 5, 17, 31}, marks=SLOW)]
)
def test_draws_that_kill_are_found_and_left_out(kills: set[int], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "physics"):
        shards = run(Processes(2, retries=1), Deadly(frozenset(kills)))
    assert shards == {draws: expected(draws, kills) for draws in SHARDS}
    assert caplog.text.count("it is left out") == len(kills)


@SLOW
def test_draws_that_kill_are_found_on_dask_too() -> None:
    pytest.importorskip("distributed")
    executor = make_executor(DaskConfig(retries=0), workers=2)
    assert run(executor, Deadly(frozenset({12}))) == {d: expected(d, {12}) for d in SHARDS}


def test_workers_that_die_whatever_they_do_stop_the_run() -> None:
    everything = frozenset(range(40))
    with pytest.raises(ChildProcessError, match="5 workers died in a row, the last of signal 9: Killed"):
        run(Processes(1, retries=0), Deadly(everything))


def test_draws_that_kill_only_together_stop_the_run() -> None:
    with pytest.raises(
        ChildProcessError, match="draws 0 to 3 end their worker together, though none does alone"
    ):
        dict(run_shards(Processes(1, retries=0), Greedy(), [range(4)]))


class TestDataset:
    @pytest.mark.parametrize("name", EXECUTORS)
    def test_does_not_depend_on_who_makes_it(
        self,
        name: str,
        tiny: PairConfig,
        undisturbed: Path,
        tmp_path: Path,
        contents: Callable[[Path], dict[str, bytes]],
    ) -> None:
        # Here, because workers import this module, and importing Devito takes a second.
        from physics.simulate import simulate

        folder = simulate(
            tiny, tmp_path, count=COUNT, shard_size=SIZE, executor=executor_named(name), progress=False
        )
        assert contents(folder) == contents(undisturbed)


class TestDask:
    @pytest.fixture
    def address(self, threads: int) -> Iterator[str]:
        """A cluster that runs already."""
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=threads, dashboard_address=":0"
        ) as cluster:
            yield cluster.scheduler_address

    @pytest.mark.parametrize("threads", [1])
    @pytest.mark.parametrize("workers", [0, pytest.param(1, marks=SLOW), pytest.param(5, marks=SLOW)])
    def test_uses_a_cluster_that_runs_already_and_leaves_it(self, address: str, workers: int) -> None:
        for _ in range(2):
            executor = make_executor(DaskConfig(address=address), workers=workers)
            assert len(run(executor, Plain())) == len(SHARDS)

    @pytest.mark.parametrize("threads", [2])
    def test_refuses_workers_of_several_threads(self, address: str) -> None:
        with pytest.raises(
            ValueError,
            match=r"expected Dask workers of one thread, got 2 of 2 with more, the first tcp.* with 2",
        ):
            run(make_executor(DaskConfig(address=address), workers=0), Plain())

    def test_says_that_no_scheduler_is_there(self) -> None:
        dask = pytest.importorskip("dask")
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(OSError, match=r"expected a Dask scheduler at tcp://127.0.0.1:9, got none"),
        ):
            run(make_executor(DaskConfig(address="tcp://127.0.0.1:9"), workers=0), Plain())


NEED = [
    (DaskConfig(), "distributed"),
    (SlurmConfig(), "dask_jobqueue"),
    (SshConfig(hosts=("a",)), "asyncssh"),
]


@pytest.mark.parametrize(("place", "package"), NEED)
def test_a_missing_package_is_said(place: Place, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"expected the package '{package}'.*seispost\[dask\]"):
        make_executor(place, workers=1)


BAD: dict[str, tuple[type, dict[str, Any], str]] = {
    "executor": (ExecutionConfig, {"executor": "mpi"}, "'processes', 'dask', 'slurm' or 'ssh'"),
    "workers": (ExecutionConfig, {"workers": -1}, "simulate.workers: expected a value >= 0, got -1"),
    "shard size": (ExecutionConfig, {"shard_size": 0}, "simulate.shard_size: expected at least 1, got 0"),
    "no jobs": (ExecutionConfig, {"executor": "slurm"}, "simulate.workers: expected a number of jobs"),
    "no hosts": (ExecutionConfig, {"executor": "ssh"}, "simulate.ssh: expected a section with hosts"),
    "no host": (SshConfig, {"hosts": []}, "simulate.ssh.hosts: expected at least one host"),
    "port": (SshConfig, {"hosts": ["a"], "port": 0}, "simulate.ssh.port: expected a port from 1"),
    "address": (DaskConfig, {"address": "10.0.0.7"}, "simulate.dask.address: .* got '10.0.0.7'"),
    "walltime": (SlurmConfig, {"walltime": "2 h"}, "simulate.slurm.walltime: .*'02:00:00', got '2 h'"),
    "memory": (SlurmConfig, {"memory": "2"}, "simulate.slurm.memory: expected a size such as '2GB', got '2'"),
    "directive": (SlurmConfig, {"directives": ["exclusive"]}, "simulate.slurm.directives: expected options"),
    "retries": (ProcessesConfig, {"retries": -1}, "simulate.processes.retries: expected a value >= 0"),
    "unknown": (SlurmConfig, {"quewe": "long"}, "quewe"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "message"), BAD.values(), ids=BAD)
def test_bad_settings_are_refused(kind: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(kind).validate_python(values)


@pytest.mark.parametrize(
    ("place", "workers", "kind"),
    [
        (ProcessesConfig(), 1, Here),
        (ProcessesConfig(retries=7), 3, Processes),
    ],
)
def test_a_place_gives_its_executor(place: Place, workers: int, kind: type) -> None:
    executor = make_executor(place, workers=workers)
    assert type(executor) is kind
    assert executor.retries == (7 if kind is Processes else 0)
