"""Training pairs: pure in (configuration, index), and what becomes of draws that no pair can be made from."""

import io
import json
import os
import pickle
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.ndimage

from physics.config import ArealConfig, NoiseConfig, PairConfig, PatchPriorConfig
from physics.errors import PhysicsError
from physics.executors import Task
from physics.linear import BornOperator
from physics.pairs import PairSimulator, pair_generator, simulate_pair
from physics.shard_work import ShardWork, make_shard
from physics.shards import Failure

SHAPE = (16, 16)


class Constant:
    """A prior of one earth model."""

    def __init__(self, vp: np.ndarray) -> None:
        self.vp = vp
        self.vmin, self.vmax = float(vp.min()), float(vp.max())

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return self.vp


def step_model() -> np.ndarray:
    vp = np.full(SHAPE, 2000.0, np.float32)
    vp[:, 8:] = 2400.0
    return vp


@pytest.fixture(scope="module")
def simulator(tiny: PairConfig) -> PairSimulator:
    return PairSimulator(tiny)


class TestPair:
    def test_has_the_shapes_and_types_of_the_schema(self, simulator: PairSimulator) -> None:
        pair = simulator(3)
        assert (pair.index, pair.x.shape, pair.y.shape) == (3, (1, *SHAPE), (2, *SHAPE))
        assert pair.x.dtype == pair.y.dtype == np.float32
        assert np.isfinite(pair.x).all()
        assert np.isfinite(pair.y).all()
        assert np.abs(pair.y[0]).max() > 0.0

    def test_is_a_pure_function_of_configuration_and_index(
        self, tiny: PairConfig, simulator: PairSimulator
    ) -> None:
        for index in (5, 0, 5):
            once, again = simulator(index), simulate_pair(tiny, index)
            np.testing.assert_array_equal(once.x, again.x)
            np.testing.assert_array_equal(once.y, again.y)
            assert once.snr_db == again.snr_db

    def test_has_the_same_bits_on_any_number_of_threads(self, tiny: PairConfig, import_path: str) -> None:
        # Products of matrices are rounded differently on two threads, unless they are held to one.
        program = (
            "import hashlib, pickle, sys; from physics.pairs import simulate_pair; "
            "pair = simulate_pair(pickle.load(sys.stdin.buffer), 0); "
            "print(hashlib.sha256(pair.y.tobytes()).hexdigest())"
        )
        wide = replace(tiny, acquisition=replace(tiny.acquisition, num_receivers=16))
        wide = replace(wide, survey=replace(wide.survey, record_length=1.0))
        digests = {
            subprocess.run(
                [sys.executable, "-c", program],
                input=pickle.dumps(wide),
                env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads),
                capture_output=True,
                check=True,
            ).stdout
            for threads in ("1", "2", "3")
        }
        assert len(digests) == 1

    @pytest.mark.parametrize("change", [{"seed": 8}, {"stream": "test"}])
    def test_seeds_and_streams_are_independent(
        self, simulator: PairSimulator, tiny: PairConfig, change: dict[str, Any]
    ) -> None:
        assert not np.array_equal(simulator(0).x, simulate_pair(replace(tiny, **change), 0).x)

    def test_generator_is_the_one_that_the_schema_names(self, tiny: PairConfig) -> None:
        named = np.random.default_rng(np.random.SeedSequence([7, zlib.crc32(b"train"), 4]))
        assert pair_generator(tiny, 4).integers(2**62) == named.integers(2**62)

    def test_of_another_noise_level_has_the_same_earth_and_survey(
        self, tiny: PairConfig, simulator: PairSimulator
    ) -> None:
        quiet = PairSimulator(replace(tiny, noise=NoiseConfig(snr_db=200.0)))
        np.testing.assert_array_equal(simulator(1).x, quiet(1).x)
        np.testing.assert_array_equal(simulator(1).y[1], quiet(1).y[1])
        assert not np.array_equal(simulator(1).y[0], quiet(1).y[0])

    def test_realises_the_stated_noise_level(self, simulator: PairSimulator) -> None:
        # Each shot has it exactly, so all shots together do; float32 records round it.
        np.testing.assert_allclose(simulator(0).snr_db, 12.0, atol=1e-4)

    def test_is_what_the_formula_says(self, tiny: PairConfig) -> None:
        config = replace(
            tiny, noise=NoiseConfig(snr_db=200.0), acquisition=replace(tiny.acquisition, jitter=0.0)
        )
        simulator = PairSimulator(config, prior=Constant(step_model()))
        pair = simulator(0)
        m = step_model().astype(np.float64) ** -2
        m0 = scipy.ndimage.gaussian_filter(m, 4.0, mode="nearest")
        np.testing.assert_allclose(pair.y[1], m0, rtol=1e-6)
        # Nothing above half of taper_depth, all of it from taper_depth on: rows 0 to 2, and 4 on.
        assert np.all(pair.x[0, :, :3] == 0.0)
        np.testing.assert_allclose(pair.x[0, :, 4:], (m - m0)[:, 4:], rtol=1e-5, atol=1e-14)
        J = BornOperator(
            simulator.plan.earth_model(m0**-0.5),
            simulator.draw(0).survey,
            wavelet=simulator.wavelet,
            numerics=simulator.plan.numerics,
        )
        image = J.adjoint(J.forward(pair.x[0]))
        weight = simulator.weights.depth * np.where(np.arange(SHAPE[1]) < 4, 0.0, 1.0)
        scale = np.abs(pair.y[0]).max()
        # Noise 200 dB down; what is left is float32 and the order of operations.
        np.testing.assert_allclose(pair.y[0][:, 4:], (image * weight)[:, 4:], atol=1e-4 * scale)

    def test_gathers_have_the_image_first_and_the_background_last(self, tiny: PairConfig) -> None:
        config = replace(tiny, imaging=replace(tiny.imaging, offset=25.0))
        simulator = PairSimulator(config)
        pair, alone = simulator(0), PairSimulator(tiny)(0)
        assert pair.y.shape == (6, *SHAPE)
        assert list(simulator.channels)[:3] == ["migrated_image", "gather_-25_m", "gather_-12.5_m"]
        np.testing.assert_array_equal(pair.y[-1], alone.y[-1])
        # But for the edge, which in the image also collects the layer, and for single precision.
        inner = (slice(1, -1), slice(1, -1))
        np.testing.assert_allclose(pair.y[0][inner], alone.y[0][inner], atol=1e-4 * np.abs(alone.y[0]).max())
        data, _ = make_shard(simulator, Task(range(1)))
        with h5py.File(io.BytesIO(data)) as file:
            assert json.loads(file["y"].attrs["channels"]) == list(simulator.channels)

    def test_nonlinear_data_tend_to_linear_ones_with_the_contrast(self, tiny: PairConfig) -> None:
        def departure(contrast: float) -> float:
            prior = Constant(2000.0 + contrast * (step_model() - 2000.0))
            linear, other = (
                PairSimulator(replace(tiny, survey=replace(tiny.survey, data=data)), prior=prior)
                .draw(0)
                .clean
                for data in ("born", "nonlinear")
            )
            return float(np.linalg.norm(other - linear) / np.linalg.norm(linear))

        # What Born modelling leaves out grows with the contrast.
        assert departure(0.05) < 0.3 * departure(0.4) < 0.3

    def test_volumes_work_too(self, tiny: PairConfig) -> None:
        config = replace(
            tiny,
            survey=replace(tiny.survey, shape=(12, 11, 10), spacing=(12.5, 12.5, 12.5), record_length=0.16),
            acquisition=ArealConfig(num_sources=(1, 1), num_receivers=(3, 2)),
        )
        simulator = PairSimulator(config)
        pair = simulator(0)
        assert (pair.x.shape, pair.y.shape) == ((1, 12, 11, 10), (2, 12, 11, 10))
        data, _ = make_shard(simulator, Task(range(1)))
        with h5py.File(io.BytesIO(data)) as file:
            assert file["x"].attrs["axes"] == "sample,channel,x,y,z"
            assert file["depth_weight"].shape == (10,)

    def test_weights_say_where_scores_count(self, simulator: PairSimulator) -> None:
        weights = simulator.weights
        np.testing.assert_allclose(weights.depth, np.arange(SHAPE[1]) / (SHAPE[1] - 1), rtol=1e-6)
        assert weights.scored.shape == SHAPE
        np.testing.assert_array_equal(weights.scored[0], [0] * 4 + [1] * 12)

    def test_background_error_has_its_size_and_enters_the_perturbation(self, tiny: PairConfig) -> None:
        wrong = replace(tiny, imaging=replace(tiny.imaging, background_error=0.05))
        prior = Constant(np.full(SHAPE, 2000.0, np.float32))
        pairs = [PairSimulator(wrong, prior=prior)(index) for index in range(30)]
        errors = np.stack([np.log(pair.y[1] * 2000.0**2) for pair in pairs])
        # About one independent value a draw of this small model: a standard error of 1 / sqrt(60) = 13 %.
        np.testing.assert_allclose(errors.std(), 0.05, rtol=0.4)
        for pair in pairs:
            expected = 2000.0**-2 - pair.y[1].astype(np.float64)
            np.testing.assert_allclose(pair.x[0, :, 4:], expected[:, 4:], atol=1e-6 * 2000.0**-2)

    def test_patches_work_too(self, tiny: PairConfig, tmp_path: Path) -> None:
        np.save(tmp_path / "vp.npy", np.linspace(1800.0, 3000.0, 60) + np.zeros((60, 1)))
        prior = PatchPriorConfig(model=str(tmp_path / "vp.npy"), model_spacing=10.0)
        pair = simulate_pair(replace(tiny, prior=prior), 0)
        assert np.isfinite(pair.y).all()

    def test_a_configuration_that_cannot_be_simulated_is_refused(self, tiny: PairConfig) -> None:
        deep = replace(tiny, acquisition=replace(tiny.acquisition, source_depth=1000.0))
        with pytest.raises(ValueError, match="expected sources inside the model"):
            simulate_pair(deep, 0)


