"""A configuration of very small pairs, and a dataset of them made without disturbance."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from physics.config import ImagingConfig, LayeredPriorConfig, PairConfig, SpreadConfig, SurveyConfig
from physics.simulate import simulate

COUNT, SIZE = 7, 2


@pytest.fixture(scope="session")
def tiny() -> PairConfig:
    """Milliseconds a pair."""
    return PairConfig(
        seed=7,
        stream="train",
        prior=LayeredPriorConfig(velocity=(1800.0, 3000.0)),
        survey=SurveyConfig(
            shape=(16, 16),
            spacing=(12.5, 12.5),
            record_length=0.2,
            nbl=6,
        ),
        acquisition=SpreadConfig(num_sources=2, num_receivers=8, jitter=20.0),
        imaging=ImagingConfig(smoothing=50.0),
    )


@pytest.fixture(scope="session")
def undisturbed(tiny: PairConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of seven pairs in shards of two, made by this process in one go."""
    folder = tmp_path_factory.mktemp("undisturbed") / "train"
    return simulate(tiny, folder, count=COUNT, shard_size=SIZE, progress=False)


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every byte of a dataset's folder, but for its lock."""
    return lambda folder: {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != ".lock"}


@pytest.fixture
def import_path(monkeypatch: pytest.MonkeyPatch) -> str:
    """What this process can import, for the Python processes that it or a daemon starts."""
    path = os.pathsep.join([os.getcwd(), *filter(None, sys.path)])
    monkeypatch.setenv("PYTHONPATH", path)
    return path
