"""The posterior a user holds: exact where a closed form exists, and the same whatever the chunks."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posterior import files
from posterior.config import NetworkConfig, SampleConfig, TrainConfig
from posterior.dataset import PairDataset
from posterior.flow import ConditionalFlow
from posterior.model_folder import CONFIG, SUMS, WEIGHTS
from posterior.sample import AmortizedPosterior, ModelInfo, read_samples, write_samples
from posterior.standardise import Standardiser
from posterior.training.fit import fit_posterior

NETWORK = NetworkConfig(hidden=8, scales=2, steps=2, summary_width=4, cond_channels=3)
UNITS = Standardiser((2e-8,), (1e-8,), (5.0, 2e-7), (3.0, 1e-8))


class LinearFlow(nn.Module):
    """p(u | v) = N(gain v_0, std^2) in the network's units, cell by cell."""

    gain, std = 0.8, 0.3

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (x - self.gain * y[:, :1]) / self.std, torch.full(
            (len(x),), -x[0].numel() * math.log(self.std)
        )

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x = self.gain * y[:, :1] + self.std * z
        return x, torch.full((len(z),), z[0].numel() * math.log(self.std))


def linear(shape: tuple[int, ...] = (4, 4)) -> AmortizedPosterior:
    return AmortizedPosterior(LinearFlow(), UNITS, ModelInfo(x_shape=(1, *shape), y_shape=(2, *shape)))


def glow(seed: int = 0, network: NetworkConfig = NETWORK) -> AmortizedPosterior:
    """A conditional Glow with weights far from the identity, in physical units."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        flow = ConditionalFlow.from_config(network, in_channels=1, y_channels=2)
        for parameter in flow.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    info = ModelInfo(
        x_shape=(1, 8, 8), y_shape=(2, 8, 8), x_channels=("dm",), x_units=("s^2/m^2",), network=network
    )
    return AmortizedPosterior(flow, UNITS, info)


def observation(shape: tuple[int, ...] = (8, 8), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scale = np.array(UNITS.y_std)[:, None, None] * rng.normal(size=(2, *shape))
    return (np.array(UNITS.y_mean)[:, None, None] + scale).astype(np.float32)


def exact_moments(y: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean and std of the linear flow's posterior in physical units."""
    v = (y[:1] - UNITS.y_mean[0]) / UNITS.y_std[0]
    return UNITS.x_mean[0] + UNITS.x_std[0] * LinearFlow.gain * v, UNITS.x_std[0] * LinearFlow.std


def test_samples_have_the_moments_of_the_closed_form():
    y = observation((4, 4))
    samples = linear().sample(4000, y, seed=1)
    assert samples.shape == (4000, 1, 4, 4)
    assert samples.dtype == np.float32
    mean, std = exact_moments(y)
    # 16 cells x 4000 draws: 4.5 standard errors of a mean, std / sqrt(4000), and of a std, std / sqrt(8000)
    np.testing.assert_allclose(samples.mean(0), mean, atol=4.5 * std / 4000**0.5)
    np.testing.assert_allclose(samples.std(0, ddof=1), std, atol=4.5 * std / 8000**0.5)


def test_log_prob_is_the_closed_form_in_physical_units():
    y = observation((4, 4))
    mean, std = exact_moments(y)
    x = linear().sample(5, y)
    exact = (-0.5 * ((x - mean) / std) ** 2 - math.log(std) - 0.5 * math.log(2 * math.pi)).sum((1, 2, 3))
    found = linear().log_prob(x, y)
    assert found.shape == (5,)
    np.testing.assert_allclose(found, exact, atol=2e-5)  # float32 network, densities of about 280
    np.testing.assert_allclose(linear().log_prob(x[2], y), found[2:3], atol=1e-5)


def test_density_integrates_to_one():
    posterior, y = linear((1, 1)), observation((1, 1))
    mean, std = exact_moments(y)
    grid = np.linspace(mean.item() - 8 * std, mean.item() + 8 * std, 2001)
    density = np.exp(posterior.log_prob(grid.reshape(-1, 1, 1, 1), y))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-4)  # float32 rounding of the exponent


