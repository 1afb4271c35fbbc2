"""Training pairs and datasets of them: pure in (configuration, index), whatever stops their making."""

import io
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.ndimage

from physics.config import LayeredPriorConfig, PairConfig, PatchPriorConfig, SurveyConfig
from physics.dataset import verify
from physics.errors import PhysicsError
from physics.jit_locks import clear_stale_locks
from physics.linear import BornOperator
from physics.manifest import read_manifest
from physics.model import EarthModel
from physics.pairs import PairSimulator, pair_generator, simulate_pair
from physics.progress import Progress
from physics.simulate import simulate

SHAPE = (16, 16)
TINY = PairConfig(
    seed=7,
    stream="train",
    prior=LayeredPriorConfig(velocity=(1800.0, 3000.0)),
    survey=SurveyConfig(
        shape=SHAPE,
        spacing=(12.5, 12.5),
        num_sources=2,
        num_receivers=8,
        record_length=0.2,
        nbl=10,
        smoothing=50.0,
    ),
)
COUNT, SIZE = 7, 2


class Constant:
    """A prior of one earth model."""

    def __init__(self, vp: np.ndarray) -> None:
        self.vp = vp
        self.vmin, self.vmax = float(vp.min()), float(vp.max())

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return self.vp


def step_model() -> np.ndarray:
    vp = np.full(SHAPE, 2000.0, np.float32)
    vp[:, 8:] = 2400.0
    return vp


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != ".lock"}


@pytest.fixture(scope="module")
def simulator() -> PairSimulator:
    return PairSimulator(TINY)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "train"
    return simulate(TINY, folder, count=COUNT, shard_size=SIZE, progress=False)


