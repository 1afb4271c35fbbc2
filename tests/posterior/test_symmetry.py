"""The symmetries of a linear imaging problem: a group, and a posterior that has them exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from posterior.config import NetworkConfig
from posterior.flow import ConditionalFlow
from posterior.model_info import ModelInfo
from posterior.sample import AmortizedPosterior
from posterior.standardise import Standardiser
from posterior.symmetry import Symmetry, symmetry_group

CHANNELS = ("migrated_image", "background_squared_slowness")
NETWORK = NetworkConfig(hidden=8, scales=2, steps=2, summary_width=4, cond_channels=3)
GROUPS = {
    "none": {"mirror": False, "reverse": False},
    "mirror": {"mirror": True, "reverse": False},
    "reverse": {"mirror": False, "reverse": True},
    "both": {"mirror": True, "reverse": True},
}


def posterior(*, mirror: bool, reverse: bool) -> AmortizedPosterior:
    """A posterior whose network, with random weights, has no symmetry of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = ConditionalFlow.from_config(NETWORK, in_channels=1, y_channels=2)
        for parameter in flow.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    info = ModelInfo(
        x_shape=(1, 8, 8),
        y_shape=(2, 8, 8),
        y_channels=CHANNELS,
        mirror=mirror,
        reverse=reverse,
        network=NETWORK,
    )
    return AmortizedPosterior(flow, Standardiser((0.1,), (2.0,), (0.2, 1.0), (3.0, 0.5)), info)


def observation() -> torch.Tensor:
    return torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("options", GROUPS.values(), ids=GROUPS.keys())
def test_the_elements_form_a_group_of_involutions(options: dict[str, bool], ndim: int) -> None:
    group = symmetry_group(ndim, CHANNELS, **options)
    x = torch.randn(2, 1, *range(3, 3 + ndim))
    assert len(group) == 2 ** ((ndim - 1) * options["mirror"] + options["reverse"])
    assert torch.equal(group[0].of_x(x), x)
    images = [g.of_x(x) for g in group]
    for g in group:
        assert torch.equal(g.of_x(g.of_x(x)), x)
        for h in group:  # closed, and no two elements alike
            assert sum(torch.equal(g.of_x(h.of_x(x)), image) for image in images) == 1


def test_the_background_keeps_its_sign_and_depth_its_direction() -> None:
    y = observation()[None]
    turned = Symmetry((2,), -1, (True, False)).of_y(y)
    assert torch.equal(turned[0, 0], -y[0, 0].flip(0))
    assert torch.equal(turned[0, 1], y[0, 1].flip(0))
    assert all(3 not in g.mirrored for g in symmetry_group(2, CHANNELS, mirror=True, reverse=True))


@pytest.mark.parametrize("options", GROUPS.values(), ids=GROUPS.keys())
def test_the_density_is_symmetric(options: dict[str, bool]) -> None:
    symmetric, plain = posterior(**options), posterior(mirror=False, reverse=False)
    x, y = torch.randn(3, 1, 8, 8), observation()
    group = symmetry_group(2, CHANNELS, **options)
    views = [plain.log_prob(g.of_x(x), g.of_y(y[None])) for g in group]
    mixture = np.log(np.mean(np.exp(np.array(views) - np.max(views)), axis=0)) + np.max(views)
    for g in group:
        # float32 sums over 64 cells of terms of order one.
        np.testing.assert_allclose(symmetric.log_prob(g.of_x(x), g.of_y(y[None])), mixture, atol=2e-3)
    if len(group) > 1:  # the network alone is not: the test could fail
        assert np.ptp(np.array(views), axis=0).min() > 0.01


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_draws_go_through_the_elements_in_turn(batch_size: int) -> None:
    symmetric, plain = posterior(mirror=True, reverse=True), posterior(mirror=False, reverse=False)
    y, group = observation(), symmetry_group(2, CHANNELS, mirror=True, reverse=True)
    draws = symmetric.sample(10, y, seed=4, batch_size=batch_size)
    views = [g.of_x(torch.from_numpy(plain.sample(10, g.of_y(y[None]), seed=4))).numpy() for g in group]
    expected = [views[number % len(group)][number] for number in range(10)]
    np.testing.assert_allclose(draws, expected, atol=1e-4)


def test_symmetries_travel_with_the_model(tmp_path) -> None:
    symmetric, y = posterior(mirror=True, reverse=True), observation()
    symmetric.save(tmp_path / "model")
    loaded = AmortizedPosterior.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.sample(5, y), symmetric.sample(5, y))
    assert replace(symmetric.info, mirror=False) != loaded.info
