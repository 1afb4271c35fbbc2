"""The pieces of an iteration: order, schedules, average, loss, log."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from torch import nn

from posterior.config import TrainConfig
from posterior.standardise import Standardiser
from posterior.training.batches import IterationSampler, batch_positions, noise_level
from posterior.training.ema import averaged_copy, update_average
from posterior.training.losses import likelihood_terms
from posterior.training.step import learning_rate
from posterior.training.tracking import JsonlTracker, read_log


def test_epochs_are_permutations_without_gaps():
    places = [p for iteration in range(7) for p in batch_positions(3, iteration, 4, 14)]
    assert Counter(places[:14]) == Counter(places[14:]) == Counter(range(14))
    assert places[:14] != places[14:]
    assert places == [p for iteration in range(7) for p in batch_positions(3, iteration, 4, 14)]


def test_processes_share_a_batch():
    config = TrainConfig(batch_size=6)
    shares = [list(IterationSampler(config, 9, start=3, rank=rank, size=2)) for rank in (0, 1)]
    assert sorted(shares[0][0] + shares[1][0]) == sorted(batch_positions(0, 3, 6, 9))
    with pytest.raises(ValueError, match=r"train.batch_size: expected a multiple of 4 processes, got 6"):
        IterationSampler(config, 9, start=0, size=4)


def test_schedules():
    config = TrainConfig(iterations=100, warmup=10, learning_rate=1.0, noise_start=0.4, noise_end=0.1)
    rates = [learning_rate(config, iteration) for iteration in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert 0.0 < rates[99] < 1e-3
    levels = [noise_level(config, iteration) for iteration in (0, 33, 66, 99)]
    assert levels == pytest.approx([0.4, 0.4 * 4 ** (-1 / 3), 0.4 * 4 ** (-2 / 3), 0.1])
    assert noise_level(TrainConfig(noise_start=0.2, noise_end=0.0, iterations=3), 1) == pytest.approx(0.1)


def test_average_follows_the_weights():
    module = nn.Linear(1, 1, bias=False)
    average = averaged_copy(module)
    start = module.weight.item()
    module.weight.data += 1.0
    update_average(average, module, decay=0.9, step=1000)
    assert average.weight.item() == pytest.approx(start + 0.1, abs=1e-6)
    update_average(average, module, decay=0.9, step=0)  # beta = 1/10 at first
    assert average.weight.item() == pytest.approx(start + 1.0 - 0.9 * 0.1, abs=1e-6)
    assert not average.weight.requires_grad


def test_loss_is_the_density_per_dimension():
    z = torch.randn(3, 2, 4, dtype=torch.float64)
    logdet = torch.randn(3, dtype=torch.float64)
    latent, volume = likelihood_terms(z, logdet)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1) + logdet
    torch.testing.assert_close(latent + volume, -density / 8, rtol=1e-13, atol=1e-13)


def test_identity_standardiser_changes_nothing():
    x = torch.randn(2, 1, 3)
    assert torch.equal(Standardiser.identity(1, 1).standardise_x(x), x)


def test_log_rewinds_to_an_iteration(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"iteration": i}) + "\n" for i in range(1, 6)) + '{"iter')
    tracker = JsonlTracker(path)
    tracker.rewind(3)
    tracker.log({"iteration": 4, "loss": 0.5})
    tracker.close()
    assert read_log(path) == [
        {"iteration": 1},
        {"iteration": 2},
        {"iteration": 3},
        {"iteration": 4, "loss": 0.5},
    ]
