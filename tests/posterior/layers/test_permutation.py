"""A permutation moves every channel, back again, and with the weights."""

from __future__ import annotations

import pytest
import torch

from posterior.layers.permutation import Permutation


@pytest.mark.parametrize("channels", [2, 3, 8])
@pytest.mark.parametrize("seed", range(5))
def test_one_cycle_through_all_channels(channels: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer, x = Permutation(channels, ndim=0), torch.arange(channels, dtype=torch.float32)[None]
    z, seen = x, []
    for _ in range(channels):
        z, logdet = layer(z)
        seen.append(int(z[0, 0]))
        assert not logdet.any()
    assert sorted(seen) == list(range(channels))
    assert torch.equal(z, x)
    assert torch.equal(layer.inverse(layer(x)[0])[0], x)


def test_the_order_travels_with_the_weights() -> None:
    torch.manual_seed(0)
    layer, other = Permutation(9), Permutation(9)
    x = torch.randn(2, 9, 3, 4)
    assert not torch.equal(layer(x)[0], other(x)[0])
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], other(x)[0])
    assert list(layer.parameters()) == []


def test_wrong_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, or 0 for vectors, got 4"):
        Permutation(3, ndim=4)
