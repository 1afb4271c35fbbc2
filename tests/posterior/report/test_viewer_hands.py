"""The viewer in headless Chromium under slider, keys, mouse and finger."""

from __future__ import annotations

import pytest
from viewer_page import SHOWN, centre_of, check_read_out, read_out, text_of


def test_slider_and_arrow_keys_leaf_through_the_draws(page):
    page.evaluate("document.querySelector('#viewer [data-role=draw]').focus()")
    before = read_out(page)
    for draw in (1, 2):
        page.press("ArrowRight")
        check_read_out(page, "test-4", 12, 8, draw)
        assert text_of(page, "draw-title") == f"Posterior draw {draw + 1}"
    after = read_out(page)
    assert {name for name in before if before[name] != after.get(name)} == {"Draw 1"}
    page.press("ArrowLeft")
    check_read_out(page, "test-4", 12, 8, 1)
    page.evaluate("document.querySelector('#viewer [data-role=back]').focus()")
    for draw in (0, SHOWN - 1):  # round the end
        page.press("ArrowLeft")
        check_read_out(page, "test-4", 12, 8, draw)


def test_leafing_redraws_the_draw_and_the_profiles_alone(page):
    def pixels():
        page.settle()
        return page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('#viewer canvas')]"
            ".map(c => [c.dataset.section ?? c.dataset.profile ?? c.dataset.bar, c.toDataURL()]))"
        )

    before = pixels()
    page.evaluate("document.querySelector('#viewer [data-role=next]').click()")
    after = pixels()
    assert {name for name in before if before[name] != after[name]} == {"draw", "vertical", "horizontal"}


def test_play_goes_on_until_paused(page):
    button = "document.querySelector('#viewer [data-role=play]')"
    page.evaluate(f"{button}.click()")
    assert page.evaluate(f"[{button}.textContent, {button}.ariaPressed]") == ["Pause", "true"]
    moved = (
        "new Promise(done => { const wait = () => document.querySelector('#viewer [data-role=count]')"
        ".textContent.startsWith('3 ') ? done(true) : setTimeout(wait, 20); wait() })"
    )
    assert page.evaluate(moved)
    page.evaluate(f"{button}.click()")
    still = text_of(page, "count")
    # Three of the player's 200 ms.
    page.evaluate("new Promise(done => setTimeout(done, 600))")
    assert text_of(page, "count") == still
    assert text_of(page, "play") == "Play"


@pytest.mark.parametrize("section", ["truth", "draw", "std"])
def test_the_mouse_picks_keeps_and_lets_go(page, section):
    page.mouse("mouseMoved", *centre_of(page, section, 3, 2))
    check_read_out(page, "test-4", 3, 2, 0)
    page.mouse("mousePressed", *centre_of(page, section, 20, 11))
    page.mouse("mouseReleased", *centre_of(page, section, 20, 11))
    assert read_out(page)["z"].endswith("kept")
    page.mouse("mouseMoved", *centre_of(page, section, 5, 5))
    check_read_out(page, "test-4", 20, 11, 0)
    page.mouse("mousePressed", *centre_of(page, section, 7, 6))
    page.mouse("mouseReleased", *centre_of(page, section, 7, 6))
    page.mouse("mouseMoved", *centre_of(page, section, 8, 1))
    check_read_out(page, "test-4", 8, 1, 0)


def test_a_finger_picks_and_keeps(page):
    page.tap(*centre_of(page, "mean", 17, 9))
    check_read_out(page, "test-4", 17, 9, 0)
    assert read_out(page)["z"].endswith("kept")


def test_keys_move_the_point_of_a_section_in_focus(page):
    page.evaluate("document.querySelector('canvas[data-section=truth]').focus()")
    for key, cell in (
        ("ArrowRight", (13, 8)),
        ("ArrowDown", (13, 9)),
        ("ArrowLeft", (12, 9)),
        ("ArrowUp", (12, 8)),
    ):
        page.press(key)
        check_read_out(page, "test-4", *cell, 0)
    page.press("PageDown")
    check_read_out(page, "test-4", 12, 8, 1)


@pytest.mark.parametrize("width", [360, 420, 1000])
def test_nothing_is_wider_than_the_window(page, width):
    page.resize(width, 1600)
    try:
        page.settle()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        sizes = page.evaluate(
            "[...document.querySelectorAll('#viewer canvas')]"
            ".map(c => [c.width, c.clientWidth, c.clientHeight])"
        )
        assert all(inner == outer > 100 for inner, outer, _ in sizes)
        assert all(height > 40 for _, _, height in sizes)
    finally:
        page.resize(1000, 1600)
