"""Computed wavelets: their filters are Daubechies', and the lattice applies exactly those."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from posterior.layers.squeeze import HaarSqueeze
from posterior.layers.wavelet import WaveletSqueeze
from posterior.layers.wavelet_filters import wavelet_filter

NAMES = [f"db{order}" for order in range(1, 11)] + [f"sym{order}" for order in range(2, 11)]
every = pytest.mark.parametrize("name", NAMES)


def order_of(name: str) -> int:
    return int(name.lstrip("dbsym"))


def filters(name: str) -> tuple[Tensor, Tensor]:
    """Low-pass h and high-pass g, the latter from its definition."""
    h = wavelet_filter(name)
    size = len(h)
    g = [(-1.0) ** (k + size // 2 - 1) * h[size - 1 - k] for k in range(size)]
    return torch.tensor(h), torch.tensor(g, dtype=torch.float64)


def shift(taps: Tensor) -> int:
    """Blocks between the first tap and the centre of energy, which stands for the middle of a block."""
    centre = sum(k * float(tap) ** 2 for k, tap in enumerate(taps))
    return round((centre - 0.5) / 2.0)


@every
def test_filter_is_orthonormal_with_all_its_vanishing_moments(name: str) -> None:
    h, order = wavelet_filter(name), order_of(name)
    assert h.shape == (2 * order,)
    correlations = [h[: 2 * order - 2 * lag] @ h[2 * lag :] for lag in range(order)]
    # Rounding of the roots, of order 1e-15, reaches the taps amplified at most tenfold.
    np.testing.assert_allclose(correlations, np.eye(order)[0], atol=1e-13)
    k = np.arange(2 * order, dtype=np.float64)
    for power in range(order):
        terms = (-1.0) ** k * (k / (2 * order)) ** power * h
        assert abs(terms.sum()) < 1e-11 * max(1.0, np.abs(terms).sum())


def test_short_filters_have_their_closed_forms() -> None:
    root = math.sqrt(3.0)
    db2 = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4.0 * math.sqrt(2.0))
    np.testing.assert_allclose(wavelet_filter("db2"), db2, atol=1e-15)
    a = math.sqrt(10.0)
    b = math.sqrt(5.0 + 2.0 * a)
    db3 = [1 + a + b, 5 + a + 3 * b, 10 - 2 * a + 2 * b, 10 - 2 * a - 2 * b, 5 + a - 3 * b, 1 + a - b]
    np.testing.assert_allclose(wavelet_filter("db3"), np.array(db3) / (16.0 * math.sqrt(2.0)), atol=1e-15)


def test_least_asymmetric_filter_of_order_four_is_the_tabulated_one() -> None:
    # PyWavelets' table of sym4, to the eleven digits that are good there.
    table = [0.03222310060, -0.01260396726, -0.09921954358, 0.29785779561]
    table += [0.80373875181, 0.49761866763, -0.02963552765, -0.07576571479]
    np.testing.assert_allclose(wavelet_filter("sym4"), table, atol=1e-11)


@pytest.mark.parametrize("order", range(4, 11))
def test_minimum_phase_comes_first_and_least_asymmetric_is_more_symmetric(order: int) -> None:
    db, sym = wavelet_filter(f"db{order}"), wavelet_filter(f"sym{order}")
    for other in (sym, sym[::-1]):
        # Of all filters with one modulus the one of minimum phase has the most energy in its first taps.
        assert (np.cumsum(db**2) > np.cumsum(other**2) - 1e-12).all()
    symmetry = [np.abs(np.convolve(h, h)).max() for h in (db, sym)]
    assert symmetry[1] > symmetry[0] + 0.01


@every
@pytest.mark.parametrize("size", [8, 20, 64])
def test_bands_are_the_periodic_convolutions(name: str, size: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, size, dtype=torch.float64)
    z, _ = WaveletSqueeze(name, 1)(x)
    for band, taps in enumerate(filters(name)):
        wrapped = x.repeat(1, 1, 1 + len(taps) // size + 1)[..., : size + len(taps) - 2]
        rows = F.conv1d(wrapped.flatten(0, 1)[:, None], taps[None, None], stride=2)
        expected = rows.view(2, 3, -1).roll(shift(taps), -1)
        torch.testing.assert_close(z[:, 3 * band : 3 * band + 3], expected, atol=1e-12, rtol=0.0)


def test_bands_of_a_volume_are_in_the_order_of_haar() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 1, 8, 10, 12, dtype=torch.float64)
    z, _ = WaveletSqueeze("db3", 3)(x)
    taps = filters("db3")
    wrapped = F.pad(x, (0, 4) * 3, mode="circular")
    for band, picked in enumerate((i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)):
        kernel = torch.einsum("i,j,k->ijk", *(taps[which] for which in picked))
        expected = F.conv3d(wrapped, kernel[None, None], stride=2)[0, 0]
        expected = expected.roll([shift(taps[which]) for which in picked], (0, 1, 2))
        torch.testing.assert_close(z[0, band], expected, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_order_one_is_haar(ndim: int) -> None:
    x = torch.randn(2, 3, *(6, 4, 2)[:ndim], dtype=torch.float64)
    expected, _ = HaarSqueeze(ndim)(x)
    torch.testing.assert_close(WaveletSqueeze("db1", ndim)(x)[0], expected, atol=1e-15, rtol=1e-14)


@every
def test_details_of_a_polynomial_vanish_away_from_the_seam(name: str) -> None:
    order = order_of(name)
    x = torch.linspace(-1.0, 1.0, 128, dtype=torch.float64).pow(order - 1).view(1, 1, -1)
    details = WaveletSqueeze(name, 1)(x)[0][0, 1]
    assert details[order:-order].abs().max() < 1e-11
    steeper = WaveletSqueeze(name, 1)(x * torch.linspace(-1.0, 1.0, 128, dtype=torch.float64))[0][0, 1]
    assert steeper[order:-order].abs().max() > 100.0 * details[order:-order].abs().max()


@every
def test_bands_stay_over_the_block_they_stand_for(name: str) -> None:
    x = torch.zeros(2, 1, 64, dtype=torch.float64)
    x[0, 0, 32] = x[1, 0, 33] = 1.0  # the two cells of block 16
    energy = WaveletSqueeze(name, 1)(x)[0].square().sum(0)
    centres = (energy * torch.arange(32)).sum(1) / energy.sum(1)
    # A shift by whole blocks cannot do better than half a block.
    assert (centres - 16.0).abs().max() <= 0.5 + 1e-12


def test_single_precision_is_kept() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 2, 32, 32)
    layer = WaveletSqueeze("db10")
    back, _ = layer.inverse(layer(x)[0])
    assert back.dtype == torch.float32
    # Twice ten reflections an axis, each of them rounding once: a few float32 epsilons (1.2e-7).
    torch.testing.assert_close(back, x, atol=5e-6, rtol=0.0)


@pytest.mark.parametrize("name", ["db0", "db11", "sym1", "coif2", "db", "haar"])
def test_unknown_wavelet_is_named(name: str) -> None:
    with pytest.raises(
        ValueError, match=f'expected a wavelet "db1" to "db10" or "sym2" to "sym10", got {name!r}'
    ):
        WaveletSqueeze(name)
