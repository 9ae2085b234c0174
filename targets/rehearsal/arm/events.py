"""What happened to a container or a group, as Azure lists it: one entry for what happens again and again."""

import threading

from targets.rehearsal.arm.clock import now

Event = dict[str, object]


class EventLog:
    """Events in the order in which each was first seen."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Event] = {}
        self._lock = threading.Lock()

    def add(self, name: str, message: str, *, warning: bool = False) -> None:
        """One more; the same name and message again only counts."""
        moment = now()
        with self._lock:
            known = self._entries.get((name, message))
            if known is not None:
                count = known["count"]
                assert isinstance(count, int)
                self._entries[name, message] = {**known, "count": count + 1, "lastTimestamp": moment}
                return
            self._entries[name, message] = {
                "count": 1,
                "firstTimestamp": moment,
                "lastTimestamp": moment,
                "name": name,
                "message": message,
                "type": "Warning" if warning else "Normal",
            }

    def entries(self) -> list[Event]:
        """All so far."""
        with self._lock:
            return list(self._entries.values())
