"""The learned squeeze: where it starts, what it can reach, what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from posterior.layers.orthogonal_squeeze import OrthogonalSqueeze, Start
from posterior.layers.squeeze import CheckerboardSqueeze, HaarSqueeze, Squeeze


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(("start", "kind"), [("haar", HaarSqueeze), ("checkerboard", CheckerboardSqueeze)])
def test_starts_as_the_squeeze_it_names(start: Start, kind: type[Squeeze], ndim: int) -> None:
    torch.manual_seed(0)
    layer = OrthogonalSqueeze(3, ndim, start=start).double()
    x = torch.randn(2, 3, *(4, 2, 6)[:ndim], dtype=torch.float64)
    # The pairs of reflections cancel up to rounding.
    torch.testing.assert_close(layer(x)[0], kind(ndim)(x)[0], atol=1e-14, rtol=1e-14)


def test_every_reflection_learns_from_the_start() -> None:
    torch.manual_seed(0)
    layer = OrthogonalSqueeze(2, 2).double()
    z, _ = layer(torch.randn(3, 2, 4, 4, dtype=torch.float64))
    (z * torch.randn_like(z)).sum().backward()
    assert layer.vectors.grad is not None
    assert bool((layer.vectors.grad.norm(dim=-1) > 1e-3).all())


@pytest.mark.parametrize("ndim", [1, 2])
def test_reaches_any_rotation_of_the_start(ndim: int) -> None:
    torch.manual_seed(0)
    corners = 2**ndim
    layer = OrthogonalSqueeze(1, ndim, start="checkerboard").double()
    target = torch.matrix_exp(_skew(corners))
    blocks = torch.eye(corners, dtype=torch.float64).view(corners, 1, *(2,) * ndim)
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def distance() -> Tensor:
        optimiser.zero_grad()
        # Block i is the unit vector e_i, and so leaves as column i of Q.
        loss = (layer(blocks)[0].flatten(1) - target.T).square().sum()
        loss.backward()
        return loss

    optimiser.step(distance)
    assert distance().item() < 1e-8


def _skew(size: int) -> Tensor:
    a = torch.randn(size, size, dtype=torch.float64)
    return a - a.T


def test_each_channel_has_a_matrix_of_its_own() -> None:
    torch.manual_seed(0)
    layer = OrthogonalSqueeze(3, 1).double()
    x = torch.randn(1, 3, 8, dtype=torch.float64)
    before, _ = layer(x)
    with torch.no_grad():
        layer.vectors[1] += 0.3 * torch.randn(2, 2)
    after, _ = layer(x)
    changed = [channel for channel in range(6) if not torch.equal(before[:, channel], after[:, channel])]
    assert changed == [1, 4]


def test_frozen_vectors_get_no_gradient() -> None:
    layer = OrthogonalSqueeze(1, 1).requires_grad_(False)
    z = torch.randn(2, 2, 3)
    assert list(layer.reverse_step(z, None, z, z.new_zeros(2)).grad_parameters) == []


def test_wrong_channels_and_start_are_refused() -> None:
    layer = OrthogonalSqueeze(2, 1)
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 2, nx\), got \(1, 3, 4\)"):
        layer(torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match=r"expected z of shape \(B, 4, nx\), got \(1, 6, 4\)"):
        layer.inverse(torch.zeros(1, 6, 4))
    with pytest.raises(ValueError, match='expected start "haar" or "checkerboard", got \'wavelet\''):
        OrthogonalSqueeze(2, start="wavelet")  # type: ignore[arg-type]