class TestPair:
    def test_has_the_shapes_and_types_of_the_schema(self, simulator: PairSimulator) -> None:
        pair = simulator(3)
        assert (pair.index, pair.x.shape, pair.y.shape) == (3, (1, *SHAPE), (2, *SHAPE))
        assert pair.x.dtype == pair.y.dtype == np.float32
        assert np.isfinite(pair.x).all()
        assert np.isfinite(pair.y).all()
        assert np.abs(pair.y[0]).max() > 0.0

    def test_is_a_pure_function_of_configuration_and_index(self, simulator: PairSimulator) -> None:
        for index in (5, 0, 5):
            once, again = simulator(index), simulate_pair(TINY, index)
            np.testing.assert_array_equal(once.x, again.x)
            np.testing.assert_array_equal(once.y, again.y)
            assert once.snr_db == again.snr_db

    @pytest.mark.parametrize("other", [replace(TINY, seed=8), replace(TINY, stream="test")])
    def test_seeds_and_streams_are_independent(self, simulator: PairSimulator, other: PairConfig) -> None:
        assert not np.array_equal(simulator(0).x, simulate_pair(other, 0).x)

    def test_generator_is_the_one_that_the_schema_names(self) -> None:
        named = np.random.default_rng(np.random.SeedSequence([7, zlib.crc32(b"train"), 4]))
        assert pair_generator(TINY, 4).integers(2**62) == named.integers(2**62)

    def test_of_another_noise_level_has_the_same_earth_and_survey(self, simulator: PairSimulator) -> None:
        quiet = PairSimulator(replace(TINY, survey=replace(TINY.survey, snr_db=200.0)))
        np.testing.assert_array_equal(simulator(1).x, quiet(1).x)
        np.testing.assert_array_equal(simulator(1).y[1], quiet(1).y[1])
        assert not np.array_equal(simulator(1).y[0], quiet(1).y[0])

    def test_realises_the_stated_noise_level(self, simulator: PairSimulator) -> None:
        # Each shot has it exactly, so all shots together do; float32 records round it.
        np.testing.assert_allclose(simulator(0).snr_db, 12.0, atol=1e-4)

    def test_is_what_the_formula_says(self) -> None:
        config = replace(TINY, survey=replace(TINY.survey, snr_db=200.0, source_jitter=0.0))
        survey = config.survey
        simulator = PairSimulator(config, prior=Constant(step_model()))
        pair = simulator(0)
        m = step_model().astype(np.float64) ** -2
        m0 = scipy.ndimage.gaussian_filter(m, 4.0, mode="nearest")
        np.testing.assert_allclose(pair.y[1], m0, rtol=1e-6)
        # Nothing above half of taper_depth, all of it from taper_depth on: rows 0 to 2, and 4 on.
        assert np.all(pair.x[0, :, :3] == 0.0)
        np.testing.assert_allclose(pair.x[0, :, 4:], (m - m0)[:, 4:], rtol=1e-5, atol=1e-14)
        J = BornOperator(
            EarthModel(m0**-0.5, survey.spacing, nbl=survey.nbl),
            simulator._acquisition(np.random.default_rng(0)),
            wavelet=simulator._wavelet,
            subsample=survey.subsample,
        )
        image = J.adjoint(J.forward(pair.x[0]))
        weight = simulator.weights.depth * np.where(np.arange(SHAPE[1]) < 4, 0.0, 1.0)
        scale = np.abs(pair.y[0]).max()
        # Noise 200 dB down; what is left is float32 and the order of operations.
        np.testing.assert_allclose(pair.y[0][:, 4:], (image * weight)[:, 4:], atol=1e-4 * scale)

    def test_weights_say_where_scores_count(self, simulator: PairSimulator) -> None:
        weights = simulator.weights
        np.testing.assert_allclose(weights.depth, np.arange(SHAPE[1]) / (SHAPE[1] - 1), rtol=1e-6)
        assert weights.scored.shape == SHAPE
        np.testing.assert_array_equal(weights.scored[0], [0] * 4 + [1] * 12)

    def test_background_error_has_its_size_and_enters_the_perturbation(self) -> None:
        wrong = replace(TINY, survey=replace(TINY.survey, background_error=0.05))
        prior = Constant(np.full(SHAPE, 2000.0, np.float32))
        pairs = [PairSimulator(wrong, prior=prior)(index) for index in range(30)]
        errors = np.stack([np.log(pair.y[1] * 2000.0**2) for pair in pairs])
        # About one independent value a draw of this small model: a standard error of 1 / sqrt(60) = 13 %.
        np.testing.assert_allclose(errors.std(), 0.05, rtol=0.4)
        for pair in pairs:
            expected = 2000.0**-2 - pair.y[1].astype(np.float64)
            np.testing.assert_allclose(pair.x[0, :, 4:], expected[:, 4:], atol=1e-6 * 2000.0**-2)

    def test_patches_work_too(self, tmp_path: Path) -> None:
        np.save(tmp_path / "vp.npy", np.linspace(1800.0, 3000.0, 60) + np.zeros((60, 1)))
        prior = PatchPriorConfig(model=str(tmp_path / "vp.npy"), model_spacing=10.0)
        pair = simulate_pair(replace(TINY, prior=prior), 0)
        assert np.isfinite(pair.y).all()

    def test_a_configuration_that_cannot_be_simulated_is_refused(self) -> None:
        deep = replace(TINY, survey=replace(TINY.survey, source_depth=1000.0))
        with pytest.raises(ValueError, match="expected sources inside the model"):
            simulate_pair(deep, 0)


