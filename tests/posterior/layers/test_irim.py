"""The i-RIM coupling: one rotation at both ends, and a conditioner that looks at patches."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from posterior.layers.irim import PatchConditioner, irim_coupling
from posterior.layers.mixing import mix_channels


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def test_starts_as_the_identity() -> None:
    layer = irim_coupling(5, 2, hidden=4).double()
    x, c = torch.randn(2, 5, 8, 4).double(), torch.randn(2, 2, 8, 4).double()
    z, logdet = layer(x, c)
    torch.testing.assert_close(z, x, atol=1e-14, rtol=0.0)
    assert not logdet.any()


def test_one_rotation_is_shared_by_both_ends() -> None:
    layer = randomised(irim_coupling(4, hidden=3, stride=2, reflectors=3))
    x = torch.randn(2, 4, 4, 6).double()
    cells = torch.eye(4).double().view(4, 4, 1, 1)
    rotation = layer.get_submodule("layers.0")(cells)[0].flatten(1).T
    before, after = mix_channels(x, rotation), mix_channels(layer(x)[0], rotation)
    torch.testing.assert_close(before[:, :2], after[:, :2], atol=1e-13, rtol=0.0)
    assert (before[:, 2:] - after[:, 2:]).abs().max() > 0.01
    names = [name for name, _ in layer.named_parameters() if name.endswith("vectors")]
    assert names == ["layers.0.vectors"]


@pytest.mark.parametrize(("stride", "ndim"), [(1, 1), (3, 1), (4, 2), (2, 3)])
def test_conditioner_reaches_neighbouring_patches_and_no_further(stride: int, ndim: int) -> None:
    conditioner = randomised(PatchConditioner(2, 3, hidden=8, stride=stride, ndim=ndim))
    u = torch.randn(1, 2, *(5 * stride,) * ndim).double()
    moved = u.clone()
    moved[(..., *(2 * stride,) * ndim)] += 1.0  # a cell of the patch in the middle
    change = (conditioner(moved) - conditioner(u)).abs().amax((0, 1))
    assert change.shape == u.shape[2:]
    touched = change.nonzero()
    assert touched.min() >= stride
    assert touched.max() < 4 * stride
    assert change[(2 * stride,) * ndim] > 0.0


def test_sizes_that_do_not_divide_are_refused_with_the_number() -> None:
    layer = irim_coupling(4, hidden=3)
    with pytest.raises(ValueError, match="nz of the image must be a multiple of 4, got 10: pad to 12"):
        layer(torch.zeros(2, 4, 8, 10))
    with pytest.raises(ValueError, match="nx of the image must be a multiple of 4, got 6: pad to 8"):
        layer.inverse(torch.zeros(2, 4, 6, 8))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="expected a stride of at least 1, got 0"):
        PatchConditioner(2, 2, stride=0)
    with pytest.raises(ValueError, match="expected ndim 1, 2 or 3, got 0"):
        PatchConditioner(2, 2, ndim=0)
    with pytest.raises(ValueError, match="expected a condition or at least 2 channels, got 1"):
        irim_coupling(1)
