"""From the hub into the journal: a thread writes what came, together, and only then is it acknowledged.

While the journal is full, or the disk, messages stay unacknowledged in memory, up to a bound, so that the hub sends no
more than it has in flight. Behind the bound they are let go: the hub still has them, and sends them to the next
connection. Without a journal on the disk a message is acknowledged when its answer was.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from runtime.edge.journal import Arrival, Entry, Journal
from runtime.edge.withheld import Acknowledge
from runtime.telemetry import Messages

logger = logging.getLogger(__name__)

_MOST_HELD: Final = 512
_MOST_HELD_BYTES: Final = 32 << 20
# Of one write to the disk.
_MOST_TOGETHER: Final = 256
_RETRY_S: Final = 1.0
# For a place in memory, while the journal takes what is there.
_PATIENCE_S: Final = 5.0
_TELL_EVERY_S: Final = 60.0


class Intake:
    """Owns the thread that changes the journal.

    Args:
        removed: Called with what is no longer in the journal; by that thread, as is ``kept``.
        kept: Called when there is something new to answer.

    Attributes:
        taking: Whether messages are taken; else they are left to the hub.
        overflowed: Whether messages were let go, which only another connection brings again.
        trouble: Why the journal cannot be written now; empty while it can.
    """

    def __init__(
        self,
        journal: Journal,
        counts: Messages,
        removed: Callable[[Iterable[Entry]], None],
        kept: Callable[[], None],
    ) -> None:
        self.journal = journal
        self._counts = counts
        self._removed = removed
        self._kept = kept
        self.taking = True
        self.overflowed = False
        self.trouble = ""
        self._held: deque[tuple[Arrival, Acknowledge]] = deque()
        self._held_bytes = 0
        self._answered: list[Entry] = []
        self._unacknowledged: dict[int, Acknowledge] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._told_s = 0.0
        self._thread = threading.Thread(target=self._run, name="edge-journal", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether it is worth while to let the hub send again what was let go."""
        return not self.trouble and self.journal.half_empty

    def arrived(self, arrival: Arrival, acknowledge: Acknowledge) -> None:
        """Take a message; acknowledged once it is kept."""
        size = arrival.kept_bytes
        with self._changed:
            if not self.taking:
                return
            # A hub that sends more than it should waits for the disk, but not for the journal's answers: what they need
            # comes by the thread that would wait.
            self._changed.wait_for(lambda: self._holds(size) or not self._moves(), timeout=_PATIENCE_S)
            if not self._holds(size):
                self.overflowed = True
                self._counts.held_back += 1
                return
            self._held.append((arrival, acknowledge))
            self._held_bytes += size
            self._changed.notify_all()

    def answered(self, entries: Iterable[Entry]) -> None:
        """Let go of messages whose answers the hub has."""
        with self._changed:
            self._answered.extend(entries)
            self._changed.notify_all()

    def disconnected(self) -> None:
        """What was not acknowledged comes again, and is forgotten here."""
        with self._changed:
            self._held.clear()
            self._held_bytes = 0
            self.overflowed = False
            if not self.journal.durable:
                self._unacknowledged.clear()
                self.journal.clear()

    def close(self) -> None:
        """Write what is known to be answered, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=5)
        self.journal.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, timeout=_RETRY_S if self._held else None)
                answered, self._answered = self._answered, []
                closing = self._closing
            if answered:
                self._forget(answered)
            if closing:
                return
            self._keep()

    def _holds(self, size_bytes: int) -> bool:
        return len(self._held) < _MOST_HELD and self._held_bytes + size_bytes <= _MOST_HELD_BYTES

    def _moves(self) -> bool:
        return bool(self._held) and not self.trouble and self.journal.has_room(self._held[0][0].kept_bytes)

    def _has_work(self) -> bool:
        return bool(self._answered) or self._moves() or self._closing

    def _forget(self, answered: list[Entry]) -> None:
        allowed: list[Acknowledge] = []
        if not self.journal.durable:
            with self._changed:
                answered = [each for each in answered if each.id in self._unacknowledged]
                allowed = [self._unacknowledged.pop(each.id) for each in answered]
        try:
            self.journal.remove(answered)
        except sqlite3.Error as error:
            self._tell(error)
            with self._changed:
                self._answered = answered + self._answered
            time.sleep(_RETRY_S)
            return
        self._removed(answered)
        for acknowledge in allowed:
            acknowledge()

    def _keep(self) -> None:
        batch = self._fitting()
        if not batch:
            return
        try:
            ids = self.journal.append([arrival for arrival, _ in batch])
        except sqlite3.Error as error:
            self._tell(error)
            return
        if self.trouble:
            logger.info("the journal can be written again")
            self.trouble = ""
        with self._changed:
            # A connection may have been lost meanwhile, and what it had sent is gone from here.
            for each in batch:
                if self._held and self._held[0] is each:
                    self._held.popleft()
                    self._held_bytes -= each[0].kept_bytes
            self._counts.received += len(ids)
            if not self.journal.durable:
                self._unacknowledged.update(zip(ids, (acknowledge for _, acknowledge in batch), strict=True))
            self._changed.notify_all()
        if self.journal.durable:
            for _, acknowledge in batch:
                acknowledge()
        self._kept()

    def _fitting(self) -> list[tuple[Arrival, Acknowledge]]:
        """The oldest that the journal has room for."""
        batch: list[tuple[Arrival, Acknowledge]] = []
        size = 0
        with self._changed:
            for held in self._held:
                size += held[0].kept_bytes
                if len(batch) >= _MOST_TOGETHER or not self.journal.has_room(size, messages=len(batch) + 1):
                    break
                batch.append(held)
        return batch

    def _tell(self, error: sqlite3.Error) -> None:
        self.trouble = f"cannot be written: {str(error).lower()}"
        now = time.monotonic()
        if now - self._told_s > _TELL_EVERY_S:
            self._told_s = now
            logger.error("the journal %s; messages wait at the hub", self.trouble)
