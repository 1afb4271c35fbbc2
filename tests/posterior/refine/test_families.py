"""Affine families of latents: bijections with their log-determinant, which start where they should."""

from __future__ import annotations

import pytest
import torch

from posterior.refine.families import FAMILIES, BlockAffine, HouseholderAffine, LowRankAffine

CASES = [
    ("diagonal", 0, (2, 3, 4)),
    ("low_rank", 3, (2, 3, 4)),
    ("low_rank", 24, (2, 3, 4)),
    ("low_rank", 2, (5,)),
    ("householder", 4, (1, 3, 5)),
    ("blocks", 2, (1, 4, 4)),
    ("blocks", 3, (2, 4, 5)),
    ("blocks", 2, (1, 3, 2, 4)),
    ("blocks", 9, (1, 3, 4)),
    ("blocks", 1, (4,)),
]


def _moved(name, size, shape):
    torch.manual_seed(0)
    family = FAMILIES[name](shape, size).double()
    for parameter in family.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return family


@pytest.mark.parametrize(("name", "size", "shape"), CASES)
def test_they_start_as_the_identity(name, size, shape):
    x = torch.randn(3, *shape)
    z, logdet = FAMILIES[name](shape, size)(x)
    torch.testing.assert_close(z, x, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logdet, torch.zeros(3))


@pytest.mark.parametrize(("name", "size", "shape"), CASES)
def test_they_are_bijections_with_their_determinant(name, size, shape):
    family, x = _moved(name, size, shape), torch.randn(3, *shape, dtype=torch.float64)
    z, logdet = family(x)
    back, minus = family.inverse(z)
    torch.testing.assert_close(back, x, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(minus, -logdet, rtol=1e-12, atol=1e-12)
    jacobian = torch.autograd.functional.jacobian(lambda v: family(v)[0], x[:1]).reshape(x[0].numel(), -1)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], logdet[0], rtol=1e-10, atol=1e-10)


def test_a_block_as_large_as_the_image_is_a_full_matrix():
    family = _moved("blocks", 4, (1, 4, 4))
    jacobian = torch.autograd.functional.jacobian(
        lambda v: family(v)[0], torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    ).reshape(16, 16)
    assert int((jacobian != 0.0).sum()) == 16 * 17 // 2


def test_blocks_mix_no_cells_of_two_blocks():
    family = _moved("blocks", 2, (1, 4, 4))
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    still, _ = family(x)
    x[0, 0, 0, 0] = 1.0
    changed = (family(x)[0] != still)[0, 0].nonzero().tolist()
    assert changed == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="expected a rank of 1 to 16"):
        LowRankAffine((1, 4, 4), 17)
    with pytest.raises(ValueError, match="expected an even number of reflections"):
        HouseholderAffine((1, 4, 4), 3)
    with pytest.raises(ValueError, match="expected blocks of at least 1 cell"):
        BlockAffine((1, 4, 4), 0)
    for name in FAMILIES:
        with pytest.raises(ValueError, match="expected z of shape"):
            FAMILIES[name]((1, 4, 4), 2).inverse(torch.zeros(1, 1, 4, 5))
