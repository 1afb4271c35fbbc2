"""Dataset folders that were damaged, belong to another run, have two writers, or lie on a full disk."""

import errno
import io
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import h5py
import pytest
from random_dataset import CONFIG, COUNT, HASH, SIZE, contents, fill, make_pair, make_shard

from physics.config import PairConfig, PatchPriorConfig
from physics.dataset import DatasetWriter, rebuild_manifest, verify
from physics.durable import append_durably
from physics.shards import check_shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "data")
    return tmp_path / "data"


DAMAGE = {
    "torn manifest line": (lambda f: _edit(f / "manifest.jsonl", lambda b: b[:-20]), [range(8, 10)]),
    "no newline at the end": (lambda f: _edit(f / "manifest.jsonl", lambda b: b[:-1]), []),
    "bytes appended to the manifest": (lambda f: _edit(f / "manifest.jsonl", lambda b: b + b"\xff{\n"), []),
    "a line that is no entry": (lambda f: _edit(f / "manifest.jsonl", lambda b: b"[1]\n" + b), []),
    "a line of another run": (
        lambda f: _edit(f / "manifest.jsonl", lambda b: b[:-10] + b'0000000"}\n'),
        [range(8, 10)],
    ),
    "no manifest": (lambda f: (f / "manifest.jsonl").unlink(), [range(4), range(4, 8), range(8, 10)]),
    "a shard is gone": (lambda f: (f / "shard-000001.h5").unlink(), [range(4, 8)]),
    "a truncated shard": (lambda f: _edit(f / "shard-000000.h5", lambda b: b[:-1]), [range(4)]),
    "a part of a shard": (lambda f: (f / "shard-000003.h5.77.part").write_bytes(b"half"), []),
}


def _edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_repaired_by_making_just_what_it_hit(folder: Path, name: str) -> None:
    before = contents(folder)
    damage, again = DAMAGE[name]
    damage(folder)
    assert fill(folder) == again
    assert contents(folder) == before


def flip_bit(data: bytes, position: float) -> bytes:
    changed = bytearray(data)
    changed[int(position * (len(data) - 1))] ^= 1
    return bytes(changed)


def test_a_flipped_bit_is_repaired_when_sums_are_checked(folder: Path) -> None:
    before = contents(folder)
    _edit(folder / "shard-000001.h5", lambda b: flip_bit(b, 0.5))
    assert fill(folder) == []
    with DatasetWriter(folder, CONFIG, count=COUNT, shard_size=SIZE, verify=True) as writer:
        assert writer.missing() == [range(4, 8)]
        writer.write(range(4, 8), make_shard(range(4, 8)))
    fill(folder)
    assert contents(folder) == before


