"""Runs whose posterior is known: exact draws of the pairs' law, or a network that knows nothing."""

from __future__ import annotations

import numpy as np
import torch

from posterior.config import NetworkConfig, SampleConfig
from posterior.dataset import PairDataset
from posterior.flow import ConditionalFlow
from posterior.sample import AmortizedPosterior, ModelInfo
from posterior.sample_files import PairSamples, write_pair, write_samples
from posterior.standardise import Standardiser


def write_exact_draws(folder, data, *, count, scale=1.0, seed=0, fingerprint=None):
    """Write draws of the closed-form posterior of the fixture's pairs, times a wrong width.

    There, in units of 1e-8, image = 3 x + e with x and e standard normal, so x | image ~ N(0.3 image, 0.1).
    """
    pairs, rng = PairDataset(data), np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for position, index in enumerate(pairs.index):
        image = pairs[position][1][:1].numpy()
        noise = scale * np.sqrt(0.1) * rng.standard_normal((count, *image.shape))
        pair = PairSamples(
            samples=(1e-8 * (0.3 * image + noise)).astype(np.float32),
            index=int(index),
            model_sha256="ab" * 32,
            data_fingerprint=fingerprint or pairs.fingerprint,
            seed=7,
            channels=pairs.x_channels,
            units=pairs.x_units,
            spacing=pairs.spacing,
            origin=pairs.origin,
        )
        write_pair(folder / f"pair-{index:06d}.h5", pair)


def write_untrained(run, *, count):
    """Write a model that knows nothing into a run's folder, and its draws of the test pairs."""
    pairs = PairDataset(run / "data" / "test")
    network = NetworkConfig(hidden=4, scales=1, steps=1, summary_width=4, cond_channels=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = ConditionalFlow.from_config(network, in_channels=1, y_channels=2)
    info = ModelInfo(
        x_shape=pairs.x_shape, y_shape=pairs.y_shape, y_channels=pairs.y_channels, network=network
    )
    posterior = AmortizedPosterior(flow, Standardiser.fit(pairs), info)
    posterior.save(run / "model")
    draws = SampleConfig(num_samples=count)
    write_samples(posterior, pairs, run / "samples" / "test", draws, progress=False)
