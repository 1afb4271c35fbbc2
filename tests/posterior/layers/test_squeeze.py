"""Squeezes: exact, orthonormal, in the stated order."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posterior.layers.squeeze import CheckerboardSqueeze, HaarSqueeze, Squeeze

KINDS = {"checkerboard": CheckerboardSqueeze, "haar": HaarSqueeze}
every = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@every
@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 4),
    halves=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_any_size_is_kept_whole(kind: type[Squeeze], batch: int, channels: int, halves: list[int]) -> None:
    ndim = len(halves)
    x = torch.randn(batch, channels, *(2 * half for half in halves), dtype=torch.float64)
    z, logdet = kind(ndim)(x)
    assert z.shape == (batch, 2**ndim * channels, *halves)
    assert not logdet.any()
    torch.testing.assert_close(kind(ndim).inverse(z)[0], x, atol=1e-14, rtol=1e-14)
    norms = [v.flatten(1).norm(dim=1) for v in (x, z)]
    torch.testing.assert_close(*norms, atol=1e-13, rtol=1e-13)


def test_checkerboard_order_is_blocks_outside_channels_inside() -> None:
    x = torch.arange(8.0).view(1, 2, 2, 2)  # channel, x, z
    z, _ = CheckerboardSqueeze(2)(x)
    assert z.flatten().tolist() == [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]


def test_haar_bands_are_smooth_first_then_details_along_depth_and_along_x() -> None:
    ramp_z = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).view(1, 1, 2, 2)
    assert HaarSqueeze(2)(torch.ones(1, 1, 2, 2))[0].flatten().tolist() == [2.0, 0.0, 0.0, 0.0]
    assert HaarSqueeze(2)(ramp_z)[0].flatten().tolist() == [1.0, -1.0, 0.0, 0.0]
    assert HaarSqueeze(2)(ramp_z.mT)[0].flatten().tolist() == [1.0, 0.0, -1.0, 0.0]


@every
def test_what_does_not_divide_is_named(kind: type[Squeeze]) -> None:
    with pytest.raises(ValueError, match="nz of x must be a multiple of 2, got 5: pad to 6"):
        kind(2)(torch.zeros(1, 1, 4, 5))
    with pytest.raises(ValueError, match=r"expected z with a multiple of 4 channels, got \(1, 6, 4, 4\)"):
        kind(2).inverse(torch.zeros(1, 6, 4, 4))
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, got 0"):
        kind(0)
