"""Progress of a long run: a bar on a terminal, sparse lines in a log."""

from __future__ import annotations

import sys
import time
from typing import TextIO, final

from tqdm import tqdm

_LINE_SECONDS = 10.0
"""Least time between two lines in a log."""


def format_seconds(seconds: float) -> str:
    """Write a duration in its two largest units.

    Example:
        >>> format_seconds(45.2), format_seconds(754.0), format_seconds(93600.0)
        ('45 s', '12 min 34 s', '1 d 2 h')
    """
    left = round(seconds)
    parts: list[tuple[int, str]] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or parts or unit == "s":
            parts.append((number, unit))
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number or len(parts) == 1)


@final
class Progress:
    """Count finished pairs and say how fast they come and how long the rest will take.

    Args:
        total: Pairs in all.
        done: Pairs that are there already.
        label: What is being made.
        enabled: False says nothing.
        stream: Where to write; standard error when None.

    Example:
        >>> with Progress(total=2, done=0, label="train", enabled=False) as progress:
        ...     progress.advance(2)
    """

    def __init__(
        self, *, total: int, done: int, label: str, enabled: bool = True, stream: TextIO | None = None
    ) -> None:
        self._stream = stream or sys.stderr
        self._total, self._start, self._done = total, done, done
        self._label = label
        self._began = self._said = time.monotonic()
        on_terminal = enabled and self._stream.isatty()
        self._lines = enabled and not on_terminal
        self._bar = tqdm(
            total=total, initial=done, desc=label, unit="pair", file=self._stream, disable=not on_terminal
        )

    def __enter__(self) -> Progress:
        if self._lines and self._start:
            self._say(f"{self._start} of {self._total} pairs are there already")
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def advance(self, pairs: int) -> None:
        """Add finished pairs."""
        self._done += pairs
        self._bar.update(pairs)
        now = time.monotonic()
        if self._lines and (now - self._said >= _LINE_SECONDS or self._done >= self._total):
            self._said = now
            rate = (self._done - self._start) / max(now - self._began, 1e-9)
            remaining = format_seconds((self._total - self._done) / max(rate, 1e-9))
            share = self._done / self._total
            counted = f"{self._done} of {self._total} pairs ({share:.0%})"
            self._say(f"{counted}, {rate:.3g} pairs/s, {remaining} left")

    def _say(self, text: str) -> None:
        self._stream.write(f"{self._label}: {text}\n")
        self._stream.flush()
