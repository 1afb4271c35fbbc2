"""`seispost model`: tables and figures of one draw, and nothing else."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from small_run import RUN

from posterior.cli import VIEWS, main
from posterior.cli.config import load
from posterior.cli.model import _VIEWS, Scene

VOLUME = """
seed = 3

[prior]
kind = "layered"
velocity = [1800.0, 3000.0]

[survey]
shape = [14, 12, 10]
spacing = [20.0, 20.0, 20.0]
f0 = 8.0
record_length = 0.3
nbl = 6
space_order = 4

[acquisition]
kind = "areal"
num_sources = [2, 1]
num_receivers = [5, 4]

[imaging]
smoothing = 50.0

[splits.train]
count = 2

[splits.validation]
count = 1
"""

FIGURES = {"train-prior", *(f"train-1-{what}" for what in VIEWS if what not in ("prior", "plan"))}


def _write(folder: Path, text: str) -> Path:
    path = folder / "small.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that one look at everything leaves, and what it says."""
    folder = tmp_path_factory.mktemp("look")
    run = _write(folder, RUN)
    with redirect_stdout(io.StringIO()) as said:
        assert main(["model", str(run), "--index", "1", "--out", str(folder / "figures")]) == 0
    return folder, said.getvalue()


def test_every_view_is_offered_and_made() -> None:
    assert list(_VIEWS) == list(VIEWS)


def test_figures_are_written_and_nothing_else(looked: tuple[Path, str]) -> None:
    folder, _ = looked
    assert {path.name for path in folder.iterdir()} == {"small.toml", "figures"}
    assert {path.name for path in (folder / "figures").iterdir()} == {f"{name}.png" for name in FIGURES}
    for name in FIGURES:
        picture = matplotlib.image.imread(folder / "figures" / f"{name}.png")
        assert picture[..., :3].std() > 0.05, name


TABLES = {
    "prior": r"draws +100 of 24 x 20 cells",
    "model": r"survey +3 sources, 12 receivers each\nrecords +76 samples of 4 ms",
    "shot": r"source +at \(143.75, 25\) m\nsignal-to-noise ratio +12.0 dB over all shots",
    "wavefield": r"snapshots every +\d+ ms",
    "image": r"shots +3, signal-to-noise ratio 12.0 dB\ncorrelation with the truth +0?[.\d-]+",
    "gather": r"half-offsets +9, to 50 m in steps of 12.5 m",
    "plan": r"space order +4 .*\n(.*\n)*absorbing layer +matched, 6 cells",
}


@pytest.mark.parametrize("what", VIEWS)
def test_tables_are_printed(looked: tuple[Path, str], what: str) -> None:
    _, said = looked
    part = next(part for part in said.split("\n\n") if part.startswith(f"{what}: {VIEWS[what]}\n"))
    assert re.search(TABLES[what], part), part


def test_the_draw_is_that_of_the_pair(tmp_path: Path) -> None:
    config = load(_write(tmp_path, RUN), []).pairs("validation")
    scene = Scene(config, 0)
    pair = scene.simulator(0)
    muted = np.arange(20) * 12.5 <= 50.0
    dm = scene.true.m - scene.draw.background.m
    # Below the mute x is m - m0, and y's last channel m0, in single precision.
    np.testing.assert_allclose(pair.x[0][:, ~muted], dm[:, ~muted], rtol=0.0, atol=1e-6 * scene.true.m.max())
    np.testing.assert_allclose(pair.y[-1], scene.draw.background.m, rtol=1e-6)


def test_words_and_settings_may_follow_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = _write(tmp_path, RUN), tmp_path / "out"
    words = ["--split", "validation", "--out", str(out), "plan", "survey.boundary=sponge"]
    assert main(["model", str(run), *words]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"plan: {VIEWS['plan']}\n")
    assert re.search(r"absorbing layer +sponge", said)
    assert list(out.iterdir()) == []


def test_the_gathers_of_a_run_are_those_it_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = _write(tmp_path, RUN), tmp_path / "out"
    settings = ["imaging.offset=50.0", "imaging.offset_step=25.0"]
    assert main(["model", str(run), "--out", str(out), "gather", *settings]) == 0
    assert "5, to 50 m in steps of 25 m" in capsys.readouterr().out
    assert [path.name for path in out.iterdir()] == ["train-0-gather.png"]


@pytest.mark.slow
def test_volumes_are_looked_at_in_slices(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["model", str(_write(tmp_path, VOLUME)), "--index", "1", "--out", str(out)]) == 0
    assert {path.stem for path in out.iterdir()} == FIGURES


BAD = {
    "a view": (["shoot"], "expected what to look at among prior, model, shot, .*, got shoot"),
    "a split": (["--split", "tset"], r"expected a split of the run \(train, validation\), got 'tset'"),
    "an index": (["--index", "-1"], "expected the index of a draw, at least 0, got -1"),
    "a setting": (["survey.f00=3.0"], "survey.f00: no such setting"),
}


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD.keys())
def test_bad_words_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    out = tmp_path / "out"
    assert main(["model", str(_write(tmp_path, RUN)), "--out", str(out), *words]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(f"seispost: error: (.*: )?{message}.*\n", error), error
    assert not out.exists()


def test_unknown_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["model", str(tmp_path / "run.toml"), "--number", "3", "shot"])
    assert "unrecognized arguments: --number" in capsys.readouterr().err
