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

    def and_also(self, other: "Sum") -> "Sum":
        """Of both together."""
        return Sum(self.count + other.count, self.ns + other.ns)


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

    def __reduce__(self) -> tuple[type["Statistics"], tuple[int, Sum, Sum, dict[int, Sum], int]]:
        """What another process gets: the counters as they stand, and a lock of its own."""
        with self._lock:
            return Statistics, (self.rows, self.succeeded, self.failed, dict(self.by_batch), self.last_ms)

    def plus(self, other: "Statistics") -> "Statistics":
        """Of both together."""
        sizes = {*self.by_batch, *other.by_batch}
        return Statistics(
            self.rows + other.rows,
            self.succeeded.and_also(other.succeeded),
            self.failed.and_also(other.failed),
            {size: self.by_batch.get(size, Sum()).and_also(other.by_batch.get(size, Sum())) for size in sizes},
            max(self.last_ms, other.last_ms),
        )

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
