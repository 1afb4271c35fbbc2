"""A report's page with two pairs in its viewer, open in headless Chromium."""

from __future__ import annotations

import re
from importlib.resources import files
from string import Template

import pytest
from chromium import PROGRAM, Browser
from exhibit import example_scene
from viewer_page import FACTOR, PAIRS, SHOWN

from posterior.report.viewer import Viewer


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with two pairs, in the report's own template."""
    viewer = Viewer(example_scene(FACTOR), SHOWN)
    for key, pair in PAIRS.items():
        viewer.add(key.removesuffix("-4"), pair, "rank 1 of 1")
    text = files("posterior.report").joinpath("report.html").read_text(encoding="utf-8")
    names = dict.fromkeys(re.findall(r"\$([a-z]+)", text), "")
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(Template(text).substitute(names | {"viewer": viewer.html()}), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("no Chromium on PATH")
    with Browser(tmp_path_factory.mktemp("browser"), size=(1000, 1600)) as started:
        yield started


@pytest.fixture
def page(browser, address):
    """The page as a reader opens it; when the test is over, nothing was fetched and nothing went wrong."""
    browser.requests.clear()
    browser.complaints.clear()
    browser.open("about:blank")
    browser.open(address)
    yield browser
    assert [url for url in browser.requests if not url.startswith((address, "about:", "data:"))] == []
    assert browser.complaints == []
