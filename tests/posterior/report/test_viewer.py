from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
from exhibit import DRAWS, SHAPE, example_pair, example_scene

from posterior.report.viewer import FULL_BYTES, MOST_BYTES, Viewer, pack_pair, pack_scene
from posterior.uq import IntervalRecalibration, credible_interval

FACTOR = IntervalRecalibration(1.5, 0.9, 8, "expected", 0.9)


def unpack(packed, shape):
    codes = np.frombuffer(base64.b64decode(packed["codes"]), dtype=f"<u{packed['bits'] // 8}")
    return (packed["offset"] + packed["step"] * codes).reshape(shape)


def test_sections_and_draws_are_in_the_unit_shown_within_half_a_step():
    pair, scene = example_pair(), example_scene()
    packed = pack_pair(pair, scene, 10)
    lower, upper = credible_interval(pair.draws, 0.9)
    expected = {
        "truth": pair.truth,
        "mean": pair.draws.mean(axis=0, dtype=np.float64),
        "std": pair.draws.std(axis=0, ddof=1, dtype=np.float64),
        "lower90": lower,
        "upper90": upper,
    }
    for name, section in expected.items():
        values = packed["sections"][name]
        # A thousandth of a step for rounding in floating point.
        bound = 0.501 * values["step"]
        assert np.abs(unpack(values, SHAPE) - 1e6 * section).max() <= bound, name
        assert 0.5 * values["step"] <= packed["errors"]["sections"]
    draws = unpack(packed["draws"], (10, *SHAPE))
    assert np.abs(draws - 1e6 * pair.draws[:10]).max() <= 1.0001 * packed["errors"]["draws"]
    assert (packed["count"], packed["of"], packed["draws"]["bits"]) == (10, DRAWS, 16)


def test_intervals_are_those_of_all_draws_recalibrated_and_the_page_says_so():
    pair = example_pair()
    raw, wide = (
        {k: unpack(v, SHAPE) for k, v in pack_pair(pair, example_scene(factor), 5)["sections"].items()}
        for factor in (None, FACTOR)
    )
    median = 1e6 * np.median(pair.draws, axis=0)
    for name in ("lower90", "lower50", "upper50", "upper90"):
        # Both are rounded to 1 / 131 068 of their range, some 0.05.
        np.testing.assert_allclose(wide[name] - median, 1.5 * (raw[name] - median), atol=2e-6)
    np.testing.assert_array_equal(wide["std"], raw["std"])
    for factor, words in ((None, "the network&#x27;s own, of all draws"), (FACTOR, "times 1.500")):
        viewer = Viewer(example_scene(factor), 5)
        viewer.add("test", pair, "rank 1 of 1")
        assert words in viewer.html()


@pytest.mark.parametrize(
    ("shape", "bits", "count"),
    [((64, 64), 16, 50), ((128, 128), 16, 50), ((180, 180), 8, 50), ((600, 300), 8, 23)],
)
def test_large_sections_are_kept_coarser_and_then_fewer(shape, bits, count):
    pair, scene = example_pair(shape, draws=50), example_scene(shape=shape)
    packed = pack_pair(pair, scene, 50)
    assert (packed["draws"]["bits"], packed["count"], packed["of"]) == (bits, count, 50)
    size = len(base64.b64decode(packed["draws"]["codes"]))
    assert size == bits // 8 * count * pair.truth.size
    assert size <= (FULL_BYTES if bits == 16 else MOST_BYTES)
    values = unpack(packed["draws"], (count, *shape))
    assert np.abs(values - 1e6 * pair.draws[:count]).max() <= 1.0001 * packed["errors"]["draws"]


def test_the_demo_keeps_a_megabyte_a_pair():
    shape = (64, 64)
    pair, sizes = example_pair(shape, draws=200), []
    for draws in (0, 50):
        viewer = Viewer(example_scene(shape=shape), draws)
        viewer.add("test", pair, "rank 1 of 1")
        sizes.append(len(viewer.html()))
    assert sizes[0] == 0
    # 50 draws and 8 sections of 64 x 64 cells to 16 bits, a third more in base64: 0.63 MB; script 25 kB.
    assert 0.6e6 < sizes[1] < 0.7e6


def test_values_about_zero_are_grey_and_symmetric_others_are_not():
    pair, scene = example_pair(), example_scene()
    packed = pack_pair(pair, scene, 5)
    assert packed["map"] == "gray"
    assert packed["limits"][0] == -packed["limits"][1]
    velocity = type(pair)(0, 2e-6 + pair.truth, pair.image, 2e-6 + pair.draws)
    packed = pack_pair(velocity, scene, 5)
    assert packed["map"] == "viridis"
    np.testing.assert_allclose(packed["limits"], np.percentile(1e6 * velocity.truth, [0.5, 99.5]))
    flat = type(pair)(0, np.full(SHAPE, 2e-6), pair.image, pair.draws)
    low, high = pack_pair(flat, scene, 5)["limits"]
    assert high > low


def test_the_scene_states_grid_and_unit_and_brings_its_colours():
    packed = pack_scene(example_scene())
    assert packed["shape"] == list(SHAPE)
    assert (packed["unit"], packed["metres"]) == ("km", 1000.0)
    np.testing.assert_allclose(packed["spacing"], [0.1, 0.15])
    np.testing.assert_allclose(packed["origin"], [5.0, 0.3])
    assert packed["quantity"] == {"label": "Perturbation (s²/km²)", "unit": "s²/km²"}
    assert all(len(base64.b64decode(colours)) == 768 for colours in packed["maps"].values())
    assert packed["magnitude"] in packed["maps"]


def test_the_page_holds_every_pair_once_and_no_text_can_break_out():
    viewer = Viewer(example_scene(), 3)
    viewer.add("test", example_pair(), "</script><b>")
    viewer.add("test_augmented", example_pair(seed=2), "rank 2 of 2")
    text = viewer.html()
    assert re.findall(r'<option value="([^"]*)"', text) == ["test-4", "test_augmented-4"]
    data = re.findall(r'<script type="application/json" id="([^"]*)">(.*?)</script>', text)
    assert [name for name, _ in data] == [
        "viewer-scene",
        "viewer-pair-test-4",
        "viewer-pair-test_augmented-4",
    ]
    assert json.loads(data[1][1])["label"] == "test, pair 4 (</script><b>)"
    assert "test augmented, pair 4 (rank 2 of 2)" in text
    assert "<b>" not in text
    assert not re.search(r"https?:|url\(|@import|\bimport\b|fetch\(|XMLHttp|\beval\b|innerHTML", text)


def test_without_draws_or_pairs_there_is_no_viewer():
    none = Viewer(example_scene(), 0)
    none.add("test", example_pair(), "rank 1 of 1")
    assert none.html() == ""
    assert Viewer(example_scene(), 5).html() == ""
    with pytest.raises(ValueError, match="expected a number of draws from 0 on, got -1"):
        Viewer(example_scene(), -1)
