"""The alarm keeps its rate on the training distribution and sounds beyond it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from posterior.config import NetworkConfig
from posterior.dataset import TensorPairs
from posterior.diagnosis import Watch, WatchConfig
from posterior.diagnosis.distance import Distance
from posterior.diagnosis.features import available, background_features, image_structure, joint_latent
from posterior.flow import ConditionalFlow
from posterior.sample import AmortizedPosterior, ModelInfo
from posterior.standardise import Standardiser

SHAPE = (16, 16)
QUIET = WatchConfig(taught=40, progress=False)


def images(count: int, seed: int, *, length: float = 2.0, noise: float = 0.2) -> TensorPairs:
    """Smooth random images with noise beside a background."""
    rng = np.random.default_rng(seed)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(16), np.fft.rfftfreq(16), indexing="ij"))
    spectrum = np.fft.rfft2(rng.standard_normal((count, *SHAPE))) * np.exp(
        -0.5 * (2 * np.pi * k * length) ** 2
    )
    x = np.fft.irfft2(spectrum, SHAPE)
    x *= np.exp(0.1 * rng.standard_normal((count, 1, 1))) / x.std(axis=(1, 2), keepdims=True)
    y = np.stack([x + noise * rng.standard_normal(x.shape), rng.standard_normal(x.shape)], axis=1)
    names = ("migrated_image", "background_squared_slowness")
    return TensorPairs(torch.tensor(x[:, None]), torch.tensor(y), y_channels=names)


def network(kind: str = "conditional_glow") -> AmortizedPosterior:
    config = NetworkConfig(kind=kind, hidden=4, scales=1, steps=1, summary_width=4, cond_channels=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = ConditionalFlow.from_config(config, in_channels=1, y_channels=2)
    info = ModelInfo(
        x_shape=(1, *SHAPE),
        y_shape=(2, *SHAPE),
        y_channels=("migrated_image", "background_squared_slowness"),
        network=config,
    )
    return AmortizedPosterior(flow, Standardiser.identity(1, 2), info)


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch.fit(network(), images(79, 1), known=images(120, 2), config=QUIET)


def alarms(watch: Watch, surveys: TensorPairs) -> int:
    return sum(not watch.verdict(surveys[place][1]) for place in range(len(surveys)))


def test_the_alarm_is_quiet_at_home_and_sounds_abroad(watch):
    # At 5 %, 60 surveys and 79 references: more than 10 alarms have a probability below 1e-3.
    assert alarms(watch, images(60, 3)) <= 10
    assert alarms(watch, images(40, 4, noise=0.8)) >= 38
    assert alarms(watch, images(40, 5, length=1.0)) >= 38
    said = str(watch.verdict(images(1, 6, noise=2.0)[0][1]))
    assert said.startswith("Do not trust this posterior: structure")


@pytest.mark.slow
def test_the_false_alarm_rate_holds_over_many_watches():
    """Known and held-out surveys drawn anew: a rate of 10 % over 12 x 20 surveys, four standard errors."""
    posterior, raised = network(), 0
    for seed in range(12):
        own = Watch.fit(
            posterior,
            images(39, 100 + seed),
            known=images(40, 200 + seed),
            config=WatchConfig(rate=0.1, progress=False),
        )
        raised += alarms(own, images(20, 300 + seed))
    # Surveys of one watch share its thresholds: the variance is about 1.5 times the binomial one.
    assert raised / 240 <= 0.1 + 4.0 * np.sqrt(1.5 * 0.1 * 0.9 / 240)


def test_saved_and_loaded_it_says_the_same(watch, tmp_path):
    path = watch.save(tmp_path)
    assert path.name == "watch.npz"
    again, y = Watch.load(tmp_path, network()), images(1, 9)[0][1]
    assert again.about == watch.about
    assert str(again.verdict(y)) == str(watch.verdict(y))
    assert path.read_bytes() == watch.save(tmp_path / "other.npz").read_bytes()


def test_files_that_are_not_a_watch_of_this_model_are_refused(watch, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the watch of a model"):
        Watch.load(tmp_path, network())
    path = watch.save(tmp_path)
    with pytest.raises(ValueError, match=r"watch of model .* got that of"):
        Watch.load(path, network("hint"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="expected a whole file of schema"):
        Watch.load(path, network())
    np.savez(path, about=np.array({"a": 1}, dtype=object))  # a pickle, which must not be opened
    with pytest.raises(ValueError, match="expected a whole file of schema"):
        Watch.load(path, network())


def test_scores_handed_in_come_first_and_must_come_again(watch):
    held, known = images(39, 1), images(40, 2)
    usual = np.random.default_rng(0).normal(1.0, 0.1, 39)
    own = Watch.fit(network(), held, known=known, extra={"data": usual}, config=QUIET)
    assert [reference.name for reference in own.references] == ["data", "structure"]
    # 39 surveys afford two checks at 5 %.
    assert own.about["left_out"] == ["background", "spectrum", "draws", "summary"]
    y = images(1, 9)[0][1]
    assert own.verdict(y, {"data": 1.0})
    assert not own.verdict(y, {"data": 4.0})
    assert not own.verdict(y, {"data": float("inf")})
    with pytest.raises(ValueError, match="expected scores of"):
        own.verdict(y)
    with pytest.raises(ValueError, match="of shape \\(39,\\)"):
        Watch.fit(network(), held, known=known, extra={"data": usual[:3]}, config=QUIET)


def test_without_known_surveys_half_of_the_held_out_ones_are_spent():
    own = Watch.fit(network(), images(80, 1), config=QUIET)
    assert (own.about["num_held_out"], own.about["num_known"]) == (40, 40)


def test_bad_surveys_are_refused(watch):
    with pytest.raises(ValueError, match="expected finite y of shape"):
        watch.verdict(np.zeros((2, 4, 4)))
    broken = images(1, 1)[0][1]
    broken[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="1 values that are not"):
        watch.verdict(broken)
    with pytest.raises(ValueError, match="at least 19 held-out surveys, got 18"):
        Watch.fit(network(), images(36, 1), config=QUIET)
    with pytest.raises(ValueError, match="other than the held-out ones"):
        Watch.fit(network(), images(40, 1), known=images(40, 1), config=QUIET)


def test_distance_is_mahalanobis_and_about_one_at_home():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    known = rng.standard_normal((4000, 3)) @ root.T + 5.0
    far = Distance.fit(known)
    point = np.array([1.0, 2.0, 3.0])
    offset = point - known.mean(axis=0)
    exact = offset @ np.linalg.solve(np.cov(known.T), offset) / 3
    assert far(point) == pytest.approx(exact, rel=1e-9)
    assert np.mean([far(row) for row in known]) == pytest.approx(1.0, abs=0.01)
    assert np.isnan(far([np.nan, 0.0, 0.0]))
    with pytest.raises(ValueError, match="at least 8 surveys"):
        Distance.fit(known[:5])
    with pytest.raises(ValueError, match="vary from survey to survey"):
        Distance.fit(np.ones((10, 2)))


def test_features_of_a_network_with_a_lane_for_the_data():
    posterior, y = network("conditional_hint"), images(1, 1)[0][1]
    assert list(available(posterior)) == ["structure", "background", "spectrum", "draws", "summary", "latent"]
    assert np.isfinite(joint_latent(posterior, y)).all()
    # The background changes nothing in the structure, and the image nothing in the background.
    other = y.clone()
    other[1] += 3.0
    np.testing.assert_array_equal(image_structure(posterior, y), image_structure(posterior, other))
    assert not np.array_equal(background_features(posterior, y), background_features(posterior, other))
    other[0] *= 2.0
    np.testing.assert_array_equal(*(background_features(posterior, o) for o in (other, 1.0 * other)))


def test_training_surveys_that_are_kept_aside_sharpen_checks_without_the_network(watch):
    counts = {reference.name: len(reference.scores) for reference in watch.references}
    # 79 held-out surveys; of 120 known ones 40 are kept aside, which the network may have learnt by heart.
    assert counts == {"structure": 119, "background": 119, "spectrum": 119, "draws": 79}
    assert (watch.about["num_known"], watch.about["num_aside"]) == (80, 40)


def test_a_watch_without_backgrounds_has_no_check_of_them():
    posterior = network()
    posterior.info = dataclasses.replace(posterior.info, y_channels=("near", "far"))
    assert list(available(posterior)) == ["structure", "spectrum", "draws", "summary"]