def test_density_follows_a_change_of_units():
    y, x = observation(), glow().sample(3, observation())
    factor = 1e12  # s^2/m^2 to us^2/m^2
    units = Standardiser((UNITS.x_mean[0] * factor,), (UNITS.x_std[0] * factor,), UNITS.y_mean, UNITS.y_std)
    other = AmortizedPosterior(glow()._module, units, glow().info)
    expected = glow().log_prob(x, y) - x[0].size * math.log(factor)
    np.testing.assert_allclose(other.log_prob(x * np.float32(factor), y), expected, rtol=1e-6)


def test_encode_and_decode_agree_on_the_density():
    """log p(x_i | y) from the samples' own latents equals log_prob of the samples."""
    from posterior.seeding import latents

    posterior, y = glow(), observation()
    z = latents(0, 0, 4, (1, 8, 8))
    with torch.no_grad():
        _, logdet = posterior._module.decode(z, UNITS.standardise_y(torch.tensor(y)[None]))
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum((1, 2, 3)) - logdet + UNITS.log_volume(64)
    np.testing.assert_allclose(posterior.log_prob(posterior.sample(4, y), y), expected, rtol=1e-5)


@pytest.mark.parametrize("make", [linear, glow], ids=["linear", "glow"])
def test_chunks_and_number_of_draws_change_nothing(make):
    posterior = make()
    y = observation(posterior.info.y_shape[1:])
    whole = posterior.sample(13, y, seed=4, batch_size=13)
    scale = (
        1e-5 * UNITS.x_std[0]
    )  # float32 rounding through a dozen layers; chunks change the summation order
    np.testing.assert_allclose(posterior.sample(13, y, seed=4, batch_size=5), whole, rtol=0, atol=scale)
    np.testing.assert_allclose(posterior.sample(6, y, seed=4), whole[:6], rtol=0, atol=scale)
    assert np.array_equal(posterior.sample(13, y, seed=4, batch_size=13), whole)
    assert not np.allclose(posterior.sample(13, y, seed=5), whole, rtol=0, atol=scale)


@pytest.mark.parametrize("make", [linear, glow], ids=["linear", "glow"])
def test_mean_std_are_the_moments_of_the_samples(make):
    posterior = make()
    y = observation(posterior.info.y_shape[1:])
    samples = posterior.sample(23, y, seed=2).astype(np.float64)
    mean, std = posterior.mean_std(y, 23, seed=2, batch_size=7)
    np.testing.assert_allclose(mean, samples.mean(0), rtol=0, atol=1e-5 * UNITS.x_std[0])
    np.testing.assert_allclose(std, samples.std(0, ddof=1), rtol=0, atol=1e-5 * UNITS.x_std[0])


def test_temperature_scales_the_latents():
    y = observation((4, 4))
    mean, _ = exact_moments(y)
    warm, cold = linear().sample(5, y), linear().sample(5, y, temperature=0.5)
    np.testing.assert_allclose(cold - mean, 0.5 * (warm - mean), atol=1e-14)


def test_map_is_the_mean_of_a_gaussian():
    y = observation((4, 4))
    mean, std = exact_moments(y)
    np.testing.assert_allclose(linear().map(y), mean, atol=0.02 * std)  # Adam's last steps


def test_map_has_more_density_than_mean_samples_and_start():
    posterior, y = glow(), observation()
    mode = posterior.map(y, iterations=60)
    others = [
        *posterior.sample(20, y),
        posterior.mean_std(y, 50)[0],
        posterior.sample(1, y, temperature=0.0)[0],
    ]
    assert posterior.log_prob(mode, y)[0] > posterior.log_prob(np.stack(others), y).max()


@pytest.mark.parametrize(
    "convert", [np.asarray, torch.tensor, lambda y: y[None], lambda y: y.astype(np.float64)]
)
def test_y_may_be_numpy_or_torch_with_or_without_a_batch_axis(convert):
    y = observation()
    assert np.array_equal(glow().sample(2, convert(y)), glow().sample(2, y))


def spoilt(value: float) -> np.ndarray:
    y = observation()
    y[0, 2, 3] = value
    return y


