"""Stopping between two steps: a signal becomes a flag, and the flag an orderly end."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self, final

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@final
class StopSignals:
    """While entered, a signal only sets :attr:`received`; a second one ends at once.

    SIGINT, SIGTERM, and SIGUSR1 by which schedulers warn. Outside the main thread, where Python handles no
    signals, it does nothing.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Install the handlers."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Put the earlier handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
