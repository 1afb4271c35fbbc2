"""Dataset folders: what a reader may rely on, whatever happened to the writer."""

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from random_dataset import CONFIG, COUNT, HASH, SHAPE, SIZE, WEIGHTS, contents, fill, make_pair, make_shard

from physics.config import LayeredPriorConfig, PairConfig, PatchPriorConfig, SurveyConfig
from physics.dataset import DatasetWriter, verify
from physics.manifest import Entry, read_header, read_manifest
from physics.shards import SCHEMA, Failure, check_shard, config_json, encode_shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "data")
    return tmp_path / "data"


class TestShard:
    def test_has_the_schema_of_the_readme(self, folder: Path) -> None:
        with h5py.File(folder / "shard-000001.h5") as file:
            shapes = {name: (dataset.shape, dataset.dtype.str) for name, dataset in file.items()}
            assert shapes == {
                "x": ((4, 1, *SHAPE), "<f4"),
                "y": ((4, 2, *SHAPE), "<f4"),
                "index": ((4,), "<i8"),
                "snr_db": ((4,), "<f4"),
                "depth_weight": ((SHAPE[1],), "<f4"),
                "scored": (SHAPE, "|u1"),
            }
            for dataset in file.values():
                assert dataset.fletcher32
                assert dataset.compression is None
                assert dataset.external is None
            for name, channels in (("x", 1), ("y", 2)):
                assert file[name].attrs["axes"] == "sample,channel,x,z"
                assert len(json.loads(file[name].attrs["channels"])) == channels
                assert len(json.loads(file[name].attrs["units"])) == channels
            attributes = dict(file.attrs)
            np.testing.assert_array_equal(file["index"], [4, 5, 6, 7])
            np.testing.assert_array_equal(file["x"][2], make_pair(6).x)
            np.testing.assert_array_equal(file["y"][2], make_pair(6).y)
        assert attributes["schema"] == SCHEMA
        assert json.loads(attributes["config"])["survey"]["f0"] == 15.0
        assert (attributes["seed"], attributes["first"], attributes["count"]) == (3, 4, 4)
        np.testing.assert_array_equal(attributes["spacing"], [10.0, 5.0])
        np.testing.assert_array_equal(attributes["origin"], [0.0, 0.0])
        assert set(json.loads(attributes["versions"])) == {
            "python", "seispost", "numpy", "scipy", "h5py", "devito"
        }  # fmt: skip

    def test_is_the_same_bytes_each_time(self) -> None:
        assert make_shard(range(4)) == make_shard(range(4))
        assert make_shard(range(4)) != make_shard(range(1, 5))

    def test_is_the_same_bytes_while_a_profiler_holds_its_frames(self) -> None:
        # HDF5 places chunks when a dataset's object is closed, which another thread can put off.
        expected, stop, held = make_shard(range(4)), threading.Event(), []

        def sample() -> None:
            while not stop.is_set():
                held[:] = [frame.f_locals for frame in sys._current_frames().values()]

        profiler = threading.Thread(target=sample)
        profiler.start()
        try:
            assert {make_shard(range(4)) for _ in range(200)} == {expected}
        finally:
            stop.set()
            profiler.join()

    def test_records_failed_draws(self) -> None:
        failed = [Failure(1, "NaN")]
        data = encode_shard([make_pair(0)], failed, config=CONFIG, first=0, weights=WEIGHTS)
        found = check_shard(data, config_hash=HASH, name="it")
        assert found == {"first": 0, "count": 1, "failed": [{"index": 1, "error": "NaN"}]}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"x": np.zeros((1, 8, 9))}, r"pair 7: expected x of shape \(1, 9, 8\), got \(1, 8, 9\)"),
            ({"y": np.zeros((1, *SHAPE))}, r"pair 7: expected y of shape \(2, 9, 8\), got \(1, 9, 8\)"),
            ({"y": np.full((2, *SHAPE), np.nan)}, "pair 7: expected finite values in y"),
        ],
    )
    def test_refuses_a_bad_pair(self, change: dict[str, Any], message: str) -> None:
        pair = replace(make_pair(7), **change)
        with pytest.raises(ValueError, match=message):
            encode_shard([pair], [], config=CONFIG, first=0, weights=WEIGHTS)

    def test_refuses_to_be_empty(self) -> None:
        with pytest.raises(ValueError, match="expected at least one pair in a shard, got none"):
            encode_shard([], [Failure(0, "NaN")], config=CONFIG, first=0, weights=WEIGHTS)


