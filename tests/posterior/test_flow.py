"""The conditional density: normalised, consistent with its samples, evaluated once for each observation."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from torch import Tensor, nn

from posterior.config import NetworkConfig
from posterior.flow import ConditionalFlow, standard_normal_log_prob
from posterior.networks.glow import ConditionalGlow

SMALL = NetworkConfig(hidden=6, scales=2, steps=2, summary_width=4, cond_channels=3)


def perturbed(flow: ConditionalFlow, size: float = 0.2) -> ConditionalFlow:
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return flow.double().eval()


def small_flow() -> ConditionalFlow:
    torch.manual_seed(0)
    return perturbed(ConditionalFlow.from_config(SMALL, in_channels=2, y_channels=1))


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def test_a_density_of_two_variables_integrates_to_one() -> None:
    torch.manual_seed(1)
    net = ConditionalGlow(1, 2, hidden=6, scales=1, steps=4, ndim=1)
    flow = perturbed(ConditionalFlow(net, nn.Conv1d(1, 2, 1)))
    axis = torch.linspace(-12.0, 12.0, 401, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)[:, None]
    with torch.no_grad():
        density = flow.log_prob(x, draw(1, 1, 2)).exp()
    # The density is smooth and vanishes at the edges: the sum's error is far below that of a wrong log-det.
    assert density.sum().item() * (24.0 / 400) ** 2 == pytest.approx(1.0, abs=1e-3)
    assert density.max() > 2.0 * density.mean()


def test_log_prob_is_base_density_plus_logdet() -> None:
    flow, x, y = small_flow(), draw(3, 2, 8, 4), draw(3, 1, 8, 4)
    z, logdet = flow.encode(x, y)
    base = torch.distributions.Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(flow.log_prob(x, y), base + logdet, atol=1e-10, rtol=1e-12)
    torch.testing.assert_close(flow(x, y), flow.log_prob(x, y), atol=0.0, rtol=0.0)
    zero = standard_normal_log_prob(torch.zeros(1, 2, 5, dtype=torch.float64))
    assert zero.item() == pytest.approx(-5.0 * math.log(2.0 * math.pi))


def test_decode_undoes_encode_and_one_observation_serves_all() -> None:
    flow, x, y = small_flow(), draw(3, 2, 8, 4), draw(1, 1, 8, 4)
    z, logdet = flow.encode(x, y)
    back, inverse = flow.decode(z, y.expand(3, 1, 8, 4))
    torch.testing.assert_close(back, x, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(inverse, -logdet, atol=1e-10, rtol=1e-10)


def test_samples_are_the_decoded_latents_of_the_generator() -> None:
    flow, y = small_flow(), draw(2, 1, 8, 4)
    several = flow.sample(5, y, generator=torch.Generator().manual_seed(3))
    z = torch.randn(5, 2, 2, 8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert several.shape == (5, 2, 2, 8, 4)
    for index in range(2):
        expected, _ = flow.decode(z[:, index], y[index : index + 1])
        torch.testing.assert_close(several[:, index], expected, atol=1e-10, rtol=1e-10)
    assert flow.sample(4, y[0]).shape == (4, 2, 8, 4)
    assert not several.requires_grad


def test_temperature_zero_gives_the_image_of_the_latent_zero() -> None:
    flow, y = small_flow(), draw(1, 1, 8, 4)
    expected, _ = flow.decode(torch.zeros(3, 2, 8, 4, dtype=torch.float64), y)
    torch.testing.assert_close(flow.sample(3, y[0], temperature=0.0), expected, atol=1e-12, rtol=1e-12)


def test_summary_is_evaluated_once_for_each_observation() -> None:
    flow, seen = small_flow(), []
    flow.summary.register_forward_hook(lambda _module, arguments, _out: seen.append(len(arguments[0])))
    flow.sample(7, draw(2, 1, 8, 4))
    flow.decode(draw(6, 2, 8, 4), draw(1, 1, 8, 4))
    assert seen == [2, 1]


def test_gradient_reaches_the_summary_network() -> None:
    flow = small_flow()
    flow.log_prob(draw(3, 2, 8, 4), draw(3, 1, 8, 4)).sum().backward()
    missing = [name for name, p in flow.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_a_configuration_that_went_through_json_rebuilds_the_flow() -> None:
    flow = small_flow()
    config = NetworkConfig(**json.loads(json.dumps(dataclasses.asdict(SMALL))))
    other = ConditionalFlow.from_config(config, in_channels=2, y_channels=1).double().eval()
    other.load_state_dict(flow.state_dict())
    x, y = draw(2, 2, 8, 4), draw(2, 1, 8, 4)
    assert torch.equal(flow.log_prob(x, y), other.log_prob(x, y))


def test_observation_of_another_size_is_refused() -> None:
    flow, x = small_flow(), draw(3, 2, 8, 4)
    expected = r"expected y of shape \(1 or 3, K, 8, 4\) beside \(3, 2, 8, 4\), got "
    with pytest.raises(ValueError, match=expected + r"\(3, 1, 8, 8\)"):
        flow.log_prob(x, draw(3, 1, 8, 8))
    with pytest.raises(ValueError, match=expected + r"\(2, 1, 8, 4\)"):
        flow.decode(x, draw(2, 1, 8, 4))


def test_three_dimensions() -> None:
    config = dataclasses.replace(SMALL, scales=1)
    flow = ConditionalFlow.from_config(config, in_channels=1, y_channels=1, ndim=3).eval()
    y = torch.randn(1, 4, 2, 6)
    x = flow.sample(2, y)
    assert x.shape == (2, 1, 4, 2, 6)
    assert flow.log_prob(x, y[None]).isfinite().all()
    with pytest.raises(ValueError, match=r"expected y of shape \(B, 1, nx, ny, nz\), got \(4, 2, 6\)"):
        flow.summary(y[0])
