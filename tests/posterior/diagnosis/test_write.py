"""A whole run diagnosed: files, numbers, what is kept between calls, what is refused."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from known_run import write_exact_draws, write_untrained

from posterior.dataset import PairDataset
from posterior.diagnosis import DiagnoseConfig, Watch, diagnose, fit_watch, format_table
from posterior.diagnosis.density import Densities, log_densities
from posterior.diagnosis.table import table
from posterior.report.splits import open_splits
from posterior.sample import AmortizedPosterior
from posterior.standardise import Standardiser

DRAWS = 39
SHAPE = (12, 8)
QUIET = DiagnoseConfig(progress=False)
COUNTS = {"train": 40, "validation": 20, "calibration": 20, "test": 24}


@pytest.fixture
def run(tmp_path, write_pairs):
    """A run whose draws are 40 % too narrow, without a model."""
    for seed, (split, count) in enumerate(COUNTS.items()):
        data = write_pairs(tmp_path / "data" / split, count=count, shard=20, shape=SHAPE, seed=seed)
        if split in ("calibration", "test"):
            write_exact_draws(tmp_path / "samples" / split, data, count=DRAWS, scale=0.6, seed=seed)
    return tmp_path


@pytest.fixture
def trained(run):
    """The same run with a model that knows nothing, and its draws of the test pairs."""
    shutil.rmtree(run / "samples")
    write_untrained(run, count=DRAWS)
    return run


class Fetched(HTMLParser):
    """Collects what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.links = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_a_run_that_is_too_narrow_is_told_so_and_recalibration_repairs_its_cells(run):
    found = diagnose(run, config=QUIET)
    assert found == json.loads((run / "diagnosis.json").read_text())
    assert list(found["splits"]) == ["test", "calibration"]
    test = found["splits"]["test"]
    # 24 pairs x 96 independent cells: standard errors 0.01 at 0.676 and 0.006 at 0.9; four of each.
    assert test["raw"]["coverage"]["90"]["share"] == pytest.approx(0.676, abs=0.04)
    assert test["recalibrated"]["coverage"]["90"]["share"] == pytest.approx(0.9, abs=0.03)
    assert test["raw"]["coverage_p"] < 0.01 < test["recalibrated"]["coverage_p"]
    assert test["raw"]["calibration_error"]["value"] == pytest.approx(1 / 0.6 - 1, abs=0.1)
    assert "recalibrated" not in found["splits"]["calibration"]
    assert test["contraction"] == pytest.approx(1 - 0.36 * 0.1, abs=0.01)
    # No model: no log-densities, no alarm, and the page says so.
    assert "log_score" not in test["raw"]
    text = (run / "diagnosis.html").read_text()
    assert "No alarm was fitted" in text
    assert "$" not in text.partition("</style>")[2]
    links = Fetched(text).links
    assert len(links) == len(found["figures"])
    assert all(link.startswith("data:image/png;base64,") for link in links)
    header, rows = table(found)
    assert header == ["", "test, raw", "test, recalibrated", "calibration, raw"]
    assert all(len(row) == 4 for row in rows)
    assert "67" in format_table(found)


def densities(run):
    split = open_splits(run)["test"]
    posterior = AmortizedPosterior.load(run / "model")
    return log_densities(posterior, split, run / "log-density.json", draws=8, progress=False)


def test_log_densities_go_on_where_they_stopped(trained, monkeypatch):
    first, path = densities(trained), trained / "log-density.json"
    assert first.draws.shape == (COUNTS["test"], 8)
    x, y = PairDataset(trained / "data" / "test")[2]
    exact_value = AmortizedPosterior.load(trained / "model").log_prob(x, y)[0]
    assert first.truths[2] == pytest.approx(exact_value, rel=1e-6)  # evaluated in another batch
    kept = json.loads(path.read_text())
    del kept["pairs"]["3"]  # as after an interruption
    path.write_text(json.dumps(kept))
    calls, log_prob = [], AmortizedPosterior.log_prob

    def counted(self, x, y):
        calls.append(len(x))
        return log_prob(self, x, y)

    monkeypatch.setattr(AmortizedPosterior, "log_prob", counted)
    again = densities(trained)
    assert calls == [9]  # one pair: its truth and 8 draws
    np.testing.assert_array_equal(again.truths, first.truths)
    path.write_text("{ half a file")
    densities(trained)
    assert len(calls) == 1 + COUNTS["test"]


def test_credibility_counts_the_denser_draws():
    found = Densities(np.array([0.0, -9.0]), np.array([[-1.0, -2.0], [-1.0, -2.0]]), 4)
    assert found.credibilities.ranks.tolist() == [0, 2]
    assert found.score.value == pytest.approx(4.5 / 4)


def test_the_watch_is_fitted_once(trained, monkeypatch):
    first = fit_watch(trained, progress=False)
    # 20 held-out surveys and 13 training ones kept aside afford one check at 5 %.
    assert [reference.name for reference in first.references] == ["structure"]
    monkeypatch.setattr(Watch, "fit", None)  # must not be called again
    assert fit_watch(trained, progress=False).about == first.about


def test_the_watch_of_another_model_is_fitted_anew(trained):
    before = fit_watch(trained, progress=False)
    posterior = AmortizedPosterior.load(trained / "model")
    units = posterior.standardiser
    wider = Standardiser(units.x_mean, tuple(2.0 * s for s in units.x_std), units.y_mean, units.y_std)
    path = trained / "model" / "watch.npz"
    kept = path.read_bytes()
    AmortizedPosterior(posterior.flow, wider, posterior.info).save(trained / "model")
    path.write_bytes(kept)
    after = fit_watch(trained, progress=False)
    assert after.about["model_sha256"] != before.about["model_sha256"]


def test_what_cannot_be_diagnosed_is_refused(run):
    with pytest.raises(ValueError, match=r"expected a split among \['test', 'calibration'\], got 'tset'"):
        diagnose(run, split="tset", config=QUIET)
    shutil.rmtree(run / "data" / "train")
    with pytest.raises(FileNotFoundError, match="train"):
        diagnose(run, config=QUIET)
    assert not (run / "diagnosis.html").exists()


def test_draws_of_another_model_are_refused(trained):
    shutil.rmtree(trained / "samples")
    write_exact_draws(trained / "samples" / "test", trained / "data" / "test", count=DRAWS)
    with pytest.raises(ValueError, match="expected draws of model"):
        densities(trained)
