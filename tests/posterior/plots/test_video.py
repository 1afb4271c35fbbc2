from __future__ import annotations

import shutil

import numpy as np
import pytest
from matplotlib.animation import PillowWriter
from PIL import Image

from posterior import plots

AXES = plots.ImageAxes((12.5, 10.0))
QUANTITY = plots.Quantity.from_si("Velocity", "m/s")
DRAWS = 2000.0 + 300.0 * np.random.default_rng(0).standard_normal((4, 12, 10))
ABOUT = {"axes": AXES, "quantity": QUANTITY}


def test_film_has_a_frame_for_each_draw_and_only_the_draw_changes(tmp_path):
    path = plots.samples_video(DRAWS, tmp_path / "film.gif", fps=5, **ABOUT)
    assert path == tmp_path / "film.gif"
    assert [file.name for file in tmp_path.iterdir()] == ["film.gif"]
    with Image.open(path) as film:
        assert film.n_frames == len(DRAWS)
        assert film.info["duration"] == 200  # ms
        frames = []
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("L"), dtype=float))
    third = frames[0].shape[1] // 3
    # 48 grey levels: a file of 256 colours chooses its palette anew for every frame.
    moved = np.abs(frames[1] - frames[0]) > 48.0
    assert moved[:, :third].mean() > 0.05
    assert moved[:, third + 20 :].mean() < 0.005


def test_a_film_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "film.gif"
    path.write_bytes(b"old")

    grab = PillowWriter.grab_frame
    frames = []

    def fill(writer, **more):
        frames.append(grab(writer, **more))
        if len(frames) == 3:
            raise OSError("disk full")

    monkeypatch.setattr(PillowWriter, "grab_frame", fill)
    with pytest.raises(OSError, match="disk full"):
        plots.samples_video(DRAWS, path, **ABOUT)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["film.gif"]


def test_mp4_without_ffmpeg_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"program ffmpeg on PATH for .mp4, got none: write .gif"):
        plots.samples_video(DRAWS, tmp_path / "film.mp4", **ABOUT)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the program ffmpeg")
def test_mp4_is_written(tmp_path):
    path = plots.samples_video(DRAWS, tmp_path / "film.mp4", **ABOUT)
    assert path.read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("draws", "name", "fps", "message"),
    [
        (DRAWS, "film.avi", 4, r"ending in .gif or .mp4, got 'film.avi'"),
        (DRAWS, "film.gif", 0, "positive number of frames a second, got 0"),
        (DRAWS[:1], "film.gif", 4, "S >= 2 draws"),
        (DRAWS * np.nan, "film.gif", 4, "finite samples"),
        (DRAWS[0], "film.gif", 4, "one channel"),
    ],
)
def test_bad_input_says_what_came(tmp_path, draws, name, fps, message):
    with pytest.raises(ValueError, match=message):
        plots.samples_video(draws, tmp_path / name, fps=fps, **ABOUT)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder for the film"):
        plots.samples_video(DRAWS, tmp_path / "none" / "film.gif", **ABOUT)
