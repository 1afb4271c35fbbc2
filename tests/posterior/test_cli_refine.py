"""``seispost refine``: the posterior of a pair of a run, corrected by its own shots."""

from __future__ import annotations

import argparse
import json

import pytest
import torch

from physics.config import LayeredPriorConfig, NoiseConfig, PairConfig, SpreadConfig, SurveyConfig
from physics.config.noise import WhiteSpectrumConfig
from posterior.cli.commands import run_stage
from posterior.cli.refine import add_refine, born_likelihood, exact, refine, settings_of
from posterior.refine import Batch, Refined
from posterior.sample import AmortizedPosterior

RUN = """
seed = 3
prior = { kind = "layered", velocity = [1800.0, 3000.0] }
survey = { shape = [16, 16], spacing = [12.5, 12.5], record_length = 0.3, nbl = 6 }
acquisition = { kind = "spread", num_sources = 2, num_receivers = 8 }
imaging = { smoothing = 50.0 }
splits = { train = { count = 8 }, validation = { count = 4 }, test = { count = 2 } }
network = { hidden = 4, scales = 1, steps = 1, summary_width = 4, cond_channels = 2 }
train = { iterations = 2, batch_size = 4, warmup = 1 }
"""


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_refine(parser)
    return parser.parse_args(list(words))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run file with its trained run beside it."""
    folder = tmp_path_factory.mktemp("refine")
    file = folder / "tiny.toml"
    file.write_text(RUN)
    for stage in ("simulate", "train"):
        run_stage(stage, file, folder / "run", [], quiet=True)
    return file, folder / "run"


def pair_config(**options) -> PairConfig:
    survey = SurveyConfig(shape=(16, 16), record_length=0.3, nbl=6)
    spread = SpreadConfig(num_sources=2, num_receivers=16)
    given = {"survey": survey, "acquisition": spread, "prior": LayeredPriorConfig(velocity=(1800.0, 3000.0))}
    return PairConfig(seed=5, stream="test", **(given | options))


def test_a_pair_is_refined_and_written(run, capsys):
    file, out = run
    words = (str(file), "--out", str(out), "--pair", "1", "--passes", "2", "--quiet")
    assert refine(parsed(*words)) == 0
    assert "latent, towards q(x|y) p(d|x): finished after 2 steps" in capsys.readouterr().err
    folder = out / "refined" / "test-000001-latent"
    report = json.loads((folder / "report.json").read_text())
    checks = 2 * report["config"]["check_draws"] * 2
    assert report["solves"] == [4 + checks, 4]  # 2 passes over 2 shots
    assert report["after"]["calibration"] is not None
    again = Refined.load(folder / "posterior", AmortizedPosterior.load(out / "model"))
    assert again.sample(2).shape == (2, 1, 16, 16)


def test_a_pair_that_is_not_there_is_named(run):
    file, out = run
    with pytest.raises(ValueError, match="expected one of the 2 pairs of the split, got 7"):
        refine(parsed(str(file), "--out", str(out), "--pair", "7"))


def test_the_truth_has_a_chi_square_of_one():
    """Twice the value over 2 x 16 x k data: to five standard deviations; half the noise would give 4."""
    from physics.pairs import PairSimulator

    simulator = PairSimulator(exact(pair_config(noise=NoiseConfig(snr_db=6.0, ratio="survey"))))
    draw = simulator.draw(0)
    likelihood = born_likelihood(simulator, draw)
    truth = torch.from_numpy(draw.dm)[None, None]
    found = 2.0 * float(likelihood.value(truth, Batch.all_shots(1, 2))) / likelihood.num_data
    assert found == pytest.approx(1.0, abs=5.0 * (2.0 / likelihood.num_data) ** 0.5)


def test_noise_of_another_kind_is_refused():
    from physics.pairs import PairSimulator

    simulator = PairSimulator(exact(pair_config(noise=NoiseConfig(spectrum=WhiteSpectrumConfig()))))
    with pytest.raises(ValueError, match=r"expected survey\.data"):
        born_likelihood(simulator, simulator.draw(0))


def test_settings_spend_the_passes_that_are_asked_for():
    config = settings_of("latent", 8, 20)
    assert config.iterations * config.batch_size * config.rows == 20 * 8
    assert settings_of("latent_map", 8, 5).budget == 2 * 5 * 8 + 2 * 8
    assert settings_of("importance", 8, 5, seed=3).seed == 3
