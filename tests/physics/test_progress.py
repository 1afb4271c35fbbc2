"""The progress line, and the compiler's locks that a killed process leaves."""

import io
from pathlib import Path

import pytest

from physics.jit_locks import clear_stale_locks
from physics.progress import Progress, format_seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.6, "1 s"),
        (59.6, "1 min"),
        (754.0, "12 min 34 s"),
        (3600.0, "1 h"),
        (7500.0, "2 h 5 min"),
        (93600.0, "1 d 2 h"),
        (8640000.0, "100 d"),
    ],
)
def test_durations_are_written_in_two_units(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


class TestProgress:
    def test_writes_sparse_lines_to_a_log(self) -> None:
        log = io.StringIO()
        with Progress(total=100, done=20, label="train", stream=log) as progress:
            for _ in range(80):
                progress.advance(1)
        lines = log.getvalue().splitlines()
        assert lines[0] == "train: 20 of 100 pairs are there already"
        assert lines[-1].startswith("train: 100 of 100 pairs (100%), ")
        assert " pairs/s, 0 s left" in lines[-1]
        assert len(lines) == 2

    def test_draws_a_bar_on_a_terminal(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        terminal = Terminal()
        with Progress(total=10, done=0, label="train", stream=terminal) as progress:
            progress.advance(10)
        assert "train: 100%" in terminal.getvalue()
        assert "10/10" in terminal.getvalue()

    def test_can_be_silent(self) -> None:
        log = io.StringIO()
        with Progress(total=1, done=0, label="train", enabled=False, stream=log) as progress:
            progress.advance(1)
        assert log.getvalue() == ""


class TestCompilerLocks:
    def test_of_dead_processes_are_removed_and_of_living_ones_kept(self, tmp_path: Path) -> None:
        for name in ("stale", "held"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "lock").touch()
        with (tmp_path / "held" / "lock").open():
            assert clear_stale_locks(tmp_path) == 1
            assert (tmp_path / "held" / "lock").exists()
        assert not (tmp_path / "stale" / "lock").exists()
        assert clear_stale_locks(tmp_path) == 1

    def test_of_no_cache_are_none(self, tmp_path: Path) -> None:
        assert clear_stale_locks(tmp_path / "none") == 0
