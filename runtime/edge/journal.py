"""Messages that the hub was told it may forget, on disk until their answers are with the hub.

A row is written, and on the disk, before its message is acknowledged, and removed after its answer was. What a killed
process leaves is answered by the next one. Rows that were being answered when a process ended are counted, so that a
message that kills the process is found out.
"""

import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

NAME: Final = "journal.sqlite"
_SPOILT: Final = "journal-spoilt.sqlite"
# Of a row beside its payload and its topic: what SQLite keeps of it, rounded up.
ROW_BYTES: Final = 128
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, received_ns INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
    size_bytes INTEGER NOT NULL, repeated INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_BUSY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as the hub sent it.

    Attributes:
        topic: Names the input and carries the properties.
        payload: Empty where it is larger than any message may be.
        size_bytes: Of the payload as it came.
        repeated: Whether the hub says that it may have sent it before.
    """

    topic: str
    payload: bytes
    size_bytes: int
    repeated: bool = False

    @property
    def kept_bytes(self) -> int:
        """What a journal needs for it."""
        return len(self.payload) + len(self.topic) + ROW_BYTES


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in the journal.

    Attributes:
        id: Rises with every message, and is never used again.
        attempts: How often a process ended while it answered this.
        replayed: Whether an earlier process took it from the hub.
    """

    id: int
    arrival: Arrival
    received_ns: int
    attempts: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """Of what a journal holds."""

    messages: int
    size_bytes: int


