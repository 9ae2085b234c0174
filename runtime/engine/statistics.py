"""What a model has done since it was loaded, as Triton's statistics extension counts it."""

import threading
import time
from dataclasses import dataclass, field

EXACT = 64


@dataclass(slots=True)
class Sum:
    """How often, and how long in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """One more."""
        self.count += 1
        self.ns += ns


@dataclass(slots=True)
class Statistics:
    """Counters of one model, changed from several threads.

    Attributes:
        rows: Of successful runs.
        succeeded, failed: Runs of the graph, with what they took.
        by_batch: Successful runs by their number of rows; above ``EXACT`` by the next power of two, to stay a few.
        last_ms: When the last one began, in milliseconds since 1970; 0 where there was none.
    """

    rows: int = 0
    succeeded: Sum = field(default_factory=Sum)
    failed: Sum = field(default_factory=Sum)
    by_batch: dict[int, Sum] = field(default_factory=dict)
    last_ms: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, rows: int, ns: int, succeeded: bool) -> None:
        """Count one run that has just ended."""
        with self._lock:
            self.last_ms = (time.time_ns() - ns) // 1_000_000
            if not succeeded:
                self.failed.add(ns)
                return
            self.rows += rows
            self.succeeded.add(ns)
            size = rows if rows <= EXACT else 1 << (rows - 1).bit_length()
            if size not in self.by_batch:
                self.by_batch[size] = Sum()
            self.by_batch[size].add(ns)