class TestFailedDraws:
    def test_are_left_out_and_named(self) -> None:
        class Sometimes(Constant):
            def draw(self, rng: np.random.Generator) -> np.ndarray:
                # A model without contrast scatters nothing, so it cannot carry noise at a stated ratio.
                return np.full(SHAPE, 2000.0) if rng.random() < 0.5 else super().draw(rng)

        simulator = PairSimulator(TINY, prior=Sometimes(step_model()))
        data, failed = simulator.shard(range(8))
        bad = [failure.index for failure in failed]
        assert 0 < len(bad) < 8
        assert all("expected an earth model that scatters waves" in failure.error for failure in failed)
        with h5py.File(io.BytesIO(data)) as file:
            assert sorted([*file["index"][()].tolist(), *bad]) == list(range(8))

    def test_of_a_whole_shard_stop_the_run(self) -> None:
        simulator = PairSimulator(TINY, prior=Constant(np.full(SHAPE, 2000.0)))
        with pytest.raises(
            PhysicsError, match="all draws from 4 to 5 failed, the first with: expected an earth"
        ):
            simulator.shard(range(4, 6))

    def test_are_reported_at_the_end(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        # So slow at times that the grid is too coarse, which the physics refuses.
        slow = replace(TINY, prior=LayeredPriorConfig(velocity=(200.0, 3000.0), thickness=(20.0, 60.0)))
        with caplog.at_level(logging.WARNING):
            folder = simulate(slow, tmp_path / "slow", count=12, shard_size=12, progress=False)
        (entry,) = read_manifest(folder / "manifest.jsonl")
        assert 0 < len(entry.failed) < 12
        assert f"{len(entry.failed)} of 12 draws were left out, the first: " in caplog.text
        assert verify(folder) == 12 - len(entry.failed)


class TestDataset:
    def test_holds_the_pairs(self, undisturbed: Path, simulator: PairSimulator) -> None:
        assert verify(undisturbed) == COUNT
        index = 0
        for path in sorted(undisturbed.glob("*.h5")):
            with h5py.File(path) as file:
                for row, i in enumerate(file["index"][()]):
                    assert i == index
                    np.testing.assert_array_equal(file["x"][row], simulator(index).x)
                    np.testing.assert_array_equal(file["y"][row], simulator(index).y)
                    index += 1
        assert index == COUNT

    def test_needs_no_simulation_when_complete(self, undisturbed: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("*.h5")}
        simulate(TINY, undisturbed, count=COUNT, shard_size=SIZE, progress=False)
        assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("*.h5")} == before

    def test_is_the_same_bytes_from_two_processes(self, undisturbed: Path, tmp_path: Path) -> None:
        folder = simulate(TINY, tmp_path / "two", count=COUNT, shard_size=SIZE, workers=2, progress=False)
        assert contents(folder) == contents(undisturbed)

    def test_of_another_run_is_refused(self, undisturbed: Path) -> None:
        with pytest.raises(ValueError, match=r"holds another run.* seed: 7 there, 8 asked"):
            simulate(replace(TINY, seed=8), undisturbed, count=COUNT, shard_size=SIZE)

    def test_needs_a_worker(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
            simulate(TINY, tmp_path / "none", count=COUNT, workers=0)
        assert not (tmp_path / "none").exists()

    @pytest.mark.parametrize("workers", [1, 2])
    def test_an_error_comes_through_and_the_corrected_run_may_use_the_folder(
        self, tmp_path: Path, workers: int
    ) -> None:
        deep = replace(TINY, survey=replace(TINY.survey, source_depth=1000.0))
        with pytest.raises(ValueError, match="expected sources inside the model"):
            simulate(deep, tmp_path / "run", count=4, shard_size=1, workers=workers, progress=False)
        assert verify(simulate(TINY, tmp_path / "run", count=4, progress=False)) == 4

    def test_of_a_model_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        prior = PatchPriorConfig(model=str(tmp_path / "none.npy"), model_spacing=10.0)
        with pytest.raises(FileNotFoundError, match=r"none\.npy"):
            simulate(replace(TINY, prior=prior), tmp_path / "run", count=4, workers=2)


class TestProgress:
    def test_writes_sparse_lines_to_a_log(self) -> None:
        log = io.StringIO()
        with Progress(total=100, done=20, label="train", stream=log) as progress:
            for _ in range(80):
                progress.advance(1)
        lines = log.getvalue().splitlines()
        assert lines[0] == "train: 20 of 100 pairs are there already"
        assert lines[-1].startswith("train: 100 of 100 pairs (100%), ")
        assert "pairs/s, 0 s left" in lines[-1]
        assert len(lines) == 2

    def test_draws_a_bar_on_a_terminal(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        terminal = Terminal()
        with Progress(total=10, done=0, label="train", stream=terminal) as progress:
            progress.advance(10)
        assert "train: 100%" in terminal.getvalue()
        assert "10/10" in terminal.getvalue()

    def test_can_be_silent(self) -> None:
        log = io.StringIO()
        with Progress(total=1, done=0, label="train", enabled=False, stream=log) as progress:
            progress.advance(1)
        assert log.getvalue() == ""


class TestCompilerLocks:
    def test_of_dead_processes_are_removed_and_of_living_ones_kept(self, tmp_path: Path) -> None:
        for name in ("stale", "held"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "lock").touch()
        with (tmp_path / "held" / "lock").open():
            assert clear_stale_locks(tmp_path) == 1
            assert (tmp_path / "held" / "lock").exists()
        assert not (tmp_path / "stale" / "lock").exists()
        assert clear_stale_locks(tmp_path) == 1

    def test_of_no_cache_are_none(self, tmp_path: Path) -> None:
        assert clear_stale_locks(tmp_path / "none") == 0


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

    def __init__(self, folder: Path, *, workers: int, count: int = LONG) -> None:
        from pydantic import TypeAdapter

        script = folder.parent / "run.py"
        script.write_text(RUN)
        config = TypeAdapter(PairConfig).dump_json(TINY).decode()
        arguments = [str(folder), config, str(count), str(LONG_SIZE), str(workers)]
        cache = folder.parent / "tmp"
        cache.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
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


def finished_shards(folder: Path) -> int:
    manifest = folder / "manifest.jsonl"
    return len(read_manifest(manifest)) if manifest.is_file() else 0


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
def long_reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "train"
    return simulate(TINY, folder, count=LONG, shard_size=LONG_SIZE, progress=False)


def kill_a_run(folder: Path, rng: random.Random, *, workers: int, whole_group: bool, early: bool) -> int:
    """Start a run, kill it at a random moment, and see what it left; 1 if the kill met a living run."""
    run = Run(folder, workers=workers)
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


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "whole_group"), [(1, True), (2, True), (2, False)])
def test_kills_at_random_moments_lose_nothing(
    long_reference: Path, tmp_path: Path, workers: int, whole_group: bool
) -> None:
    folder = tmp_path / "train"
    rng = random.Random(workers)
    kills = 0
    while finished_shards(folder) < LONG // LONG_SIZE and kills < 12:
        kills += kill_a_run(folder, rng, workers=workers, whole_group=whole_group, early=kills < 4)
    assert kills >= 10
    code, log = Run(folder, workers=workers).finish()
    assert code == 0, log
    assert verify(folder) == LONG
    assert contents(folder) == contents(long_reference)


