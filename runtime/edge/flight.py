"""Which messages are being answered or wait for the hub's acknowledgement, and which come next."""

import threading
import time
from collections.abc import Iterable
from typing import Final

from runtime.edge.answering import MOST_ATTEMPTS
from runtime.edge.journal import Entry, Journal

# What may be on its way to the hub at a time.
_MOST: Final = 512
_MOST_BYTES: Final = 16 << 20


class Flight:
    """Between the journal and the hub; its methods may be called from any thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._cursor = 0
        self._flying: dict[int, float] = {}
        self._landed: set[int] = set()
        self._bytes = 0
        self._failed: set[int] = set()

    @property
    def count(self) -> int:
        """Messages that are on their way."""
        return len(self._flying)

    @property
    def has_more(self) -> bool:
        """Whether messages wait to be answered."""
        return self._journal.newest > self._cursor

    @property
    def has_room(self) -> bool:
        """Whether more may go on their way."""
        return len(self._flying) < _MOST and self._bytes < _MOST_BYTES

    def oldest_s(self) -> float:
        """For how long the hub has not acknowledged an answer."""
        with self._lock:
            return time.monotonic() - min(self._flying.values()) if self._flying else 0.0

    def next_batch(self, messages: int, size_bytes: int) -> list[Entry]:
        """The next messages to answer, which are on their way from now on.

        One that a process ended over comes alone; those that an earlier process took do not mix with later ones.
        """
        with self._lock:
            newest = self._journal.newest
            taken = self._journal.take(self._cursor, messages=messages, size_bytes=size_bytes)
            if not taken:
                self._cursor = max(self._cursor, newest)
            batch: list[Entry] = []
            now = time.monotonic()
            for entry in taken:
                if entry.id not in self._flying and entry.id not in self._landed:
                    if batch and (_suspect(batch[0]) or _suspect(entry) or entry.replayed != batch[0].replayed):
                        break
                    batch.append(entry)
                    self._flying[entry.id] = now
                    self._bytes += entry.arrival.kept_bytes
                self._cursor = entry.id
            return batch

    def failed(self, entry: Entry) -> None:
        """It was not sent, or nobody knows: it comes again."""
        with self._lock:
            self._land(entry)
            self._failed.add(entry.id)
            self._cursor = min(self._cursor, entry.id - 1)

    def landed(self, entry: Entry) -> bool:
        """The hub has its answer. Whether it was sent before."""
        with self._lock:
            self._land(entry)
            self._landed.add(entry.id)
            return entry.id in self._failed

    def removed(self, entries: Iterable[Entry]) -> None:
        """They are in the journal no more."""
        with self._lock:
            for entry in entries:
                self._landed.discard(entry.id)
                self._failed.discard(entry.id)

    def again(self, entry: Entry) -> bool:
        """Whether it may have been answered before."""
        return entry.replayed or entry.arrival.repeated or entry.id in self._failed

    def _land(self, entry: Entry) -> None:
        if self._flying.pop(entry.id, None) is not None:
            self._bytes -= entry.arrival.kept_bytes


def _suspect(entry: Entry) -> bool:
    return 0 < entry.attempts < MOST_ATTEMPTS
