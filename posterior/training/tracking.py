"""Where the numbers of a training go: a small protocol, a JSON-lines file, TensorBoard as an extra."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, final

from posterior.files import write_atomic

Record = Mapping[str, Any]


class Tracker(Protocol):
    """Receives one record at a time; write your own for any other service."""

    def log(self, record: Record) -> None:
        """Take in a record: plain numbers by name, with its ``iteration`` (1 for the first step)."""
        ...

    def rewind(self, iteration: int) -> None:
        """Forget what came after an iteration: training goes on from there."""
        ...

    def close(self) -> None:
        """Write out what is still held."""
        ...


@final
class JsonlTracker:
    """One JSON object a line, appended; whatever was written survives a kill.

    Args:
        path: the file, ``log.jsonl``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("a", encoding="utf-8")

    def log(self, record: Record) -> None:
        """Append a record as one line and hand it to the operating system at once."""
        self._stream.write(json.dumps(dict(record)) + "\n")
        self._stream.flush()

    def rewind(self, iteration: int) -> None:
        """Keep the lines up to an iteration; a line torn by a kill goes as well."""
        self._stream.close()
        kept = [record for record in read_log(self._path) if record["iteration"] <= iteration]
        write_atomic(self._path, "".join(json.dumps(record) + "\n" for record in kept).encode())
        self._stream = self._path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Flush to the disk and close."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()


@final
class TensorBoardTracker:
    """Scalars for TensorBoard; needs the extra ``seispost[tensorboard]``.

    Args:
        folder: where the event files go.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = str(folder)
        self._writer = self._open(None)

    def _open(self, purge_step: int | None) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(self._folder, purge_step=purge_step)

    def log(self, record: Record) -> None:
        """Write every number of a record as a scalar."""
        for name, value in record.items():
            if name != "iteration" and isinstance(value, int | float):
                self._writer.add_scalar(name, value, record["iteration"])

    def rewind(self, iteration: int) -> None:
        """Have TensorBoard hide what came after an iteration."""
        self._writer.close()
        self._writer = self._open(iteration + 1)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """Records of a ``log.jsonl``; a last line that a kill tore is left out."""
    text = Path(path).read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
