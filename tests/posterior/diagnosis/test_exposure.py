"""Foreign surveys keep what they should, and a classifier taught with them finds others of their kind."""

from __future__ import annotations

import numpy as np
import pytest

from posterior.diagnosis import foreign
from posterior.diagnosis.exposure import Exposure
from posterior.diagnosis.structure import background_shape, spectrum, structure


def layers(rng: np.random.Generator, shape: tuple[int, ...] = (32, 32)) -> np.ndarray:
    """Sparse dipping reflectors."""
    spikes = rng.standard_normal(3 * shape[-1]) * (rng.random(3 * shape[-1]) < 0.15)
    trace = np.convolve(spikes, [-0.5, 1.0, -0.5], "same")
    *across, depth = np.indices(shape)
    dips = rng.uniform(-0.5, 0.5, len(across))
    place = depth + shape[-1] + sum(dip * x for dip, x in zip(dips, across, strict=True))
    return np.interp(place, np.arange(len(trace)), trace)


@pytest.mark.parametrize("make", foreign.IMAGES)
def test_foreign_images_are_as_strong_and_other_and_seeded(make):
    first, second = (layers(np.random.default_rng(seed)) for seed in (0, 1))
    made, again = (make(first, lambda: second, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(made, again)
    assert made.shape == first.shape
    assert not np.allclose(made, first)
    # Half as strong an independent image adds a quarter of the energy; anything else keeps it.
    expected = 1.25 if make is foreign.with_incoherent else 1.0
    assert np.mean(made**2) / np.mean(first**2) == pytest.approx(expected, rel=0.1)
    zero = make(np.zeros((8, 8)), lambda: np.zeros((8, 8)), np.random.default_rng(0))
    assert np.isfinite(zero).all()


def test_an_incoherent_image_keeps_the_spectrum_and_loses_the_kurtosis():
    rng = np.random.default_rng(0)
    before, after = [], []
    for _ in range(40):
        image = layers(rng)
        made = foreign.incoherent(image, lambda: np.ones(1), rng)
        depth = np.sqrt(np.mean(image**2, axis=0))
        kept = depth > 0.1 * depth.max()
        for values, one in ((before, image), (after, made)):
            level = (one / np.where(kept, depth, 1.0))[:, kept]
            values.append(np.mean(level**4) / np.mean(level**2) ** 2)
    # Amplitudes that were levelled by depth, as they are before phases are drawn: Gaussian ones have 3.
    assert np.mean(before) > 4.0
    assert np.mean(after) == pytest.approx(3.0, abs=0.3)


def test_a_spliced_background_is_half_of_each():
    one, other = np.zeros((6, 4)), np.ones((6, 4))
    made = foreign.spliced(one, lambda: other, np.random.default_rng(0))
    np.testing.assert_array_equal(made.mean(axis=1), [0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("shape", [(32, 32), (12, 8), (8, 9, 16)])
def test_features_are_finite_in_any_number_of_dimensions_and_blind_to_sign(shape):
    image = layers(np.random.default_rng(0), shape)
    for features in (structure, spectrum):
        found = features(image)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(features(-image), found, rtol=1e-9, atol=1e-9)
        assert np.isfinite(features(np.zeros(shape))).all()
    # Scale enters through the levels alone.
    assert 1 <= (np.abs(structure(7.0 * image) - structure(image)) > 1e-6).sum() <= 4
    assert np.isfinite(background_shape(1.0 + image)).all()


def test_a_classifier_finds_a_foreign_kind_and_no_other():
    """Known: N(0, 1) in 30 features; foreign: shifted by 2.5 std in one of them."""
    rng = np.random.default_rng(0)
    known, new = rng.standard_normal((600, 30)), rng.standard_normal((400, 30))
    shift = np.zeros(30)
    shift[3] = 2.5
    with_state = rng.bit_generator.state
    taught = Exposure.fit(known, [known[:300] + shift])
    assert rng.bit_generator.state == with_state
    scores = np.array([taught(row) for row in new])
    threshold = np.quantile(scores, 0.95)
    found = np.mean([taught(row + shift) > threshold for row in new])
    # The best test has a power of Phi(2.5 - 1.645) = 0.80: four standard errors of 0.02, and what is not
    # learnt of 30 directions. A distance over all of them has 0.3.
    assert found > 0.65
    assert np.mean([taught(row - shift) > threshold for row in new]) < 0.05
    assert np.isnan(taught(np.full(30, np.inf)))


def test_it_is_the_same_for_a_seed_and_leaves_the_global_generator_alone():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    known, row = rng.standard_normal((40, 5)), np.ones(5)
    state = torch.random.get_rng_state()
    first, second = (Exposure.fit(known, [known + 1.0], seed=3)(row) for _ in range(2))
    assert first == second
    assert torch.equal(state, torch.random.get_rng_state())
    assert Exposure.fit(known, [known + 1.0], seed=4)(row) != first


def test_features_that_do_not_vary_count_for_nothing():
    known = np.random.default_rng(0).standard_normal((40, 3))
    known[:, 1] = 2.0
    taught = Exposure.fit(known, [known + [1.0, 5.0, 0.0]])
    assert taught([0.0, 2.0, 0.0]) == taught([0.0, 99.0, 0.0])


def test_bad_features_are_refused():
    known = np.random.default_rng(0).standard_normal((40, 3))
    with pytest.raises(ValueError, match="at least 8 surveys"):
        Exposure.fit(known[:5], [known])
    with pytest.raises(ValueError, match="expected finite features"):
        Exposure.fit(known, [known * np.nan])
