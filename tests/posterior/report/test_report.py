from __future__ import annotations

import gc
import json
import re
import weakref
from functools import partial
from html.parser import HTMLParser

import pytest
from chromium import PROGRAM, Browser
from known_run import write_exact_draws
from PIL import Image

from posterior.report import format_table, playback, splits, write_report
from posterior.report.playback import Playback

DRAWS = 39
COUNTS = {"train": 6, "calibration": 6, "test": 5, "test_augmented": 4}


draw = partial(write_exact_draws, count=DRAWS)


@pytest.fixture
def run(tmp_path, write_pairs):
    """A run whose network is 40 % too sure of itself."""
    for seed, (split, count) in enumerate(COUNTS.items()):
        data = write_pairs(tmp_path / "data" / split, count=count, shape=(16, 14), seed=seed)
        if split != "train":
            draw(tmp_path / "samples" / split, data, scale=0.6, seed=seed)
    records = [{"iteration": i, "loss": 1.0 / i, "lr": 1e-3} for i in range(1, 9)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "config.toml").write_text('seed = 3  # "<quoted>"\n')
    return tmp_path


class Page(HTMLParser):
    """Collects what a browser would fetch, and checks that tags close in order."""

    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.open = [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)
        self.images += tag == "img"
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_of_a_whole_run(run):
    metrics = write_report(run, title="Faults & <salt>", figures=1, extra={"seconds_total": 12.5})
    assert metrics == json.loads((run / "metrics.json").read_text())
    assert metrics["seconds_total"] == 12.5
    # The draws are 0.6 as wide as they should be.
    assert metrics["interval_factor"] == pytest.approx(1 / 0.6, rel=0.1)
    test = metrics["splits"]["test"]
    # 5 pairs x 224 independent cells: standard error of coverage 0.014 at 0.676, 0.009 at 0.9; four of each.
    assert test["coverage_90_raw"] == pytest.approx(0.676, abs=0.056)
    assert test["coverage_90"] == pytest.approx(0.9, abs=0.036)
    for key in ("snr_gain_db", "coverage_90", "coverage_90_raw", "std_rmse_slope"):
        assert metrics[key] == test[key]
    assert list(metrics["splits"]) == ["test", "test_augmented", "calibration"]
    assert "coverage_90" not in metrics["splits"]["calibration"]
    assert metrics["contraction_prior"] == "6 training pairs"
    assert metrics["drawn_by"]["seed"] == 7

    names = sorted(path.name for path in (run / "figures").glob("*.png"))
    # Four a split; panel, profiles, z-scores and spread for one pair of each split but calibration; training.
    assert len(names) == 3 * 4 + 2 * 4 + 1
    assert all((run / "figures" / name).with_suffix(".pdf").is_file() for name in names)
    text = (run / "report.html").read_text()
    page = Page(text)
    assert page.images == len(names)
    assert not page.open
    assert [link for link in page.links if not link.startswith("data:image/png;base64,")] == ["#viewer"]
    assert not re.search(r"https?://|url\(|@import|<script[^>]* src", text)
    assert "Faults &amp; &lt;salt&gt;" in text
    assert "&quot;&lt;quoted&gt;&quot;" in text
    assert not re.search(r"\$[a-z]", text)
    assert f"Interval factor {metrics['interval_factor']:.3f}" in text
    assert "wang: Gaussian window 11" in text
    check_table(metrics)


def check_table(metrics):
    lines = format_table(metrics).splitlines()
    assert lines[0].split() == ["test", "test_augmented", "calibration"]
    rows = {re.split(r"  +", line)[0]: re.split(r"  +", line)[1:] for line in lines[2:]}
    assert rows["Pairs"] == ["5", "4", "6"]
    shown = rows["90 % intervals hold, recalibrated (%)"]
    covered = [metrics["splits"][split]["coverage_90"] for split in ("test", "test_augmented")]
    assert shown == [f"{100 * covered[0]:.1f}", f"{100 * covered[1]:.1f}", "–"]
    assert rows["RMSE (s²/km²)"][0] == f"{1e6 * metrics['splits']['test']['rmse']:.4g}"
    assert any("Interval factor" in line for line in lines)


def test_without_calibration_split_intervals_stay_raw(tmp_path, write_pairs):
    data = write_pairs(tmp_path / "data" / "test", count=3, shape=(12, 14))
    draw(tmp_path / "samples" / "test", data)
    metrics = write_report(tmp_path, figures=1)
    assert metrics["interval_factor"] is None
    assert metrics["coverage_90"] is None
    assert metrics["coverage_90_raw"] == pytest.approx(0.9, abs=0.06)
    assert "No interval factor" in format_table(metrics)
    assert metrics["contraction_prior"] == "truths of each split"
    text = (tmp_path / "report.html").read_text()
    assert "No interval factor" in text
    assert not (tmp_path / "figures" / "training.png").exists()