class TestFailedDraws:
    def test_are_left_out_and_named(self, tiny: PairConfig) -> None:
        class Sometimes(Constant):
            def draw(self, rng: np.random.Generator) -> np.ndarray:
                # A model without contrast scatters nothing, so it cannot carry noise at a stated ratio.
                return np.full(SHAPE, 2000.0) if rng.random() < 0.5 else super().draw(rng)

        simulator = PairSimulator(tiny, prior=Sometimes(step_model()))
        data, failed = make_shard(simulator, Task(range(8)))
        bad = [failure.index for failure in failed]
        assert 0 < len(bad) < 8
        assert all("expected an earth model that scatters waves" in failure.error for failure in failed)
        with h5py.File(io.BytesIO(data)) as file:
            assert sorted([*file["index"][()].tolist(), *bad]) == list(range(8))

    def test_of_a_whole_shard_stop_the_run(self, tiny: PairConfig) -> None:
        simulator = PairSimulator(tiny, prior=Constant(np.full(SHAPE, 2000.0)))
        with pytest.raises(
            PhysicsError, match="all draws from 4 to 5 failed, the first with: expected an earth"
        ):
            make_shard(simulator, Task(range(4, 6)))

    def test_that_end_their_process_are_left_out_when_told(self, tiny: PairConfig) -> None:
        known = Failure(2, "ends the process that makes it, each time")
        data, failed = make_shard(PairSimulator(tiny), Task(range(4), left_out=(known,)))
        assert failed == [known]
        with h5py.File(io.BytesIO(data)) as file:
            assert file["index"][()].tolist() == [0, 1, 3]
            assert "each time" in file.attrs["failed"]


class TestWork:
    def test_of_a_probe_gives_no_shard(self, tiny: PairConfig) -> None:
        assert ShardWork(tiny)(Task(range(4), probe=range(2))) is None

    def test_goes_from_one_configuration_to_another_and_back(self, tiny: PairConfig) -> None:
        # A worker of a cluster outlives a dataset.
        first, other = ShardWork(tiny), ShardWork(replace(tiny, seed=8))
        task = Task(range(1))
        once = first(task)
        assert other(task) != once
        assert first(task) == once

    def test_of_other_software_is_refused(self, tiny: PairConfig) -> None:
        work = ShardWork(tiny, versions={**ShardWork(tiny).versions, "numpy": "1.0"})
        with pytest.raises(ValueError, match=r"a worker with the software of the writer, .*'numpy': '1.0'"):
            work(Task(range(1)))
