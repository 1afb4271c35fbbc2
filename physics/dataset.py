"""A folder of HDF5 shards with a manifest, written by one process and resumable after any kill.

Order of events for a shard: bytes made in memory, written to ``*.part``, fsynced, renamed, the folder
fsynced, and only then one line appended to the manifest and fsynced. So whatever the manifest names is whole,
and what it does not name does not count.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, final

from physics.config import PairConfig
from physics.durable import acquire_lock, append_durably, write_durably
from physics.manifest import HEADER, MANIFEST, Entry, read_header, read_manifest, refuse_another_run
from physics.shards import (
    SCHEMA,
    Failure,
    check_shard,
    config_json,
    sha256,
    software_versions,
)

_LOCK = ".lock"


@final
class DatasetWriter:
    """The one writer of a dataset folder: it knows which shards are missing and adds them durably.

    Args:
        folder: The dataset's folder; made if need be; completed if it holds a dataset of this configuration.
        config: What the pairs are made from.
        count: Pairs in all, draws that fail included; may be larger than at an earlier call.
        shard_size: Pairs a shard.
        verify: Also hold the sha256 of the shards that are there against the manifest, not only their sizes.

    Raises:
        ValueError: If the folder holds another dataset or other files.
        BlockingIOError: If another process writes to the folder.

    Example:
        >>> with DatasetWriter(folder, config, count=64) as writer:  # doctest: +SKIP
        ...     for draws in writer.missing():
        ...         writer.write(draws, data, failed=())
    """

    def __init__(
        self,
        folder: str | Path,
        config: PairConfig,
        *,
        count: int,
        shard_size: int = 16,
        verify: bool = False,
    ) -> None:
        for name, value in (("count", count), ("shard_size", shard_size)):
            if value < 1:
                raise ValueError(f"{name}: expected at least 1, got {value}")
        text = config_json(config)
        self.folder = Path(folder)
        self.config_hash = sha256(text.encode())
        self._header = {
            "schema": SCHEMA,
            "config": json.loads(text),
            "config_hash": self.config_hash,
            "count": count,
            "shard_size": shard_size,
            "versions": software_versions(),
        }
        self._verify = verify
        self._entries: dict[int, Entry] = {}
        self._is_new = False
        self._lock: BinaryIO | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = acquire_lock(self.folder / _LOCK)
        try:
            self._settle_header()
            self._settle_shards()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is None:
            return
        if error is not None and self._is_new and not self._entries:
            # A configuration that failed at once must not block the folder for its correction.
            (self.folder / HEADER).unlink(missing_ok=True)
            (self.folder / MANIFEST).unlink(missing_ok=True)
        self._lock.close()

    @property
    def entries(self) -> list[Entry]:
        """Finished shards in the order of their pairs."""
        return [self._entries[first] for first in sorted(self._entries)]

    def missing(self) -> list[range]:
        """Draws of each shard that is still to be made."""
        return [draws for draws in self._shards() if draws.start not in self._entries]

    def write(self, draws: range, data: bytes, *, failed: Sequence[Failure] = ()) -> Entry:
        """Add a finished shard.

        Args:
            draws: Indices of the shard's draws, one of :meth:`missing`.
            data: The shard's bytes.
            failed: Draws that it leaves out.

        Returns:
            The line of the manifest.

        Raises:
            OSError: If the disk is full or fails; nothing half-written stays.
        """
        entry = Entry(
            file=f"shard-{draws.start // self._header['shard_size']:06d}.h5",
            sha256=sha256(data),
            bytes=len(data),
            first=draws.start,
            count=len(draws) - len(failed),
            failed=tuple(failed),
            config_hash=self.config_hash,
        )
        write_durably(self.folder / entry.file, data)
        append_durably(self.folder / MANIFEST, entry.line().encode())
        self._entries[entry.first] = entry
        if len(self._entries) == -(-self._header["count"] // self._header["shard_size"]):
            self._settle_manifest()
        return entry

    def _shards(self) -> list[range]:
        count, size = self._header["count"], self._header["shard_size"]
        return [range(first, min(first + size, count)) for first in range(0, count, size)]

    def _settle_header(self) -> None:
        path = self.folder / HEADER
        if not path.is_file():
            others = sorted(p.name for p in self.folder.iterdir() if p.name != _LOCK and p.suffix != ".part")
            if others:
                raise ValueError(f"expected {self.folder} to be empty or to hold a dataset, got {others[:5]}")
            self._is_new = True
        else:
            there = read_header(self.folder / HEADER)
            refuse_another_run(self.folder, there, self._header)
            if there["count"] == self._header["count"]:
                return
            self._header["versions"] = there["versions"]
        write_durably(path, (json.dumps(self._header, indent=2) + "\n").encode())

    def _settle_shards(self) -> None:
        """Keep the entries whose shard is whole."""
        for part in self.folder.glob("*.part"):
            part.unlink()
        expected = {draws.start: len(draws) for draws in self._shards()}
        for entry in read_manifest(self.folder / MANIFEST):
            if entry.count + len(entry.failed) == expected.get(entry.first) and self._is_whole(entry):
                self._entries[entry.first] = entry
        self._settle_manifest()

    def _settle_manifest(self) -> None:
        """Name the finished shards in their order, however they came: the same dataset is the same bytes."""
        manifest = self.folder / MANIFEST
        lines = "".join(entry.line() for entry in self.entries).encode()
        if not manifest.is_file() or manifest.read_bytes() != lines:
            write_durably(manifest, lines)

    def _is_whole(self, entry: Entry) -> bool:
        path = self.folder / entry.file
        if entry.config_hash != self.config_hash or not path.is_file() or path.stat().st_size != entry.bytes:
            return False
        return not self._verify or sha256(path.read_bytes()) == entry.sha256


def verify(folder: str | Path) -> int:
    """Read every shard that the manifest names, and hold all sums and the schema against it.

    Args:
        folder: A dataset, finished or not.

    Returns:
        Pairs that the verified shards hold.

    Raises:
        ValueError: If anything disagrees; the message names every file and what is wrong with it.
    """
    folder = Path(folder)
    header = read_header(folder / HEADER)
    entries = read_manifest(folder / MANIFEST)
    problems = []
    for entry in entries:
        try:
            _verify_entry(folder, entry, header["config_hash"])
        except ValueError as error:
            problems.append(str(error))
    if problems:
        summary = f"{folder}: {len(problems)} of {len(entries)} shards are damaged:"
        raise ValueError("\n".join([summary, *problems]))
    return sum(entry.count for entry in entries)


def rebuild_manifest(folder: str | Path) -> int:
    """Write the manifest anew from the shards themselves; those that are not whole are left out.

    Args:
        folder: A dataset whose manifest is lost or no longer to be trusted.

    Returns:
        Shards that the new manifest names.

    Raises:
        ValueError: If the folder holds no dataset.
        BlockingIOError: If another process writes to the folder.
    """
    folder = Path(folder)
    config_hash = read_header(folder / HEADER)["config_hash"]
    lines = []
    with acquire_lock(folder / _LOCK):
        for path in sorted(folder.glob("shard-*.h5")):
            data = path.read_bytes()
            with suppress(ValueError):
                found = check_shard(data, config_hash=config_hash, name=path.name)
                failed = tuple(Failure(**failure) for failure in found.pop("failed"))
                sums = {"sha256": sha256(data), "bytes": len(data), "config_hash": config_hash}
                lines.append(Entry(file=path.name, failed=failed, **sums, **found).line())
        write_durably(folder / MANIFEST, "".join(lines).encode())
    return len(lines)


def _verify_entry(folder: Path, entry: Entry, config_hash: str) -> None:
    path = folder / entry.file
    if not path.is_file():
        raise ValueError(f"{entry.file}: expected a file of {entry.bytes} bytes, got none")
    data = path.read_bytes()
    if len(data) != entry.bytes:
        raise ValueError(f"{entry.file}: expected {entry.bytes} bytes, got {len(data)}")
    if sha256(data) != entry.sha256:
        raise ValueError(f"{entry.file}: expected sha256 {entry.sha256}, got {sha256(data)}")
    check_shard(data, config_hash=config_hash, name=entry.file)