@pytest.mark.slow
def test_a_kill_while_operators_are_compiled_does_not_block_the_next_run(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    assert Run(folder, workers=1, count=2).finish()[0] == 0
    # What such a kill leaves: a half-written library, no entry in the cache, and the lock.
    for library in (tmp_path / "tmp").glob("devito-jitcache-*/*.so"):
        library.write_bytes(library.read_bytes()[:100])
    entries = list((tmp_path / "tmp").glob("devito-codepy-*/*/*/info"))
    assert entries
    for entry in entries:
        entry.unlink()
        (entry.parent.parent / "lock").touch()
    code, log = Run(folder, workers=1, count=4).finish(timeout=60.0)
    assert code == 0, log
    assert verify(folder) == 4


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_asking_it_to_stop_is_clean(
    long_reference: Path, tmp_path: Path, workers: int, number: int, code: int
) -> None:
    folder = tmp_path / "train"
    run = Run(folder, workers=workers)
    wait_until(lambda: finished_shards(folder) >= 2)
    os.killpg(run.process.pid, number) if number == signal.SIGINT else run.process.send_signal(number)
    assert run.finish(timeout=60.0)[0] == code
    wait_until(lambda: group_is_gone(run.process.pid), seconds=30.0)
    assert not list(folder.glob("*.part"))
    assert verify(folder) == LONG_SIZE * finished_shards(folder)
    assert finished_shards(folder) < LONG // LONG_SIZE
    assert Run(folder, workers=workers).finish()[0] == 0
    assert contents(folder) == contents(long_reference)


@pytest.mark.slow
def test_a_dead_worker_is_said_and_loses_nothing(long_reference: Path, tmp_path: Path) -> None:
    folder = tmp_path / "train"
    run = Run(folder, workers=2)
    wait_until(lambda: finished_shards(folder) >= 2)
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
    workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(workers[0]), signal.SIGKILL)
    code, log = run.finish(timeout=60.0)
    assert code == 1
    assert "a worker process died" in log
    assert Run(folder, workers=2).finish()[0] == 0
    assert contents(folder) == contents(long_reference)


@pytest.mark.slow
def test_a_log_shows_the_rate_and_the_remaining_time(tmp_path: Path) -> None:
    code, log = Run(tmp_path / "train", workers=2, count=8).finish()
    assert code == 0
    assert "train: 8 of 8 pairs (100%), " in log
    assert "pairs/s, 0 s left" in log


def test_the_schema_names_every_configuration_value(undisturbed: Path) -> None:
    config = json.loads((undisturbed / "dataset.json").read_text())["config"]
    assert config["survey"]["shape"] == [16, 16]
    assert config["prior"]["kind"] == "layered"
