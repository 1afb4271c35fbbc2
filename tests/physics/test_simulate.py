"""Datasets of training pairs: complete, the same whoever makes them, and not to be mixed up."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from physics.config import AugmentConfig, DaskConfig, PairConfig, PatchPriorConfig, ProcessesConfig
from physics.dataset import verify
from physics.executors.here import Here
from physics.manifest import read_manifest
from physics.pairs import PairSimulator
from physics.simulate import simulate

Contents = Callable[[Path], dict[str, bytes]]

COUNT, SIZE = 7, 2


class TestDataset:
    def test_holds_the_pairs(self, tiny: PairConfig, undisturbed: Path) -> None:
        simulator = PairSimulator(tiny)
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

    def test_needs_no_simulation_when_complete(self, tiny: PairConfig, undisturbed: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("*.h5")}
        simulate(tiny, undisturbed, count=COUNT, shard_size=SIZE, progress=False)
        assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("*.h5")} == before

    def test_of_another_run_is_refused(self, tiny: PairConfig, undisturbed: Path) -> None:
        with pytest.raises(ValueError, match=r"holds another run.* seed: 7 there, 8 asked"):
            simulate(replace(tiny, seed=8), undisturbed, count=COUNT, shard_size=SIZE)

    @pytest.mark.parametrize("executor", [None, ProcessesConfig(), DaskConfig()])
    def test_needs_a_number_of_workers(self, tiny: PairConfig, tmp_path: Path, executor: Any) -> None:
        with pytest.raises(ValueError, match="workers: expected at least 1, or 0 for what there is, got -1"):
            simulate(tiny, tmp_path / "none", count=COUNT, workers=-1, executor=executor)
        assert not (tmp_path / "none").exists()

    def test_needs_an_executor(self, tiny: PairConfig, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="a configuration of processes, Dask, SLURM or ssh, got 'slurm'"):
            simulate(tiny, tmp_path / "none", count=COUNT, executor="slurm")
        assert not (tmp_path / "none").exists()

    def test_takes_any_executor(
        self, tiny: PairConfig, undisturbed: Path, tmp_path: Path, contents: Contents
    ) -> None:
        folder = simulate(
            tiny, tmp_path / "run", count=COUNT, shard_size=SIZE, executor=Here(), progress=False
        )
        assert contents(folder) == contents(undisturbed)

    @pytest.mark.parametrize("workers", [1, 2])
    def test_an_error_comes_through_and_the_corrected_run_may_use_the_folder(
        self, tiny: PairConfig, tmp_path: Path, workers: int
    ) -> None:
        deep = replace(tiny, acquisition=replace(tiny.acquisition, source_depth=1000.0))
        with pytest.raises(ValueError, match="expected sources inside the model"):
            simulate(deep, tmp_path / "run", count=4, shard_size=1, workers=workers, progress=False)
        assert verify(simulate(tiny, tmp_path / "run", count=4, progress=False)) == 4

    def test_of_a_model_that_is_not_there_is_refused(self, tiny: PairConfig, tmp_path: Path) -> None:
        prior = PatchPriorConfig(model=str(tmp_path / "none.npy"), model_spacing=10.0)
        with pytest.raises(FileNotFoundError, match=r"none\.npy"):
            simulate(replace(tiny, prior=prior), tmp_path / "run", count=4, workers=2)

    def test_says_how_many_draws_are_left_out(
        self, tiny: PairConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        # Half of the model that patches are cut from has no contrast, and scatters nothing.
        vp = np.full((120, 16), 2000.0)
        vp[60:] = np.linspace(2000.0, 2800.0, 16)
        np.save(tmp_path / "vp.npy", vp)
        prior = PatchPriorConfig(
            model=str(tmp_path / "vp.npy"), model_spacing=12.5, augment=AugmentConfig(probability=0.0)
        )
        with caplog.at_level(logging.WARNING):
            half = replace(tiny, prior=prior)
            folder = simulate(half, tmp_path / "half", count=12, shard_size=12, progress=False)
        (entry,) = read_manifest(folder / "manifest.jsonl")
        assert 0 < len(entry.failed) < 12
        assert f"{len(entry.failed)} of 12 draws were left out, the first: " in caplog.text
        assert verify(folder) == 12 - len(entry.failed)


def test_the_schema_names_every_configuration_value(undisturbed: Path) -> None:
    config = json.loads((undisturbed / "dataset.json").read_text())["config"]
    assert config["survey"]["shape"] == [16, 16]
    assert config["prior"]["kind"] == "layered"
