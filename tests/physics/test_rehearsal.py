"""What a dataset will take, told before it is made."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from physics.config import PairConfig
from physics.rehearsal import Measured, Rehearsal, rehearse

COUNT, SIZE = 7, 2
MEASURED = Measured(start_seconds=3.0, pair_seconds=2.0, memory=400_000_000, shard_bytes=1_000_000)


def rehearsal(**changes: int) -> Rehearsal:
    return replace(
        Rehearsal(
            count=100, done=0, shard_size=16, workers=1, shape=(64, 48), padded_shape=(144, 128), steps=1001,
            dt=0.001, measured=MEASURED,
        ),
        **changes,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 3.0 + 7 * 16 * 2.0),
        ({"workers": 2}, 3.0 + 4 * 16 * 2.0),
        ({"workers": 100}, 3.0 + 16 * 2.0),
        ({"count": 5}, 3.0 + 5 * 2.0),
        ({"done": 96}, 3.0 + 4 * 2.0),
        ({"done": 100}, 0.0),
    ],
)
def test_each_worker_makes_whole_shards(changes: dict[str, int], seconds: float) -> None:
    assert rehearsal(**changes).seconds == seconds


def test_the_report_says_all_of_it() -> None:
    assert rehearsal(done=32).report().splitlines() == [
        "pairs   100 in 7 shards of 16, 32 pairs are there already",
        "grid    64 x 48 cells, 144 x 128 with the absorbing layer",
        "steps   1001 a shot, of 1 ms",
        "memory  400 MB a worker (measured)",
        "disk    4.25 MB",
        "time    2 min 43 s with 1 workers (measured here: 2 s a pair, a worker starts in 3 s)",
    ]


def test_it_is_right_about_a_dataset(
    tiny: PairConfig, undisturbed: Path, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    before = contents(undisturbed)
    told = rehearse(tiny, undisturbed, count=COUNT, shard_size=SIZE, workers=2)
    assert (told.done, told.seconds, told.bytes) == (COUNT, 0.0, 0)
    assert told.padded_shape == (28, 28)
    # 0.2 s at 4 ms is 50 intervals; 12.5 m at 3000 m/s needs two steps for each.
    assert (told.steps, told.dt) == (101, 0.002)
    # All but the pairs' numbers, such as the failed draws, is the same in each full shard.
    full = len(before["shard-000000.h5"])
    assert told.measured.shard_bytes == pytest.approx(full, rel=0.01)
    # Above what an interpreter with numpy has, below what this machine has.
    assert 5e7 < told.measured.memory < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert contents(undisturbed) == before


def test_nothing_is_written(tiny: PairConfig, tmp_path: Path) -> None:
    told = rehearse(tiny, tmp_path / "none", count=10)
    assert told.done == 0
    assert told.bytes == told.measured.shard_bytes  # of the ten pairs, which are one shard
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["count", "shard_size", "workers"])
def test_bad_numbers_are_refused(tiny: PairConfig, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, got 0"):
        rehearse(tiny, tmp_path, **{"count": 4, name: 0})


def test_a_configuration_that_cannot_be_simulated_is_refused(tiny: PairConfig, tmp_path: Path) -> None:
    deep = replace(tiny, acquisition=replace(tiny.acquisition, source_depth=1000.0))
    with pytest.raises(ValueError, match="expected sources inside the model"):
        rehearse(deep, tmp_path, count=4)