TRAINED = r"expected {} of shape \({}, 8, 8\), as trained on, got "
ERRORS = {
    "channels": (lambda p: p.sample(1, np.zeros((1, 8, 8))), TRAINED.format("y", 2) + r"\(1, 8, 8\)"),
    "size": (lambda p: p.mean_std(np.zeros((2, 16, 8)), 4), TRAINED.format("y", 2) + r"\(2, 16, 8\)"),
    "several": (lambda p: p.map(np.zeros((3, 2, 8, 8))), TRAINED.format("y", 2) + r"\(3, 2, 8, 8\)"),
    "scalar": (lambda p: p.sample(1, 3.0), TRAINED.format("y", 2) + r"\(\)"),
    "x": (lambda p: p.log_prob(np.zeros((1, 8)), observation()), TRAINED.format("x", 1) + r"\(1, 8\)"),
    "nan": (lambda p: p.sample(1, spoilt(np.nan)), "expected finite y, got 1 values that are nan or inf"),
    "inf": (lambda p: p.log_prob(np.zeros((1, 8, 8)), spoilt(np.inf)), "expected finite y"),
    "no draws": (lambda p: p.sample(0, observation()), "expected at least 1 sample"),
    "one draw": (lambda p: p.mean_std(observation(), 1), "expected at least 2 samples"),
}


@pytest.mark.parametrize(("call", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_say_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call(glow())


# Saving and loading


def test_loaded_posterior_is_the_saved_one(tmp_path):
    posterior = glow()
    posterior.save(tmp_path / "model")
    loaded = AmortizedPosterior.load(tmp_path / "model", device="cpu")
    assert loaded.info == posterior.info
    assert loaded.standardiser == posterior.standardiser
    assert loaded.sha256 == posterior.sha256 == files.sha256_file(tmp_path / "model" / SUMS)
    assert np.array_equal(loaded.sample(3, observation()), posterior.sample(3, observation()))
    assert glow(seed=1).sha256 != posterior.sha256


def _edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config["info"] |= changes
    (folder / CONFIG).write_text(json.dumps(config))
    sums = "".join(f"{files.sha256_file(folder / name)}  {name}\n" for name in (CONFIG, WEIGHTS))
    (folder / SUMS).write_text(sums)


def test_a_model_of_a_version_with_fewer_settings_keeps_its_identity(tmp_path):
    posterior = glow()
    posterior.save(tmp_path / "model")
    network = json.loads((tmp_path / "model" / CONFIG).read_text())["info"]["network"]
    del network["slab_budget"]
    _edit_config(tmp_path / "model", network=network)
    loaded = AmortizedPosterior.load(tmp_path / "model", device="cpu")
    assert loaded.info == posterior.info
    assert loaded.sha256 == files.sha256_file(tmp_path / "model" / SUMS) != posterior.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"hidden": 9}}, r"weights.safetensors: expected the tensors of the architecture"),
        ({"network": {"width": 9}}, "config.json: expected a model's configuration"),
        ({"network": None}, "config.json: expected an architecture, got none"),
        ({"x_shape": [3, 8, 8]}, "of another shape"),
    ],
)
def test_checkpoint_of_another_architecture_is_refused(tmp_path, changes, message):
    glow().save(tmp_path / "model")
    _edit_config(tmp_path / "model", **changes)
    with pytest.raises(ValueError, match=message):
        AmortizedPosterior.load(tmp_path / "model")


def test_a_flow_of_ones_own_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="expected a flow built from a NetworkConfig"):
        linear().save(tmp_path / "model")


# Files of samples

DRAWS = SampleConfig(num_samples=6, batch_size=4)


@pytest.fixture
def pairs(tmp_path, write_pairs) -> PairDataset:
    return PairDataset(write_pairs(tmp_path / "data" / "test", count=3))


def test_every_pair_gets_its_file(tmp_path, pairs):
    paths = write_samples(glow(), pairs, tmp_path / "samples", DRAWS, progress=False)
    assert [path.name for path in paths] == ["pair-000000.h5", "pair-000001.h5", "pair-000002.h5"]
    found = [read_samples(path) for path in paths]
    for index, each in enumerate(found):
        assert each.samples.shape == (6, 1, 8, 8)
        assert each.index == index
        assert (each.channels, each.units) == (pairs.x_channels, pairs.x_units)
        assert (each.spacing, each.origin) == (pairs.spacing, pairs.origin)
        assert each.model_sha256 == glow().sha256
        assert each.data_fingerprint == pairs.fingerprint
    # Standardised residuals would be equal if two pairs shared their latents.
    assert not np.allclose(
        found[0].samples - found[0].samples.mean(0), found[1].samples - found[1].samples.mean(0)
    )


