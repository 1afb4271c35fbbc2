"""Squeezes: exact, orthonormal, in the stated order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posterior.layers.orthogonal_squeeze import OrthogonalSqueeze
from posterior.layers.rearrange import ColumnSqueeze, PatchSqueeze
from posterior.layers.squeeze import CheckerboardSqueeze, HaarSqueeze, Squeeze
from posterior.layers.wavelet import WaveletSqueeze


def moved(channels: int, ndim: int) -> OrthogonalSqueeze:
    """A learned squeeze away from its start."""
    layer = OrthogonalSqueeze(channels, ndim).double()
    torch.nn.init.normal_(layer.vectors)
    return layer


KINDS: dict[str, Callable[[int, int], Squeeze]] = {
    "checkerboard": lambda _, ndim: CheckerboardSqueeze(ndim),
    "haar": lambda _, ndim: HaarSqueeze(ndim),
    "column": lambda _, ndim: ColumnSqueeze(ndim),
    "patch": lambda _, ndim: PatchSqueeze(ndim),
    "wavelet db2": lambda _, ndim: WaveletSqueeze("db2", ndim),
    "wavelet sym9": lambda _, ndim: WaveletSqueeze("sym9", ndim),
    "orthogonal": moved,
}
every = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@every
@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 4),
    halves=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_any_size_is_kept_whole(
    kind: Callable[[int, int], Squeeze], batch: int, channels: int, halves: list[int]
) -> None:
    ndim = len(halves)
    x = torch.randn(batch, channels, *(2 * half for half in halves), dtype=torch.float64)
    layer = kind(channels, ndim)
    with torch.no_grad():
        z, logdet = layer(x)
        assert z.shape == (batch, 2**ndim * channels, *halves)
        assert not logdet.any()
        torch.testing.assert_close(layer.inverse(z)[0], x, atol=1e-13, rtol=1e-13)
    norms = [v.flatten(1).norm(dim=1) for v in (x, z)]
    torch.testing.assert_close(*norms, atol=1e-13, rtol=1e-13)


def test_checkerboard_order_is_blocks_outside_channels_inside() -> None:
    x = torch.arange(8.0).view(1, 2, 2, 2)  # channel, x, z
    z, _ = CheckerboardSqueeze(2)(x)
    assert z.flatten().tolist() == [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]


def test_patches_are_whole_corners_blocks_outside_channels_inside() -> None:
    x = torch.randn(2, 3, 4, 6)
    z, _ = PatchSqueeze(2)(x)
    corners = [x[:, :, :2, :3], x[:, :, :2, 3:], x[:, :, 2:, :3], x[:, :, 2:, 3:]]
    assert torch.equal(z, torch.cat(corners, 1))
    volume = torch.randn(1, 2, 2, 4, 6)
    z, _ = PatchSqueeze(3)(volume)
    assert torch.equal(z[:, 10:12], volume[:, :, 1:, :2, 3:])  # patch (1, 0, 1) is the fifth


def test_columns_go_to_channels_in_runs() -> None:
    x = torch.randn(2, 3, 8, 6)
    z, _ = ColumnSqueeze(2)(x)
    for channel in range(3):
        for run in range(4):
            columns = x[:, channel, 2 * run : 2 * run + 2]
            assert torch.equal(z[:, 4 * channel + run].flatten(1), columns.flatten(1))


def test_columns_that_do_not_divide_are_cut() -> None:
    x = torch.arange(12.0).view(1, 1, 6, 2)  # a run is a column and a half
    z, _ = ColumnSqueeze(2)(x)
    assert z[0, :, :, 0].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0], [9.0, 10.0, 11.0]]


def test_haar_bands_are_smooth_first_then_details_along_depth_and_along_x() -> None:
    ramp_z = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).view(1, 1, 2, 2)
    assert HaarSqueeze(2)(torch.ones(1, 1, 2, 2))[0].flatten().tolist() == [2.0, 0.0, 0.0, 0.0]
    assert HaarSqueeze(2)(ramp_z)[0].flatten().tolist() == [1.0, -1.0, 0.0, 0.0]
    assert HaarSqueeze(2)(ramp_z.mT)[0].flatten().tolist() == [1.0, 0.0, -1.0, 0.0]


@every
def test_what_does_not_divide_is_named(kind: Callable[[int, int], Squeeze]) -> None:
    with pytest.raises(ValueError, match="nz of x must be a multiple of 2, got 5: pad to 6"):
        kind(1, 2)(torch.zeros(1, 1, 4, 5))
    with pytest.raises(ValueError, match="ny of x must be a multiple of 2, got 3: pad to 4"):
        kind(1, 3)(torch.zeros(1, 1, 4, 3, 2))
    with pytest.raises(ValueError, match=r"expected z with a multiple of 4 channels, got \(1, 6, 4, 4\)"):
        kind(1, 2).inverse(torch.zeros(1, 6, 4, 4))
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, got 0"):
        kind(1, 0)
