"""How far it is: a bar on a terminal, a line now and then anywhere else, so that log files stay readable."""

from __future__ import annotations

import sys
import time
from typing import final

from tqdm import tqdm

_PAUSE = 20.0
"""Seconds between two lines when standard error is no terminal."""


@final
class Progress:
    """Progress with rate and remaining time on standard error.

    Args:
        name: what is being done.
        total: steps in all.
        done: steps that an earlier run did.
        shown: False shows nothing.
    """

    def __init__(self, name: str, total: int, *, done: int = 0, shown: bool = True) -> None:
        self._name, self._total, self._done, self._first = name, total, done, done
        self._start = self._said = time.monotonic()
        self._bar = None
        self._lines = shown and not sys.stderr.isatty()
        if shown and not self._lines:
            self._bar = tqdm(desc=name, total=total, initial=done, dynamic_ncols=True)

    def advance(self, **numbers: float) -> None:
        """One step further, with numbers to show beside it."""
        self._done += 1
        if self._bar is not None:
            self._bar.set_postfix({key: f"{value:.4g}" for key, value in numbers.items()}, refresh=False)
            self._bar.update()
        elif self._lines:
            now = time.monotonic()
            if now - self._said >= _PAUSE or self._done == self._total:
                self._said = now
                self._line(now, numbers)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def _line(self, now: float, numbers: dict[str, float]) -> None:
        rate = (self._done - self._first) / max(now - self._start, 1e-9)
        left = (self._total - self._done) / rate
        values = "".join(f", {key} {value:.4g}" for key, value in numbers.items())
        sys.stderr.write(
            f"{self._name} {self._done}/{self._total}{values}, {rate:.1f}/s, {left:.0f} s left\n"
        )
        sys.stderr.flush()
