"""A dataset of random pairs, filled without simulating anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from physics.config import LayeredPriorConfig, PairConfig, SurveyConfig
from physics.dataset import DatasetWriter
from physics.shards import ImageWeights, Pair, encode_shard

SHAPE = (9, 8)
CONFIG = PairConfig(
    seed=3, stream="train", prior=LayeredPriorConfig(), survey=SurveyConfig(shape=SHAPE, spacing=(10.0, 5.0))
)
CHANNELS = {"migrated_image": "arbitrary", "background_squared_slowness": "s^2/m^2"}
WEIGHTS = ImageWeights(np.linspace(0.0, 1.0, SHAPE[1]).astype(np.float32), np.ones(SHAPE, np.uint8), CHANNELS)
HASH = DatasetWriter("unused", CONFIG, count=1).config_hash
COUNT, SIZE = 10, 4


def make_pair(index: int) -> Pair:
    rng = np.random.default_rng(index)
    x, y = rng.standard_normal((1, *SHAPE)), rng.standard_normal((2, *SHAPE))
    return Pair(index, x.astype(np.float32), y.astype(np.float32), 12.0 + index)


def make_shard(draws: range, config: PairConfig = CONFIG) -> bytes:
    return encode_shard([make_pair(i) for i in draws], [], config=config, first=draws.start, weights=WEIGHTS)


def fill(
    folder: Path, config: PairConfig = CONFIG, *, count: int = COUNT, shards: int | None = None
) -> list[range]:
    """Add the missing shards, or some of them; returns what was made."""
    with DatasetWriter(folder, config, count=count, shard_size=SIZE) as writer:
        made = writer.missing()[:shards]
        for draws in made:
            writer.write(draws, make_shard(draws, config))
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != ".lock"}