class TestVerify:
    @pytest.mark.parametrize("position", [0.0, 0.3, 0.5, 0.8, 1.0])
    def test_finds_a_flipped_bit(self, folder: Path, position: float) -> None:
        _edit(folder / "shard-000001.h5", lambda b: flip_bit(b, position))
        with pytest.raises(
            ValueError, match=r"1 of 3 shards are damaged:\nshard-000001.h5: expected sha256 .*, got "
        ):
            verify(folder)

    def test_names_every_damaged_shard(self, folder: Path) -> None:
        (folder / "shard-000000.h5").unlink()
        _edit(folder / "shard-000002.h5", lambda b: b[: len(b) // 2])
        with pytest.raises(
            ValueError, match=r"(?s)2 of 3.*shard-000000.h5: expected a file.*got none.*shard-000002"
        ):
            verify(folder)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda b: b[:100], "expected a whole HDF5 file, got 100 unreadable bytes"),
            (lambda b: b"not HDF5 at all", "expected a whole HDF5 file, got 15 unreadable bytes"),
            (lambda b: _alter(b, schema="pairs/9"), "expected schema 'seispost-pairs/1', got 'pairs/9'"),
            (lambda b: _alter(b, schema=None), "expected schema 'seispost-pairs/1', got None"),
            (lambda b: _alter(b, config_hash="0" * 64), "expected config_hash [0-9a-f]{64}, got 0{64}"),
            (lambda b: _alter(b, count=3), "expected 3 pairs in each dataset"),
            (lambda b: _without(b, "y"), "expected a dataset 'y' of type float32, got none"),
        ],
    )  # fmt: skip
    def test_refuses_another_schema_even_with_the_right_sum(
        self, folder: Path, change: Callable[[bytes], bytes], message: str
    ) -> None:
        data = change((folder / "shard-000000.h5").read_bytes())
        with DatasetWriter(folder, CONFIG, count=COUNT, shard_size=SIZE) as writer:
            writer.write(range(4), data)
        with pytest.raises(ValueError, match=f"shard-000000.h5: {message}"):
            verify(folder)

    def test_needs_a_dataset(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"expected a dataset in .*, got no readable dataset.json"):
            verify(tmp_path)
        (tmp_path / "dataset.json").write_text('{"schema": "other/2"}')
        with pytest.raises(ValueError, match="expected schema 'seispost-pairs/1', got 'other/2'"):
            verify(tmp_path)

    def test_of_damaged_data_inside_hdf5(self) -> None:
        data = make_shard(range(4))
        inner = data.index(make_pair(2).x.tobytes())
        changed = bytearray(data)
        changed[inner] ^= 1
        with pytest.raises(ValueError, match="expected a whole HDF5 file"):
            check_shard(bytes(changed), config_hash=HASH, name="it")


def _alter(data: bytes, **attributes: object) -> bytes:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        for name, value in attributes.items():
            if value is None:
                del file.attrs[name]
            else:
                file.attrs[name] = value
    return buffer.getvalue()


def _without(data: bytes, name: str) -> bytes:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        del file[name]
    return buffer.getvalue()


