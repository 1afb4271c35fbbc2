"""Datasets come out the same whatever stops their making: kills of the run or of its workers, requests."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from physics.config import PairConfig
from physics.dataset import verify
from physics.manifest import read_manifest
from physics.simulate import simulate

Contents = Callable[[Path], dict[str, bytes]]
Start = Callable[..., "Run"]

pytestmark = pytest.mark.slow

RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would inherit it ignored
from pydantic import TypeAdapter
from physics.config import PairConfig
from physics.simulate import simulate
if __name__ == "__main__":
    folder, config, count, size, workers = sys.argv[1:]
    config = TypeAdapter(PairConfig).validate_json(config)
    simulate(config, folder, count=int(count), shard_size=int(size), workers=int(workers))
"""
LONG, LONG_SIZE = 96, 2


class Run:
    """``simulate`` in a process group of its own, with a compiler cache of its own."""

    def __init__(
        self, pairs: PairConfig, folder: Path, *, workers: int, count: int = LONG, script: str = RUN
    ) -> None:
        path = folder.parent / "run.py"
        path.write_text(script)
        config = TypeAdapter(PairConfig).dump_json(pairs).decode()
        arguments = [str(folder), config, str(count), str(LONG_SIZE), str(workers)]
        cache = folder.parent / "tmp"
        cache.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, str(path), *arguments],
            env={**os.environ, "TMPDIR": str(cache), "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, timeout: float = 300.0) -> tuple[int, str]:
        try:
            _, log = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return self.process.returncode, log


@pytest.fixture(scope="module")
def start(tiny: PairConfig) -> Start:
    return partial(Run, tiny)


def finished_shards(folder: Path) -> int:
    return len(read_manifest(folder / "manifest.jsonl"))


def wait_until(condition: Callable[[], bool], *, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the run made no progress"
        time.sleep(0.005)


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def long_reference(tiny: PairConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "train"
    return simulate(tiny, folder, count=LONG, shard_size=LONG_SIZE, progress=False)


def kill_a_run(run: Run, folder: Path, rng: random.Random, *, whole_group: bool, early: bool) -> int:
    """Kill a run at a random moment, and see what it left; 1 if the kill met a living run."""
    made = finished_shards(folder)

    def moved_on() -> bool:
        return finished_shards(folder) > made or run.process.poll() is not None

    if not early:
        wait_until(moved_on)
    # Early: from the first import on, the compilation of operators included. Late: among the shards.
    time.sleep(rng.uniform(0.0, 2.0) if early else rng.uniform(0.0, 0.1))
    alive = run.process.poll() is None
    if alive:
        (os.killpg if whole_group else os.kill)(run.process.pid, signal.SIGKILL)
    run.finish()
    # Workers whose parent was killed end by themselves.
    wait_until(lambda: group_is_gone(run.process.pid), seconds=30.0)
    if (folder / "dataset.json").is_file():
        verify(folder)
    return int(alive)


@pytest.mark.parametrize(("workers", "whole_group"), [(1, True), (2, True), (2, False)])
def test_kills_at_random_moments_lose_nothing(
    start: Start, contents: Contents, long_reference: Path, tmp_path: Path, workers: int, whole_group: bool
) -> None:
    folder = tmp_path / "train"
    rng = random.Random(workers)
    kills = 0
    while finished_shards(folder) < LONG // LONG_SIZE and kills < 12:
        kills += kill_a_run(
            start(folder, workers=workers), folder, rng, whole_group=whole_group, early=kills < 4
        )
    assert kills >= 10
    code, log = start(folder, workers=workers).finish()
    assert code == 0, log
    assert verify(folder) == LONG
    assert contents(folder) == contents(long_reference)


def test_a_kill_while_operators_are_compiled_does_not_block_the_next_run(
    start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "train"
    assert start(folder, workers=1, count=2).finish()[0] == 0
    # What such a kill leaves: a half-written library, no entry in the cache, and the lock.
    for library in (tmp_path / "tmp").glob("devito-jitcache-*/*.so"):
        library.write_bytes(library.read_bytes()[:100])
    entries = list((tmp_path / "tmp").glob("devito-codepy-*/*/*/info"))
    assert entries
    for entry in entries:
        entry.unlink()
        (entry.parent.parent / "lock").touch()
    code, log = start(folder, workers=1, count=4).finish(timeout=60.0)
    assert code == 0, log
    assert verify(folder) == 4


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_asking_it_to_stop_is_clean(
    start: Start,
    contents: Contents,
    long_reference: Path,
    tmp_path: Path,
    workers: int,
    number: int,
    code: int,
) -> None:
    folder = tmp_path / "train"
    run = start(folder, workers=workers)
    wait_until(lambda: finished_shards(folder) >= 2)
    os.killpg(run.process.pid, number) if number == signal.SIGINT else run.process.send_signal(number)
    assert run.finish(timeout=60.0)[0] == code
    wait_until(lambda: group_is_gone(run.process.pid), seconds=30.0)
    assert not list(folder.glob("*.part"))
    assert verify(folder) == LONG_SIZE * finished_shards(folder)
    assert finished_shards(folder) < LONG // LONG_SIZE
    assert start(folder, workers=workers).finish()[0] == 0
    assert contents(folder) == contents(long_reference)


def children_of(pid: int) -> list[int]:
    """The workers of a run."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def test_dead_workers_are_said_and_replaced(
    start: Start, contents: Contents, long_reference: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "train"
    run = start(folder, workers=2)
    for shards in (2, 8, 14):
        wait_until(lambda: finished_shards(folder) >= shards)  # noqa: B023 (called at once)
        os.kill(children_of(run.process.pid)[0], signal.SIGKILL)
    code, log = run.finish(timeout=60.0)
    assert code == 0, log
    assert log.count("the worker died (signal 9: Killed, perhaps for lack of memory), try 1") == 3
    assert "left out" not in log
    assert contents(folder) == contents(long_reference)


def test_workers_that_die_at_once_stop_the_run(start: Start, tmp_path: Path) -> None:
    # A script without the guard: each spawned process would start processes.
    unguarded = RUN.replace('if __name__ == "__main__":', "if True:")
    assert unguarded != RUN
    run = start(tmp_path / "train", workers=2, script=unguarded)
    code, log = run.finish(timeout=60.0)
    assert code == 1
    assert "a worker process ended as it started (exit code 1)" in log
    assert 'needs `if __name__ == "__main__":`' in log


def test_a_log_shows_the_rate_and_the_remaining_time(start: Start, tmp_path: Path) -> None:
    code, log = start(tmp_path / "train", workers=2, count=8).finish()
    assert code == 0
    assert "train: 8 of 8 pairs (100%), " in log
    assert "pairs/s, 0 s left" in log
