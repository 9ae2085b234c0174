"""Admission: how many requests are here at once, how long they would wait, and the threads that run them."""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from runtime.errors import Overloaded

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import Cancellation

_T = TypeVar("_T")
# Weight of the latest run in what a run is taken to cost.
_WEIGHT: Final = 1 / 16


class Queue:
    """Places for requests, taken before the body is read, so that memory is bounded by places times body limit.

    A queue that stands gives every client an answer too late, and no more answers than a short one. So when runs have
    waited without a break for ``wait_s``, a request that would wait longer than that is refused at once; after a quiet
    time a burst is let in, up to ``limit``.

    Args:
        wait_s: How long a request may have to wait for its run, by what runs have cost.
        timeout_s: A request that could not be answered within it is refused at once, in a burst too.
    """

    def __init__(self, *, limit: int, threads: int, wait_s: float = math.inf, timeout_s: float = math.inf) -> None:
        self._limit = limit
        self._width = threads
        self._wait_s = wait_s
        self._timeout_s = timeout_s
        self._taken = 0
        self._pending = 0
        self._run_s = 0.0
        self._standing_since: float | None = None
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="infer")

    @property
    def taken(self) -> int:
        """Requests that are read, waiting or running."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that are read and wait for a thread."""
        return max(0, self._pending - self._width)

    @property
    def expected_wait_s(self) -> float:
        """How long one more would wait for its run, by what the latest ones have cost."""
        return max(0, self._pending - self._width + 1) * self._run_s / self._width

    def enter(self) -> "Place":
        """A place, to be used as a context manager.

        Raises:
            Overloaded: None is free, or it would wait too long.
        """
        with self._lock:
            if self._taken >= self._limit:
                what = f"as many requests as are allowed at a time are being answered: {self._limit}"
                raise overloaded(what, "DRAY_MAX_QUEUE", limit=self._limit, wait_s=self.expected_wait_s)
            if self._pending:  # else it begins at once, whatever the latest runs have cost
                self._check_wait()
            self._taken += 1
        return Place(self)

    def submit(self, work: Callable[[], _T]) -> "Future[_T]":
        """Run in one of the threads; the place is free when it has ended."""
        with self._lock:
            self._pending += 1
            if self._pending > self._width and self._standing_since is None:
                self._standing_since = time.monotonic()
        future = self._threads.submit(self._timed, work)
        future.add_done_callback(self._ended)
        return future

    def close(self) -> None:
        """Let the threads go when they are done; nothing is waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def leave(self) -> None:
        """Free one place."""
        with self._lock:
            self._taken -= 1

    def _check_wait(self) -> None:
        wait_s = self.expected_wait_s
        since = self._standing_since
        stands = since is not None and time.monotonic() - since > self._wait_s
        if wait_s + self._run_s > self._timeout_s or (stands and wait_s > self._wait_s):
            what = f"{self.waiting} requests wait, which takes about {wait_s:.1f} s"
            raise overloaded(what, "DRAY_MAX_WAIT_S", limit=self._wait_s, wait_s=wait_s)

    def _timed(self, work: Callable[[], _T]) -> _T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            took = time.perf_counter() - began
            self._run_s = took if self._run_s == 0 else self._run_s + (took - self._run_s) * _WEIGHT

    def _ended(self, _future: "Future[Any]") -> None:
        with self._lock:
            self._taken -= 1
            self._pending -= 1
            if self._pending <= self._width:
                self._standing_since = None


class Place:
    """One request's place; free again when the request is over and its run, which may outlive it, has ended."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._running = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The request is over; a run that has not ended keeps the place until it has."""
        if not self._running:
            self._queue.leave()

    async def run(self, work: "Callable[[Cancellation], _T]") -> _T:
        """What ``work`` returns in a thread; when the caller is cancelled, the run is told to stop."""
        from runtime.engine.session import Cancellation

        cancellation = Cancellation()
        future = self._queue.submit(lambda: work(cancellation))
        self._running = True
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            cancellation.cancel()
            raise


def overloaded(what: str, setting: str, *, limit: float, wait_s: float) -> Overloaded:
    """The error about a request that is refused because of those before it.

    Args:
        wait_s: After which it is worth another try.
    """
    retry_s = max(1, math.ceil(wait_s))
    return Overloaded(
        what,
        hint=f"ask again after the time in Retry-After, or raise {setting}",
        detail={"limit": limit, "retry_after_s": retry_s},
    )