class TestAnotherRun:
    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (replace(CONFIG, seed=4), "holds another run; take another folder. seed: 3 there, 4 asked$"),
            (replace(CONFIG, survey=replace(CONFIG.survey, f0=14.0)), "survey.f0: 15.0 there, 14.0 asked$"),
            (replace(CONFIG, prior=PatchPriorConfig()), "prior.augment.flip: None there, 0.5 asked"),
        ],
    )  # fmt: skip
    def test_is_refused_with_the_differing_settings(
        self, folder: Path, config: PairConfig, message: str
    ) -> None:
        before = contents(folder)
        with pytest.raises(ValueError, match=message):
            fill(folder, config)
        assert contents(folder) == before

    def test_of_another_shard_size_is_refused(self, folder: Path) -> None:
        with (
            pytest.raises(ValueError, match="shard_size: 4 there, 5 asked"),
            DatasetWriter(folder, CONFIG, count=COUNT, shard_size=5),
        ):
            pass

    def test_may_not_be_smaller(self, folder: Path) -> None:
        with pytest.raises(ValueError, match="expected a count of at least 10, which it was made for, got 9"):
            fill(folder, count=9)

    def test_other_files_are_not_touched(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("years of work")
        with pytest.raises(ValueError, match=r"to be empty or to hold a dataset, got \['thesis.tex'\]"):
            fill(tmp_path)
        assert (tmp_path / "thesis.tex").read_text() == "years of work"

    def test_that_failed_before_its_first_shard_does_not_block_its_folder(self, tmp_path: Path) -> None:
        with (
            pytest.raises(KeyError, match="wrong from the start"),
            DatasetWriter(tmp_path / "data", CONFIG, count=COUNT, shard_size=SIZE),
        ):
            raise KeyError("wrong from the start")
        assert len(fill(tmp_path / "data", replace(CONFIG, seed=4))) == 3

    def test_that_failed_later_keeps_what_it_has(self, tmp_path: Path) -> None:
        writer = DatasetWriter(tmp_path / "data", CONFIG, count=COUNT, shard_size=SIZE)
        with suppress(KeyError), writer:
            writer.write(range(4), make_shard(range(4)))
            raise KeyError("wrong in the middle")
        assert fill(tmp_path / "data") == [range(4, 8), range(8, 10)]

    @pytest.mark.parametrize(("count", "shard_size"), [(0, 4), (4, 0)])
    def test_nothing_is_no_dataset(self, tmp_path: Path, count: int, shard_size: int) -> None:
        with pytest.raises(ValueError, match="expected at least 1, got 0"):
            DatasetWriter(tmp_path, CONFIG, count=count, shard_size=shard_size)


class TestOneWriter:
    def test_a_second_writer_is_refused(self, folder: Path) -> None:
        with (
            DatasetWriter(folder, CONFIG, count=COUNT, shard_size=SIZE),
            pytest.raises(
                BlockingIOError, match=f"the only writer of .*, but process {os.getpid()} on .* is writing"
            ),
        ):
            fill(folder)
        assert fill(folder) == []

    def test_a_killed_writer_leaves_no_lock(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        ready = context.Event()
        process = context.Process(target=_hold, args=(folder, ready))
        process.start()
        assert ready.wait(60)
        with pytest.raises(BlockingIOError, match=f"process {process.pid} on"):
            fill(folder)
        process.kill()
        process.join()
        assert fill(folder) == []

    def test_a_refused_writer_does_not_keep_the_lock(self, folder: Path) -> None:
        with pytest.raises(ValueError, match="holds another run"):
            fill(folder, replace(CONFIG, seed=4))
        assert fill(folder) == []


def _hold(folder: Path, ready: Event) -> None:
    with DatasetWriter(folder, CONFIG, count=COUNT, shard_size=SIZE):
        ready.set()
        signal.pause()


class TestRebuild:
    def test_gives_the_same_manifest(self, folder: Path) -> None:
        before = contents(folder)
        (folder / "manifest.jsonl").unlink()
        assert rebuild_manifest(folder) == 3
        assert contents(folder) == before

    def test_leaves_out_what_is_not_whole(self, folder: Path) -> None:
        _edit(folder / "shard-000001.h5", lambda b: b[:-100])
        assert rebuild_manifest(folder) == 2
        assert verify(folder) == 6
        assert fill(folder) == [range(4, 8)]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk that takes no more than ``size`` bytes a file: writes beyond fail as on a full one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestFullDisk:
    def test_while_a_shard_is_written(self, tmp_path: Path) -> None:
        fill(tmp_path / "data", shards=1)
        before = contents(tmp_path / "data")
        with DatasetWriter(tmp_path / "data", CONFIG, count=COUNT, shard_size=SIZE) as writer:
            data = make_shard(range(4, 8))
            with largest_file(len(data) // 2), pytest.raises(OSError, match="File too large"):
                writer.write(range(4, 8), data)
        assert contents(tmp_path / "data") == before
        assert fill(tmp_path / "data") == [range(4, 8), range(8, 10)]

    def test_while_the_manifest_grows(self, tmp_path: Path) -> None:
        path = tmp_path / "manifest.jsonl"
        path.write_bytes(b"first\n")
        # The system writes what fits, as on a full disk.
        with largest_file(10), pytest.raises(OSError, match="could not append a whole line"):
            append_durably(path, b"second line\n")
        assert path.read_bytes() == b"first\n"

    def test_of_a_real_disk_is_said_and_repaired(self, small_disk: Path) -> None:
        fill(small_disk / "data", shards=1)
        ballast = small_disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(b"0" * 512):
                pass
        before = contents(small_disk / "data")
        message = r"the disk is full: shard-000001.h5 needs \d+ bytes and .*data has \d+ left.*run again"
        with pytest.raises(OSError, match=message) as caught:
            fill(small_disk / "data")
        assert caught.value.errno == errno.ENOSPC
        assert contents(small_disk / "data") == before
        ballast.unlink()
        assert fill(small_disk / "data") == [range(4, 8), range(8, 10)]
        assert verify(small_disk / "data") == COUNT


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 128 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)
