"""Other libraries as oracles, where they are installed (the extra "peers")."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posterior.conditioners import ResidualConditioner
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling
from posterior.layers.elementwise import Affine, ExpClampAffine
from posterior.layers.spline import RationalQuadraticSpline
from posterior.layers.squeeze import CheckerboardSqueeze, HaarSqueeze

EXACT: dict[str, Any] = {"atol": 1e-12, "rtol": 1e-12}  # float64, one layer
pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries' own


def image(channels: int = 4) -> Tensor:
    return torch.randn(3, channels, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def coupling(transform: Any) -> Coupling:
    torch.manual_seed(0)
    build = partial(ResidualConditioner, hidden=6)
    layer = Coupling(4, 2, conditioner=build, transform=transform, swap=True).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


def test_affine_coupling_is_that_of_nflows() -> None:
    nflows = pytest.importorskip("nflows.transforms")
    ours, x, c = coupling(Affine((1e-3, 1.0 + 1e-3))), image(), image(2)

    class Net(nn.Module):
        """nflows hands out the shift first, then the raw scale; sigmoid(raw + 2) + 1e-3 is the scale."""

        def forward(self, fixed: Tensor, context: Tensor) -> Tensor:
            raw, shift = ours.conditioner(torch.cat((fixed, context), 1)).chunk(2, 1)
            return torch.cat((shift, raw - 2.0), 1)

    theirs = nflows.AffineCouplingTransform(torch.tensor([0, 0, 1, 1]), lambda i, o: Net())
    for got, expected in zip(ours(x, c), theirs(x, c), strict=True):
        torch.testing.assert_close(got, expected, **EXACT)
    for got, expected in zip(ours.inverse(x, c), theirs.inverse(x, c), strict=True):
        torch.testing.assert_close(got, expected, **EXACT)


def test_clamped_coupling_is_that_of_freia() -> None:
    modules = pytest.importorskip("FrEIA.modules")
    ours, x, c = coupling(ExpClampAffine(2.0 * 0.636 * torch.pi / 2.0)), image(), image(2)

    def subnet(in_channels: int, out_channels: int) -> nn.Module:
        assert (in_channels, out_channels) == (4, 4)
        return ours.conditioner

    theirs = modules.AffineCouplingOneSided([(4, 6, 4)], [(2, 6, 4)], subnet_constructor=subnet, clamp=2.0)
    (z,), logdet = theirs([x], c=[c])
    torch.testing.assert_close(ours(x, c), (z, logdet), **EXACT)


def test_haar_squeeze_is_that_of_freia_but_for_the_order_of_channels() -> None:
    modules = pytest.importorskip("FrEIA.modules")
    x = image(3)
    (theirs,), logdet = modules.HaarDownsampling([(3, 6, 4)], order_by_wavelet=True).double()([x])
    ours, ours_logdet = HaarSqueeze(2)(x)
    assert float(torch.as_tensor(logdet).abs().max()) == ours_logdet.abs().max() == 0.0
    for band in theirs.split(3, 1):
        matches = [torch.allclose(band, sign * one, **EXACT) for one in ours.split(3, 1) for sign in (1, -1)]
        assert sum(matches) == 1


def test_checkerboard_squeeze_is_torchs_but_for_the_order_of_channels() -> None:
    x = image(3)
    theirs = nn.functional.pixel_unshuffle(x, 2).unflatten(1, (3, 4)).transpose(1, 2).flatten(1, 2)
    torch.testing.assert_close(CheckerboardSqueeze(2)(x)[0], theirs, **EXACT)


def test_householder_product_is_that_of_nflows() -> None:
    nflows = pytest.importorskip("nflows.transforms")
    ours, theirs = Conv1x1(5, reflectors=3, ndim=0).double(), nflows.HouseholderSequence(5, 3).double()
    with torch.no_grad():
        theirs.q_vectors.copy_(ours.vectors.flip(0))
    x = torch.randn(7, 5, dtype=torch.float64)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], **EXACT)


def test_spline_is_that_of_nflows() -> None:
    splines = pytest.importorskip("nflows.transforms.splines.rational_quadratic")
    bins, spline = 5, RationalQuadraticSpline(bins=5, bound=2.0)
    generator = torch.Generator().manual_seed(3)
    raw = torch.randn(40, 3 * bins - 1, generator=generator, dtype=torch.float64)
    x = 2.5 * torch.randn(40, 1, generator=generator, dtype=torch.float64)
    z, logdet = spline.forward(x, spline.natural(raw))
    widths, heights, slopes = raw.split((bins, bins, bins - 1), 1)
    # nflows: slope = min + softplus(raw); ours is the identity at raw zeros, so its raw number is shifted.
    offset = torch.log(torch.expm1(torch.tensor(1.0 - spline.min_derivative, dtype=torch.float64)))
    theirs, logabsdet = splines.unconstrained_rational_quadratic_spline(
        x, widths[:, None], heights[:, None], slopes[:, None] + offset, tail_bound=2.0,
        min_bin_width=1e-3, min_bin_height=1e-3, min_derivative=1e-3,
    )  # fmt: skip
    torch.testing.assert_close(z, theirs, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(logdet, logabsdet[:, 0], atol=1e-10, rtol=1e-10)
