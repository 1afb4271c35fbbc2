"""Conjugate gradients: the least-squares solution, at the stated cost, each sample by itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from posterior.least_squares import least_squares
from posterior.linear_map import LinearMap

DRAWS = torch.Generator().manual_seed(0)
MATRIX = torch.randn(9, 6, generator=DRAWS, dtype=torch.float64)
DATA = torch.randn(4, 9, generator=DRAWS, dtype=torch.float64)


def operator() -> LinearMap:
    return LinearMap(lambda x: x.flatten(1) @ MATRIX.T, lambda d: (d @ MATRIX).view(-1, 1, 6))


def misfit(x: Tensor) -> Tensor:
    return (x.flatten(1) @ MATRIX.T - DATA).square().sum(1)


def test_as_many_iterations_as_unknowns_give_the_least_squares_solution() -> None:
    expected = torch.linalg.lstsq(MATRIX, DATA.T).solution.T
    x = least_squares(operator(), DATA, iterations=6)
    torch.testing.assert_close(x.flatten(1), expected, atol=1e-9, rtol=0.0)
    # Beyond convergence nothing moves, and no 0 / 0 appears; data that are zero give zero.
    more = least_squares(operator(), torch.cat((DATA, torch.zeros_like(DATA))), iterations=20)
    torch.testing.assert_close(more[:4].flatten(1), expected, atol=1e-9, rtol=0.0)
    assert not more[4:].any()


def test_every_iteration_lowers_the_misfit_at_one_application_of_each() -> None:
    values = [DATA.square().sum(1)]
    for iterations in range(1, 6):
        counted = operator()
        values.append(misfit(least_squares(counted, DATA, iterations=iterations)))
        assert counted.num_forward == counted.num_adjoint == iterations * len(DATA)
    assert all(bool((later < earlier).all()) for earlier, later in pairwise(values))


@pytest.mark.parametrize("scale", [1e-9, 1e7])
def test_units_do_not_matter_in_single_precision(scale: float) -> None:
    scaled = LinearMap(
        lambda x: scale * (x.flatten(1) @ MATRIX.T.float()),
        lambda d: scale * (d @ MATRIX.float()).view(-1, 1, 6),
    )
    x = least_squares(scaled, DATA.float(), iterations=3)
    expected = least_squares(operator(), DATA, iterations=3)
    torch.testing.assert_close((scale * x).double(), expected, atol=1e-4, rtol=1e-4)


def test_a_weight_leads_to_the_same_solution_by_another_way_at_the_same_cost() -> None:
    weight = torch.tensor([0.1, 4.0, 1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    expected = torch.linalg.lstsq(MATRIX, DATA.T).solution.T
    x = least_squares(operator(), DATA, iterations=6, weight=weight)
    torch.testing.assert_close(x.flatten(1), expected, atol=1e-9, rtol=0.0)
    counted = operator()
    one = least_squares(counted, DATA, iterations=1, weight=weight)
    assert counted.num_forward == counted.num_adjoint == len(DATA)
    # One iteration goes along the weighted gradient.
    gradient = weight * (DATA @ MATRIX)
    torch.testing.assert_close(
        torch.nn.functional.cosine_similarity(one.flatten(1), gradient), torch.ones(4, dtype=torch.float64)
    )
    masked = least_squares(operator(), DATA, iterations=3, weight=(weight > 1.0).double())
    assert not masked.flatten(1)[:, weight <= 1.0].any()


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected weights of at least 0, got -1\.0"):
        least_squares(operator(), DATA, iterations=1, weight=torch.tensor([1.0, -1.0]))


def test_no_iteration_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1 iteration, got 0"):
        least_squares(operator(), DATA, iterations=0)
