"""Admission: how many requests are here at once, and the threads that run them."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from runtime.errors import Overloaded

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import Cancellation

_T = TypeVar("_T")


class Queue:
    """Places for requests, taken before the body is read, so that memory is bounded by places times body limit."""

    def __init__(self, *, limit: int, threads: int) -> None:
        self._limit = limit
        self._taken = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="infer")

    @property
    def taken(self) -> int:
        """Requests that are read, waiting or running."""
        return self._taken

    def enter(self) -> "Place":
        """A place, to be used as a context manager.

        Raises:
            Overloaded: None is free.
        """
        with self._lock:
            if self._taken >= self._limit:
                raise Overloaded(
                    f"as many requests as are allowed at a time are being answered: {self._limit}",
                    hint="ask again after the time in Retry-After, or raise DRAY_MAX_QUEUE",
                    detail={"limit": self._limit},
                )
            self._taken += 1
        return Place(self, self._threads)

    def close(self) -> None:
        """Let the threads go when they are done; nothing is waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def leave(self) -> None:
        """Free one place."""
        with self._lock:
            self._taken -= 1


class Place:
    """One request's place; free again when the request is over and its run, which may outlive it, has ended."""

    def __init__(self, queue: Queue, threads: ThreadPoolExecutor) -> None:
        self._queue = queue
        self._threads = threads
        self._running: Future[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The request is over; a run that has not ended keeps the place until it has."""
        if self._running is None:
            self._queue.leave()

    async def run(self, work: "Callable[[Cancellation], _T]") -> _T:
        """What ``work`` returns in a thread; when the caller is cancelled, the run is told to stop."""
        from runtime.engine.session import Cancellation

        cancellation = Cancellation()
        future = self._threads.submit(work, cancellation)
        self._running = future
        future.add_done_callback(lambda _: self._queue.leave())
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            cancellation.cancel()
            raise