def test_damaged_and_missing_files_are_made_again_and_good_ones_kept(tmp_path, pairs):
    paths = write_samples(glow(), pairs, tmp_path / "samples", DRAWS, progress=False)
    before = [path.read_bytes() for path in paths]
    kept = paths[0].stat().st_mtime_ns
    paths[1].write_bytes(before[1][:-50])
    paths[2].unlink()
    (tmp_path / "samples" / ".pair-000002.h5.1.part").write_bytes(b"half")
    write_samples(glow(), pairs, tmp_path / "samples", DRAWS, progress=False)
    assert [path.read_bytes() for path in paths] == before
    assert paths[0].stat().st_mtime_ns == kept
    assert not list((tmp_path / "samples").glob(".*.part"))


@pytest.mark.parametrize(
    ("model", "config", "message"),
    [
        (1, DRAWS, "model_sha256: '"),
        (0, SampleConfig(num_samples=7), "num_samples: 6 there, 7 here"),
        (0, SampleConfig(num_samples=6, seed=1), "seed: 0 there, 1 here"),
    ],
)
def test_samples_of_another_run_are_refused(tmp_path, pairs, model, config, message):
    paths = write_samples(glow(), pairs, tmp_path / "samples", DRAWS, progress=False)
    before = [path.read_bytes() for path in paths]
    with pytest.raises(ValueError, match=message):
        write_samples(glow(seed=model), pairs, tmp_path / "samples", config, progress=False)
    assert [path.read_bytes() for path in paths] == before


def _flip_data(path: Path) -> None:
    with h5py.File(path) as file:
        place = file["samples"].id.get_chunk_info(3).byte_offset + 11
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def _other_schema(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = "other/1"


def _no_seed(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["seed"]


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (Path.unlink, FileNotFoundError, "expected a file of posterior samples, got none"),
        (_other_schema, ValueError, "expected schema 'seispost-samples/1', got 'other/1'"),
        (_flip_data, ValueError, "expected a whole file of schema"),
        (_no_seed, ValueError, "expected a whole file of schema"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:500]),
            ValueError,
            "expected a whole file of schema",
        ),
    ],
    ids=["missing", "schema", "flipped bit", "attribute", "truncated"],
)
def test_bad_sample_files_are_refused(tmp_path, pairs, damage, error, message):
    path = write_samples(glow(), pairs, tmp_path / "samples", DRAWS, progress=False)[1]
    damage(path)
    with pytest.raises(error, match=message):
        read_samples(path)


# From pairs to a posterior

TRAIN = TrainConfig(iterations=4, batch_size=4, warmup=1)


def test_fit_writes_a_model_that_loads(tmp_path, write_pairs):
    train_set = PairDataset(write_pairs(tmp_path / "train", count=8))
    val_set = PairDataset(write_pairs(tmp_path / "val", count=4, seed=1))
    options = {"network": NETWORK, "config": TRAIN, "progress": False}
    posterior = fit_posterior(train_set, val_set, tmp_path / "run", **options)
    loaded = AmortizedPosterior.load(tmp_path / "run" / "model", device="cpu")
    assert loaded.sha256 == posterior.sha256
    assert loaded.info.training["iterations"] == 4
    assert loaded.info.data == {"config_hash": train_set.config_hash, "fingerprint": train_set.fingerprint}
    y = val_set[0][1]
    assert np.array_equal(loaded.sample(2, y), posterior.sample(2, y))
    shutil.rmtree(tmp_path / "run" / "model")  # the finished training gives the same model back
    assert fit_posterior(train_set, val_set, tmp_path / "run", **options).sha256 == posterior.sha256


def test_validation_pairs_of_another_shape_are_refused(tmp_path, write_pairs):
    train_set = PairDataset(write_pairs(tmp_path / "train"))
    val_set = PairDataset(write_pairs(tmp_path / "val", shape=(8, 16)))
    with pytest.raises(ValueError, match=r"got x_shape \(1, 8, 16\) instead of \(1, 8, 8\)"):
        fit_posterior(train_set, val_set, tmp_path / "run", network=NETWORK, config=TRAIN)
