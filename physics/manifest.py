"""What a dataset folder says of itself: its header, and a manifest with one line of JSON a finished shard."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from physics.shards import SCHEMA, Failure

HEADER = "dataset.json"
MANIFEST = "manifest.jsonl"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of the manifest.

    Attributes:
        file: Name of the shard in the folder.
        sha256: Sum of its bytes.
        bytes: Its size.
        first: Index of the first draw of its range.
        count: Pairs that it holds.
        failed: Draws of its range that it leaves out.
        config_hash: Sum of the configuration that it was made from.
    """

    file: str
    sha256: str
    bytes: int
    first: int
    count: int
    failed: tuple[Failure, ...]
    config_hash: str

    def line(self) -> str:
        """Write the entry as a line of JSON."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Entry:
        """Read a line.

        Raises:
            ValueError: If the line is not JSON.
            KeyError: If it lacks a key.
            TypeError: If it has another one, or is not an object.
        """
        values = json.loads(line)
        values["failed"] = tuple(Failure(**failure) for failure in values["failed"])
        return cls(**values)


def read_manifest(path: Path) -> list[Entry]:
    """Read the lines of a manifest; the newest line of a file stands.

    A line that cannot be read is passed over, so its shard does not count: a kill in the middle of an append
    leaves such a line at the end. A manifest that is not there has no lines.
    """
    if not path.is_file():
        return []
    entries: dict[str, Entry] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            entry = Entry.from_line(line)
            entries[entry.file] = entry
    return list(entries.values())


def read_header(path: Path) -> dict[str, Any]:
    """Read a ``dataset.json``.

    Raises:
        ValueError: If it is not there, or is not of this schema.
    """
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"expected a dataset in {path.parent}, got no readable {path.name} ({error})"
        ) from error
    schema = header.get("schema") if isinstance(header, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{path}: expected schema {SCHEMA!r}, got {schema!r}")
    return header


def refuse_another_run(folder: Path, there: dict[str, Any], asked: dict[str, Any]) -> None:
    """Compare the header that a folder has with the one that is asked for.

    Raises:
        ValueError: If they differ in more than a larger count; the message names each differing setting.
    """
    old, new = _flat(there["config"]), _flat(asked["config"])
    old["shard_size"], new["shard_size"] = there["shard_size"], asked["shard_size"]
    differing = [
        f"{key}: {old.get(key)!r} there, {new.get(key)!r} asked"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if differing:
        raise ValueError(f"{folder} holds another run; take another folder. " + "; ".join(differing))
    if asked["count"] < there["count"]:
        raise ValueError(
            f"{folder}: expected a count of at least {there['count']}, which it was made for, "
            f"got {asked['count']}"
        )


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
