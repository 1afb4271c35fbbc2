"""What the tests of the report's viewer read off a page in Chromium, and what it should be."""

from __future__ import annotations

import re

import numpy as np
import pytest
from exhibit import SHAPE, example_pair, example_scene

from posterior import uq
from posterior.report.viewer import pack_pair

SHOWN = 12
FACTOR = uq.IntervalRecalibration(1.3, 0.9, 8, "expected", 0.9)
PAIRS = {"test-4": example_pair(), "test_augmented-4": example_pair(seed=2)}


def text_of(page, role):
    return page.evaluate(f"document.querySelector('#viewer [data-role={role}]').textContent")


def read_out(page):
    rows = page.evaluate(
        "[...document.querySelectorAll('#viewer dl div')].map(row => [...row.children].map(c => c.innerText))"
    )
    return {name: text.replace("−", "-") for name, text in rows}


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d[\d.]*(?:e[+-]?\d+)?", text)]


def follow(page, link):
    page.evaluate(f"location.hash = '{link}'")
    page.settle()


def centre_of(page, section, col, row):
    """Where on the window a cell of a section is: the canvas leaves 46 px left, 8 right and 4 above."""
    page.evaluate(f"document.querySelector('canvas[data-section={section}]').scrollIntoView()")
    left, top, width = page.evaluate(
        f"(() => {{ const box = document.querySelector('canvas[data-section={section}]')"
        ".getBoundingClientRect(); return [box.left, box.top, box.width] })()"
    )
    across = (width - 54) / SHAPE[0]
    return left + 46 + (col + 0.5) * across, top + 4 + (row + 0.5) * 1.5 * across


def expected_at(key, col, row, draw):
    """Values in s²/km², from the draws themselves."""
    pair = PAIRS[key]
    draws, truth = 1e6 * pair.draws.astype(np.float64), 1e6 * pair.truth
    wide = FACTOR.widen(draws)
    return {
        "Truth": [truth[col, row]],
        "Mean": [draws.mean(axis=0)[col, row]],
        "Std": [draws.std(axis=0, ddof=1)[col, row]],
        "|Error|": [abs(draws.mean(axis=0) - truth)[col, row]],
        f"Draw {draw + 1}": [draws[draw, col, row]],
        "50 % interval": [bound[col, row] for bound in uq.credible_interval(wide, 0.5)],
        "90 % interval": [bound[col, row] for bound in uq.credible_interval(wide, 0.9)],
    }


def check_read_out(page, key, col, row, draw):
    shown = read_out(page)
    errors = pack_pair(PAIRS[key], example_scene(FACTOR), SHOWN)["errors"]
    assert numbers(shown["x"]) == [pytest.approx(5.0 + 0.1 * col)]
    assert numbers(shown["z"])[0] == pytest.approx(0.3 + 0.15 * row)
    assert "km" in shown["x"]
    for name, values in expected_at(key, col, row, draw).items():
        assert "s²/km²" in shown[name]
        found = numbers(shown[name].replace("s²/km²", ""))
        # Half a step of the codes, twice that for a difference, and half a unit of the fourth digit.
        bound = 2.0 * max(errors.values())
        assert found == [pytest.approx(value, rel=5.1e-4, abs=bound) for value in values], name
