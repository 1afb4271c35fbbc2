from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.moments import quantiles
from posterior.uq.sketch import QuantileSketch

LEVELS = np.array([0.05, 0.25, 0.5, 0.95])


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 2)])
def test_up_to_its_capacity_it_is_exact(shape):
    draws = np.random.default_rng(0).standard_normal((64, *shape))
    sketch = QuantileSketch(capacity=64)
    for batch in np.split(draws, [1, 30]):
        sketch.update(batch)
    assert sketch.rank_error == 0.0
    probabilities = LEVELS.reshape(2, 2)
    np.testing.assert_allclose(sketch.quantiles(probabilities), quantiles(draws, probabilities), atol=1e-14)


def _ranks(sketch: QuantileSketch, draws: np.ndarray) -> np.ndarray:
    """Share of the draws at or below each quantile, less its level."""
    return np.stack(
        [(draws <= q).mean(axis=0) - p for p, q in zip(LEVELS, sketch.quantiles(LEVELS), strict=True)]
    )


@pytest.mark.parametrize("capacity", [32, 128])
def test_ranks_are_unbiased_and_within_the_stated_error(capacity):
    # 2000 cells: a mean has a standard error of std / 45, a std one of 1.6 %.
    draws = np.random.default_rng(1).standard_normal((5_000, 2_000))
    sketch = QuantileSketch(capacity=capacity)
    for batch in np.split(draws, 25):
        sketch.update(batch)
    errors = _ranks(sketch, draws)
    assert 0.0 < sketch.rank_error < 1.6 / capacity
    assert (errors.std(axis=1) < 1.05 * sketch.rank_error).all()
    assert errors[2].std() > 0.3 * sketch.rank_error  # the bound is no idle one
    # Interpolation between draws that stand for 2^h moves a rank by up to a tenth of the error.
    assert np.abs(errors.mean(axis=1)).max() < (4.0 / 45.0 + 0.1) * sketch.rank_error


def test_a_wrong_distribution_shows_in_the_ranks():
    rng = np.random.default_rng(2)
    narrow = QuantileSketch(capacity=128)
    narrow.update(0.7 * rng.standard_normal((2_000, 200)))
    errors = _ranks(narrow, rng.standard_normal((2_000, 200)))
    # Phi(-1.645 x 0.7) = 0.125 of the draws lie below the 5 % quantile of a std 30 % too small.
    assert errors[0].mean() == pytest.approx(0.125 - 0.05, abs=0.005)


@pytest.mark.parametrize("order", ["random", "rising"])
def test_the_sampler_of_a_long_stream_is_unbiased_and_within_the_stated_error(order):
    # A capacity of 8 leaves 20 000 draws to a sampler of one in 256; rising draws are its worst case.
    draws = np.random.default_rng(6).standard_normal((20_000, 400))
    if order == "rising":
        draws.sort(axis=0)
    sketch = QuantileSketch(capacity=8)
    for batch in np.split(draws, 20):
        sketch.update(batch)
    assert sketch._lowest >= 7
    errors = _ranks(sketch, draws)
    assert 0.0 < sketch.rank_error < 1.6 / 8
    assert (errors.std(axis=1) < 1.05 * sketch.rank_error).all()
    # 400 cells: a mean has a standard error of std / 20.
    assert np.abs(errors.mean(axis=1)).max() < (4.0 / 20.0 + 0.1) * sketch.rank_error


def test_memory_does_not_depend_on_the_number_of_draws():
    sketch, held = QuantileSketch(capacity=32), []
    for _ in range(400):
        sketch.update(np.zeros((100, 1)))
        held.append(sketch.held)
    assert max(held) <= 3 * 32 + 8
    assert max(held[200:]) <= max(held[:200])


def test_merged_sketches_tell_what_one_would():
    draws = np.random.default_rng(3).standard_normal((4_000, 1_000))
    parts = [QuantileSketch(capacity=64, seed=seed) for seed in range(3)]
    for part, batch in zip(parts, np.split(draws, [1_000, 3_500]), strict=True):
        part.update(batch)
    for part in parts[1:]:
        parts[0].merge(part)
    parts[0].merge(QuantileSketch(capacity=64))
    assert parts[0].count == 4_000
    assert 0.0 < parts[0].rank_error < 2.0 / 64
    assert (_ranks(parts[0], draws).std(axis=1) < 1.1 * parts[0].rank_error).all()


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_long_and_short_streams_merge_either_way(order):
    draws = np.random.default_rng(7).standard_normal((12_000, 400))
    parts = [QuantileSketch(capacity=16, seed=seed) for seed in range(2)]
    for part, batch in zip(parts, np.split(draws, [11_000]), strict=True):
        part.update(batch)
    assert parts[0]._lowest > parts[1]._lowest
    whole, other = parts[order]
    before = other.quantiles(LEVELS)
    whole.merge(other)
    assert whole.count == sum(1 << level for level, held in enumerate(whole._levels) for _ in held) + sum(
        weight for _, weight in whole._sampled
    )
    np.testing.assert_array_equal(other.quantiles(LEVELS), before)  # left as it was
    errors = _ranks(whole, draws)
    assert (errors.std(axis=1) < 1.05 * whole.rank_error).all()
    assert np.abs(errors.mean(axis=1)).max() < (4.0 / 20.0 + 0.1) * whole.rank_error
    assert whole.held <= 3 * 16 + 8


def test_the_same_seed_gives_the_same_sketch_whatever_the_batches():
    draws = np.random.default_rng(4).standard_normal((500, 6)).astype(np.float32)
    whole, parts = QuantileSketch(capacity=16, seed=5), QuantileSketch(capacity=16, seed=5)
    whole.update(draws)
    buffer = np.empty((100, 6), dtype=np.float32)
    for batch in np.split(draws, 5):
        buffer[...] = batch
        parts.update(buffer)  # reused by the caller: the sketch keeps copies
    np.testing.assert_array_equal(whole.quantiles(LEVELS), parts.quantiles(LEVELS))


def test_bad_input_says_what_came():
    sketch = QuantileSketch()
    with pytest.raises(ValueError, match=r"at least 19 draws for a tail .* got 0"):
        sketch.quantiles(0.05)
    sketch.update(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"draws of shape \(3,\), like those before, got \(4,\)"):
        sketch.update(np.zeros((2, 4)))
    other = QuantileSketch()
    other.update(np.zeros((1, 5)))
    with pytest.raises(ValueError, match=r"draws of shape \(3,\), like those before, got \(5,\)"):
        sketch.merge(other)
    with pytest.raises(ValueError, match="capacity of at least 8 draws, got 4"):
        QuantileSketch(capacity=4)
    with pytest.raises(ValueError, match="finite samples"):
        sketch.update([[np.nan, 0.0, 0.0]])