class Journal:
    """One process' journal; its methods may be called from any thread.

    Args:
        path: Of the database; None keeps it in memory, where it outlives nothing.

    Raises:
        sqlite3.Error: The file cannot be opened or written, or is none of ours.

    Attributes:
        uid: Names this journal, for ids of messages that have none.
        count: Messages in it.
        size_bytes: What they need.
        newest: Id of the latest message.
        inherited: How many of them an earlier process had left.
    """

    def __init__(self, path: Path | None, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            ":memory:" if path is None else path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._open()
        except sqlite3.Error:
            self._connection.close()
            raise

    def _open(self) -> None:
        run = self._connection.execute
        # Two processes must never answer from one journal, and no file for shared memory is needed then.
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA journal_size_limit=4194304")
        self._connection.executescript(_SCHEMA)
        run("INSERT OR IGNORE INTO facts VALUES ('uid', ?)", (secrets.token_hex(6),))
        (self.uid,) = run("SELECT value FROM facts WHERE name = 'uid'").fetchone()
        row = run(
            "SELECT count(*), coalesce(sum(length(payload) + length(topic)), 0), coalesce(max(id), 0) FROM messages"
        )
        size: int
        self.count: int
        self.newest: int
        self.count, size, self.newest = row.fetchone()
        self._last_inherited: int = self.newest
        self.size_bytes: int = size + self.count * ROW_BYTES
        self.inherited: int = self.count

    @property
    def durable(self) -> bool:
        """Whether it outlives the process."""
        return self.path is not None

    def has_room(self, size_bytes: int, *, messages: int = 1) -> bool:
        """Whether so much more may be kept; an empty journal takes one message of any size."""
        if self.count == 0 and messages == 1:
            return True
        limits = self._limits
        return self.count + messages <= limits.messages and self.size_bytes + size_bytes <= limits.size_bytes

    @property
    def half_empty(self) -> bool:
        """Whether at least half of it is free."""
        return 2 * self.count <= self._limits.messages and 2 * self.size_bytes <= self._limits.size_bytes

    def append(self, arrivals: Sequence[Arrival]) -> list[int]:
        """Keep messages; when this returns they are on the disk.

        Raises:
            sqlite3.Error: They are not, as on a full disk; nothing is kept then.
        """
        now = time.time_ns()
        rows = [(now, each.topic, each.payload, each.size_bytes, each.repeated) for each in arrivals]
        insert = "INSERT INTO messages (received_ns, topic, payload, size_bytes, repeated) VALUES (?, ?, ?, ?, ?)"
        with self._lock:
            with _Transaction(self._connection, flushed=True):
                ids = [self._connection.execute(insert, row).lastrowid or 0 for row in rows]
            self.newest = ids[-1]
            self.count += len(ids)
            self.size_bytes += sum(each.kept_bytes for each in arrivals)
        return ids

    def take(self, after: int, *, messages: int, size_bytes: int) -> list[Entry]:
        """The next entries behind an id, oldest first: so many, or as many as fit into so many bytes, at least one."""
        select = "SELECT id, received_ns, topic, payload, size_bytes, repeated, attempts FROM messages"
        taken: list[Entry] = []
        size = 0
        with self._lock:
            for row in self._connection.execute(f"{select} WHERE id > ? ORDER BY id LIMIT ?", (after, messages)):
                entry = self._entry(row)
                size += entry.arrival.kept_bytes
                if taken and size > size_bytes:
                    break
                taken.append(entry)
        return taken

    def mark(self, ids: Iterable[int]) -> None:
        """Remember that these are being answered: should the process end now, that counts as an attempt."""
        with self._lock, _Transaction(self._connection, flushed=False):
            self._connection.executemany(
                "UPDATE messages SET attempts = attempts + 1 WHERE id = ?", [(i,) for i in ids]
            )

    def unmark(self, ids: Iterable[int]) -> None:
        """They were answered, and the process has outlived it."""
        with self._lock, _Transaction(self._connection, flushed=False):
            self._connection.executemany("UPDATE messages SET attempts = 0 WHERE id = ?", [(i,) for i in ids])

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget what was answered. Not on the disk at once: a power cut now only means that it is answered again."""
        entries = list(entries)
        with self._lock:
            with _Transaction(self._connection, flushed=False):
                self._connection.executemany("DELETE FROM messages WHERE id = ?", [(each.id,) for each in entries])
            self.count -= len(entries)
            self.size_bytes -= sum(each.arrival.kept_bytes for each in entries)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            with _Transaction(self._connection, flushed=False):
                self._connection.execute("DELETE FROM messages")
            self.count = self.size_bytes = 0

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _entry(self, row: tuple[int, int, str, bytes, int, int, int]) -> Entry:
        number, received_ns, topic, payload, size_bytes, repeated, attempts = row
        arrival = Arrival(topic, payload, size_bytes, bool(repeated))
        return Entry(number, arrival, received_ns, attempts, replayed=number <= self._last_inherited)


class _Transaction:
    """All or nothing; ``flushed`` waits for the disk.

    Source: SQLite, "PRAGMA synchronous": in WAL mode FULL survives a power cut, NORMAL the end of the process.
    """

    def __init__(self, connection: sqlite3.Connection, *, flushed: bool) -> None:
        self._connection = connection
        self._level = "FULL" if flushed else "NORMAL"

    def __enter__(self) -> None:
        self._connection.execute(f"PRAGMA synchronous={self._level}")
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
                return
            except sqlite3.Error:
                self._undo()
                raise
        self._undo()

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def open_journal(folder: Path, limits: Limits) -> tuple[Journal, str]:
    """The journal in a folder, and an empty text; where it cannot be had, one in memory, and why.

    A file that is no journal any more (a power cut on a bad disk) is kept beside, once, and a new one begun.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return Journal(path, limits), ""
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            fields = {"kept": _SPOILT, "error": str(error)}
            logger.error("the journal is spoilt and begun anew", extra={"fields": fields})  # noqa: TRY400
            _set_aside(path)
            return Journal(path, limits), ""
    except (OSError, sqlite3.Error) as error:
        reason = f"{str(path)!r} cannot be written: {str(error).lower()}"
        logger.error("no journal", extra={"fields": {"reason": reason}})  # noqa: TRY400
        return Journal(None, limits), reason


def _set_aside(path: Path) -> None:
    os.replace(path, path.with_name(_SPOILT))  # noqa: PTH105 - a link is moved, not followed
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
