"""What happened to a container or a group, as Azure lists it: one entry for what happens again and again."""

import threading
from dataclasses import dataclass

from targets.rehearsal.clock import now

Event = dict[str, object]


@dataclass(slots=True)
class _Entry:
    name: str
    message: str
    kind: str
    first: str
    last: str
    count: int = 1


class EventLog:
    """Events in the order in which each was first seen."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._lock = threading.Lock()

    def add(self, name: str, message: str, *, warning: bool = False) -> None:
        """One more; the same name and message again only counts."""
        moment = now()
        with self._lock:
            known = self._entries.get((name, message))
            if known is None:
                kind = "Warning" if warning else "Normal"
                self._entries[name, message] = _Entry(name, message, kind, moment, moment)
            else:
                known.count, known.last = known.count + 1, moment

    def entries(self) -> list[Event]:
        """All so far, as answers show them."""
        with self._lock:
            return [
                {
                    "count": each.count,
                    "firstTimestamp": each.first,
                    "lastTimestamp": each.last,
                    "name": each.name,
                    "message": each.message,
                    "type": each.kind,
                }
                for each in self._entries.values()
            ]
