"""The viewer in headless Chromium: what it shows are the posterior's numbers."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from exhibit import SHAPE, example_scene
from viewer_page import FACTOR, PAIRS, SHOWN, check_read_out, follow, text_of

from posterior import uq
from posterior.report.viewer import pack_pair


def test_a_page_opens_on_the_first_pair_draw_and_middle(page):
    check_read_out(page, "test-4", 12, 8, 0)
    assert text_of(page, "count") == f"1 of {SHOWN}"
    assert f"{SHOWN} of 40 draws are shown" in text_of(page, "note")
    assert "times 1.300" in page.evaluate("document.getElementById('viewer').innerText")


def test_a_link_sets_pair_draw_and_point_and_is_offered_again(page):
    link = "#pair=test_augmented-4&draw=7&x=6400&z=900"
    follow(page, link)
    check_read_out(page, "test_augmented-4", 14, 4, 6)
    assert page.evaluate("document.querySelector('#viewer [data-role=link]').getAttribute('href')") == link
    assert page.evaluate("document.querySelector('#viewer [data-role=pair]').value") == "test_augmented-4"
    assert text_of(page, "vertical-title") == "Vertical profile at x = 6.4 km"
    assert text_of(page, "horizontal-title") == "Horizontal profile at z = 0.9 km"


def test_a_link_opens_a_fresh_page_where_it_points(page, address):
    page.open("about:blank")
    page.open(f"{address}#pair=test_augmented-4&draw=3&x=5000&z=2550")
    check_read_out(page, "test_augmented-4", 0, 15, 2)


@pytest.mark.parametrize("link", ["#pair=nowhere&draw=x&x=&z=nan", "#", "#draw=", "#pair=%3Cb%3E"])
def test_a_link_that_makes_no_sense_changes_nothing(page, link):
    follow(page, link)
    check_read_out(page, "test-4", 12, 8, 0)


def test_a_link_beyond_the_ends_goes_to_the_ends(page):
    follow(page, "#pair=test-4&draw=900&x=-1e9&z=1e9")
    check_read_out(page, "test-4", 0, 15, SHOWN - 1)


def test_the_picked_trace_as_text_is_that_of_numpy(page):
    follow(page, "#pair=test_augmented-4&draw=5&x=6000&z=900")
    page.evaluate("document.querySelector('#viewer details').open = true")
    page.settle()
    text = page.evaluate("document.querySelector('#viewer pre').textContent")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == SHAPE[1]
    got = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    pair = PAIRS["test_augmented-4"]
    draws = 1e6 * pair.draws.astype(np.float64)
    wide = FACTOR.widen(draws)
    (lower90, upper90), (lower50, upper50) = (uq.credible_interval(wide, level) for level in (0.9, 0.5))
    expected = {
        "truth": 1e6 * pair.truth,
        "mean": draws.mean(axis=0),
        "std": draws.std(axis=0, ddof=1),
        "lower90": lower90,
        "upper90": upper90,
        "lower50": lower50,
        "upper50": upper50,
        "draw": draws[4],
    }
    packed = pack_pair(pair, example_scene(FACTOR), SHOWN)
    np.testing.assert_allclose(got["depth (km)"], 0.3 + 0.15 * np.arange(SHAPE[1]))
    for name, section in expected.items():
        step = (packed["draws"] if name == "draw" else packed["sections"][name])["step"]
        # Half a step, a thousandth more for rounding in floating point and in the text's eighth digit.
        assert np.abs(got[name] - section[10]).max() <= 0.501 * step, name


def test_pictures_show_the_values_in_the_colours_of_the_bar(page):
    """The draw's cell, read back from its canvas, has the colour that matplotlib gives its value."""
    packed = pack_pair(PAIRS["test-4"], example_scene(FACTOR), SHOWN)
    low, high = packed["limits"]
    cells = [[2, 3], [20, 12], [15, 1]]
    # The canvas is read once: Chromium warns of more.
    pixels = page.evaluate(
        "(() => { const c = document.querySelector('canvas[data-section=draw]');"
        "const all = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "const cell = (c.clientWidth - 54) / 24;"
        "const at = (x, z) => 4 * (Math.floor(4 + (z + 0.5) * 1.5 * cell) * c.width"
        " + Math.floor(46 + (x + 0.5) * cell));"
        f"return {cells}.map(([x, z]) => [...all.slice(at(x, z), at(x, z) + 3)]) }})()"
    )
    for (col, row), (red, green, blue) in zip(cells, pixels, strict=True):
        share = np.clip((1e6 * PAIRS["test-4"].draws[0, col, row] - low) / (high - low), 0, 1)
        assert red == green == blue
        assert red == pytest.approx(255 * share, abs=1.5)
