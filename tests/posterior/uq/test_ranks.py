from __future__ import annotations

import numpy as np
import pytest

from posterior.uq.functionals import block_mean, cell, data_misfit, energy, principal_scores
from posterior.uq.modes import principal_modes
from posterior.uq.ranks import FunctionalRanks, PitMap, holm, pit
from posterior.uq.sbc import ks_uniform

EVERYWHERE = np.ones((5, 5), dtype=bool)


def _functionals() -> dict:
    training = np.cumsum(np.random.default_rng(0).standard_normal((200, 5, 5)), axis=1)
    named = {
        "cell": cell(2, 2),
        "mean": block_mean(EVERYWHERE),
        "energy": energy(EVERYWHERE),
        "misfit": data_misfit(lambda images: images, 0.5),
    }
    return named | principal_scores(principal_modes(training, 2))


def _adjusted(triple) -> dict[str, float]:
    ranks = FunctionalRanks(_functionals())
    for truth, samples, data in zip(*triple, strict=True):
        ranks.update(samples, truth, data)
    return holm({name: test.p_value for name, test in ranks.tests().items()})


def test_functionals_are_what_their_names_say():
    images = np.random.default_rng(0).standard_normal((7, 5, 5))
    block = np.zeros((5, 5), dtype=bool)
    block[1:3, 2:] = True
    np.testing.assert_array_equal(cell(1, 3)(images, None), images[:, 1, 3])
    np.testing.assert_allclose(
        block_mean(block)(images, None), images[:, 1:3, 2:].mean(axis=(1, 2)), rtol=1e-12
    )
    np.testing.assert_allclose(energy(EVERYWHERE)(images, None), (images**2).mean(axis=(1, 2)), rtol=1e-12)
    misfit = data_misfit(lambda x: 2.0 * x, 0.5)(images, images[0])
    np.testing.assert_allclose(misfit, 4.0 * ((2.0 * images - images[0]) ** 2).mean(axis=(1, 2)), rtol=1e-12)
    modes = principal_modes(images, 2)
    second = principal_scores(modes)["principal score 1"](images, None)
    np.testing.assert_array_equal(second, modes.scores(images)[:, 1])


def test_a_right_posterior_passes_all_functionals_together(correlated):
    # Six adjusted p-values at a fixed seed: the smallest is below 0.02 in 2 % of seeds.
    assert min(_adjusted(correlated(200)).values()) > 0.02


# The functional that must see each fault; a fault may show in others too.
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("narrow", "cell"),
        ("wide", "energy"),
        ("shifted", "mean"),
        ("miscorrelated", "mean"),
        ("prior", "misfit"),
    ],
)
def test_a_wrong_posterior_is_found_by_the_functional_that_feels_it(correlated, kind, name):
    assert _adjusted(correlated(200, kind=kind))[name] < 0.01


def test_faults_that_single_cells_cannot_show_stay_hidden_from_them(correlated):
    assert _adjusted(correlated(200, kind="prior"))["cell"] > 0.02
    assert _adjusted(correlated(200, kind="miscorrelated"))["cell"] > 0.02


def test_a_log_density_is_a_functional_as_it_is(correlated):
    truths, samples, data = correlated(200, kind="narrow")
    ranks = FunctionalRanks({"log q": lambda x, y: -((x - 0.6 * y) ** 2).sum(axis=(1, 2))})
    for truth, draws, y in zip(truths, samples, data, strict=True):
        ranks.update(draws, truth, y)
    assert ranks.tests()["log q"].p_value < 1e-3
    assert ranks.ranks()["log q"].mean() < 0.4 * 60  # truths lie where q is low


@pytest.mark.parametrize("count", [1, 9, 200])
def test_pit_of_uniform_ranks_is_uniform_at_every_number_of_draws(count):
    ranks = np.random.default_rng(1).integers(0, count + 1, 4000)
    values = pit(ranks, count)
    assert ks_uniform(values)[1] > 0.01
    np.testing.assert_array_equal(np.floor(values * (count + 1)), ranks)


def test_holm_is_the_textbook_example():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(adjusted) == ["a", "b", "c", "d"]


def _maps(triple, left: slice) -> PitMap:
    maps = PitMap()
    for truth, samples, _ in zip(*triple, strict=True):
        centre = samples.mean(axis=0)
        samples[:, left] = centre[left] + 0.5 * (samples - centre)[:, left]
        maps.update(samples, truth)
    return maps


def test_maps_are_standard_scores_where_right_and_tell_where_wrong(correlated):
    maps = _maps(correlated(200), slice(0, 2))
    # 15 dependent standard normal cells; 4 is passed with probability below 1e-3.
    assert np.abs(maps.width[2:]).max() < 4.0
    assert np.abs(maps.bias).max() < 4.0
    assert maps.width[:2].min() > 4.0
    assert _maps(correlated(200, kind="shifted"), slice(0, 0)).bias.max() < -2.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FunctionalRanks({}), "at least 1 functional, got 0"),
        (lambda: FunctionalRanks({"a": cell(0)}).ranks(), "at least 1 pair for ranks, got 0"),
        (
            lambda: FunctionalRanks({"a": lambda x, y: x}).update(np.zeros((3, 4)), np.zeros(4)),
            r"one number an image from 'a', got \(3, 4\)",
        ),
        (lambda: pit([3, 7], 6), r"ranks in 0..6, got 3 .. 7"),
        (lambda: PitMap().bias, "at least 1 pair for a map of ranks"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_pairs_must_agree():
    ranks, maps = FunctionalRanks({"a": cell(0)}), PitMap()
    for each in (ranks, maps):
        each.update(np.zeros((5, 4)), np.zeros(4))
    with pytest.raises(ValueError, match="expected 5 draws, as in the pairs before, got 6"):
        ranks.update(np.zeros((6, 4)), np.zeros(4))
    with pytest.raises(ValueError, match=r"pairs of shape \(4,\), like those before, got \(3,\)"):
        maps.update(np.zeros((5, 3)), np.zeros(3))