def test_draws_are_held_one_pair_at_a_time_and_a_report_is_repeatable(tmp_path, write_pairs, monkeypatch):
    draw(tmp_path / "samples" / "test", write_pairs(tmp_path / "data" / "test", count=4, shape=(12, 14)))
    write_report(tmp_path, figures=1)
    files = [path for path in tmp_path.rglob("*") if path.suffix in (".html", ".json", ".pdf", ".png")]
    before = {path: path.read_bytes() for path in files}

    held, most = [], 0
    read = splits.read_samples

    def counting(path):
        nonlocal most
        found = read(path)
        gc.collect()
        held.append(weakref.ref(found.samples))
        most = max(most, sum(reference() is not None for reference in held))
        return found

    monkeypatch.setattr(splits, "read_samples", counting)
    write_report(tmp_path, figures=1)
    assert len(held) == 5  # once for the numbers, the median pair once more for its figures
    assert most <= 2  # the pair at hand, and the one before until its name is taken over
    assert len(before) > 10
    assert {path: path.read_bytes() for path in files} == before

    kept = tmp_path / "figures" / "mine.png"
    kept.write_bytes(b"not the report's")
    write_report(tmp_path, figures=2)
    panels = sorted(path.name for path in (tmp_path / "figures").glob("*-panel.*"))
    assert len(panels) == 4  # the weakest and the best in two formats; the median of before is gone
    assert kept.is_file()


def test_samples_that_do_not_belong_are_refused(run):
    (run / "samples" / "test" / "pair-000003.h5").unlink()
    with pytest.raises(ValueError, match=r"expected draws for 5 pairs, got 4; pair 3 is missing"):
        write_report(run)
    assert not (run / "metrics.json").exists()


def test_samples_of_other_data_are_refused(tmp_path, write_pairs):
    data = write_pairs(tmp_path / "data" / "test", count=3, shape=(12, 14))
    draw(tmp_path / "samples" / "test", data, fingerprint="0" * 64)
    with pytest.raises(ValueError, match=r"expected draws for pair 0 of data .* got pair 0 of 000000000000"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_run_without_samples_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder of draws for each split, got none"):
        write_report(tmp_path)


def test_splits_on_two_grids_are_refused(tmp_path, write_pairs):
    for split, shape in (("test", (12, 14)), ("other", (14, 14))):
        draw(tmp_path / "samples" / split, write_pairs(tmp_path / "data" / split, count=2, shape=shape))
    with pytest.raises(ValueError, match=r"splits on one grid, got \[\(12, 14\), \(14, 14\)\]"):
        write_report(tmp_path)


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium on PATH")
def test_a_whole_report_opens_offline_with_the_pairs_it_drew(run, tmp_path_factory):
    metrics = write_report(run, figures=1, playback=Playback(viewer_draws=7))
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.open((run / "report.html").as_uri() + "#draw=7")
        keys = browser.evaluate("[...document.querySelectorAll('#viewer option')].map(o => o.value)")
        count = browser.evaluate("document.querySelector('#viewer [data-role=count]').textContent")
        broken = browser.evaluate("[...document.images].filter(i => i.naturalWidth === 0).length")
        assert all(url.startswith(("file:", "data:", "about:")) for url in browser.requests)
        assert browser.complaints == []
    drawn = [re.match(r"(\w+)-pair-(\d+)-panel", name) for name in metrics["figures"]]
    assert keys == [f"{found[1]}-{int(found[2])}" for found in drawn if found]
    assert len(keys) == 2
    assert count == "7 of 7"
    assert broken == 0


def test_videos_are_made_on_request_and_removed_with_it(tmp_path, write_pairs, monkeypatch):
    monkeypatch.setattr(playback, "VIDEO_DRAWS", 3)
    draw(tmp_path / "samples" / "test", write_pairs(tmp_path / "data" / "test", count=3, shape=(12, 14)))
    metrics = write_report(tmp_path, figures=1, playback=Playback(viewer_draws=0, video=True))
    (name,) = metrics["videos"]
    with Image.open(tmp_path / "figures" / f"{name}.gif") as film:
        assert film.n_frames == 3
    text = (tmp_path / "report.html").read_text()
    assert f'href="figures/{name}.gif"' in text
    assert 'id="viewer"' not in text
    assert write_report(tmp_path, figures=1)["videos"] == []
    assert not (tmp_path / "figures" / f"{name}.gif").exists()
    assert 'id="viewer"' in (tmp_path / "report.html").read_text()
    with pytest.raises(ValueError, match="expected viewer_draws from 0 on, got -1"):
        Playback(viewer_draws=-1)