class TestConfigJson:
    def test_is_canonical(self) -> None:
        text = config_json(CONFIG)
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))

    def test_does_not_depend_on_how_a_number_was_written(self) -> None:
        whole = PairConfig(
            seed=3,
            stream="train",
            prior=LayeredPriorConfig(relief=60, velocity=(1500, 4500)),
            survey=SurveyConfig(shape=SHAPE, spacing=(10, 5), f0=15),
        )
        assert config_json(whole) == config_json(CONFIG)

    @pytest.mark.parametrize(
        "other",
        [
            replace(CONFIG, seed=4),
            replace(CONFIG, stream="test"),
            replace(CONFIG, survey=replace(CONFIG.survey, f0=14.0)),
            replace(CONFIG, prior=PatchPriorConfig()),
        ],
    )
    def test_tells_configurations_apart(self, other: PairConfig) -> None:
        assert config_json(other) != config_json(CONFIG)


class TestFolder:
    def test_is_complete_and_verifies(self, folder: Path) -> None:
        assert sorted(contents(folder)) == [
            "dataset.json", "manifest.jsonl", "shard-000000.h5", "shard-000001.h5", "shard-000002.h5"
        ]  # fmt: skip
        assert verify(folder) == COUNT
        header = read_header(folder / "dataset.json")
        assert (header["schema"], header["count"], header["shard_size"]) == (SCHEMA, COUNT, SIZE)
        assert [(e.first, e.count) for e in read_manifest(folder / "manifest.jsonl")] == [
            (0, 4),
            (4, 4),
            (8, 2),
        ]

    def test_complete_needs_nothing_and_changes_nothing(self, folder: Path) -> None:
        before = contents(folder)
        assert fill(folder) == []
        assert contents(folder) == before

    def test_resumes_to_the_same_bytes(self, folder: Path, tmp_path: Path) -> None:
        for _ in range(3):
            fill(tmp_path / "slow", shards=1)
        assert contents(tmp_path / "slow") == contents(folder)

    def test_shards_may_come_in_any_order(self, folder: Path, tmp_path: Path) -> None:
        with DatasetWriter(tmp_path / "other", CONFIG, count=COUNT, shard_size=SIZE) as writer:
            for draws in reversed(writer.missing()):
                writer.write(draws, make_shard(draws))
        assert contents(tmp_path / "other") == contents(folder)

    def test_grows_and_makes_the_last_short_shard_again(self, folder: Path, tmp_path: Path) -> None:
        assert fill(folder, count=15) == [range(8, 12), range(12, 15)]
        assert verify(folder) == 15
        fill(tmp_path / "at-once", count=15)
        assert contents(folder) == contents(tmp_path / "at-once")

    def test_counts_failed_draws_as_made(self, tmp_path: Path) -> None:
        with DatasetWriter(tmp_path / "data", CONFIG, count=2, shard_size=2) as writer:
            failed = [Failure(0, "NaN")]
            data = encode_shard([make_pair(1)], failed, config=CONFIG, first=0, weights=WEIGHTS)
            entry = writer.write(range(2), data, failed=failed)
        assert entry.count == 1
        with DatasetWriter(tmp_path / "data", CONFIG, count=2, shard_size=2) as writer:
            assert writer.missing() == []
            assert writer.entries == [entry]
        assert verify(tmp_path / "data") == 1


def test_an_entry_survives_its_line() -> None:
    entry = Entry("shard-000000.h5", "0" * 64, 12, 0, 3, (Failure(2, 'NaN in "d"'),), "1" * 64)
    assert Entry.from_line(entry.line()) == entry
