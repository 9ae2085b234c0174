"""Accepting from a listener that several workers share, so that each gets its share.

All of them wait at one socket, and whoever wakes first would take all that is there. So they keep how many connections
each has in memory that they share: one that is ahead of the least loaded gives the others a moment, and then accepts
anyway, one at first and soon several, so that a worker that is stuck holds up nobody for long.
"""

import asyncio
import mmap
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

_ABSENT: Final = 0x7FFFFFFF
# The loop's timers count in milliseconds: two are at least one.
_YIELD_S: Final = 0.002
_MOST_AT_ONCE: Final = 8
_EXHAUSTED_S: Final = 0.1


class Board:
    """Connections of each worker, in memory that outlives a fork; a worker writes its own place only."""

    def __init__(self, places: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * places)).cast("i")
        for place in range(places):
            self.leave(place)

    def write(self, place: int, connections: int) -> None:
        """Tell the others."""
        self._counts[place] = connections

    def leave(self, place: int) -> None:
        """The worker accepts no more."""
        self._counts[place] = _ABSENT

    def least(self) -> int:
        """Connections of the least loaded worker."""
        return min(self._counts)


class Connections(set[Any]):
    """uvicorn's set of open connections, which keeps the worker's place on the board.

    Attributes:
        opening: Accepted and not in the set yet.
    """

    def __init__(self, board: Board, place: int) -> None:
        super().__init__()
        self._board, self._place = board, place
        self.opening = 0
        self.told = False

    def add(self, connection: Any) -> None:
        """It is open."""
        super().add(connection)
        self.opening = max(0, self.opening - 1)
        self.tell()

    def discard(self, connection: Any) -> None:
        """It has ended."""
        super().discard(connection)
        self.tell()

    def begin(self) -> None:
        """One was accepted."""
        self.opening += 1
        self.tell()

    def failed(self) -> None:
        """One that was accepted never opened."""
        self.opening = max(0, self.opening - 1)
        self.tell()

    def tell(self) -> None:
        """Write the place, for as long as this worker accepts."""
        if self.told:
            self._board.write(self._place, len(self) + self.opening)

    def ahead(self) -> bool:
        """Whether another worker has fewer."""
        return len(self) + self.opening > self._board.least()

    def least(self) -> int:
        """What the least loaded worker has."""
        return self._board.least()

    def leave(self) -> None:
        """Leave new ones to others."""
        self.told = False
        self._board.leave(self._place)


class Acceptor:
    """Accepts for one worker while it runs.

    Args:
        take: Makes a connection of what was accepted; fails where its handshake does.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        connections: Connections,
        take: Callable[[socket.socket], Coroutine[Any, Any, object]],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners, self._connections, self._take = listeners, connections, take
        self._waiting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._opening: set[asyncio.Task[object]] = set()
        self._burst, self._least = 1, -1

    def start(self) -> None:
        """Begin."""
        self._connections.told = True
        self._connections.tell()
        for listener in self._listeners:
            listener.setblocking(False)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted ones have it from here
            self._loop.add_reader(listener.fileno(), self._ready, listener)

    def stop(self) -> None:
        """Accept no more; the listeners stay open."""
        self._connections.leave()
        for listener in self._listeners:
            self._loop.remove_reader(listener.fileno())
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()

    def _ready(self, listener: socket.socket) -> None:
        while not self._connections.ahead():
            self._burst = 1
            if not self._accept(listener):
                return
        self._pause(listener, _YIELD_S)

    def _pause(self, listener: socket.socket, seconds: float) -> None:
        if listener not in self._waiting:
            self._loop.remove_reader(listener.fileno())
            self._waiting[listener] = self._loop.call_later(seconds, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        """The others had their moment: take what they left, more where the least loaded one took nothing."""
        del self._waiting[listener]
        least = self._connections.least()
        self._burst = min(self._burst * 2, _MOST_AT_ONCE) if least == self._least else 1
        self._least = least
        for _ in range(self._burst):
            if not self._accept(listener):
                break
        if listener not in self._waiting:
            self._loop.add_reader(listener.fileno(), self._ready, listener)

    def _accept(self, listener: socket.socket) -> bool:
        try:
            accepted, _ = listener.accept()
        except ConnectionAbortedError:  # the client left while it waited
            return True
        except BlockingIOError:  # nothing is left
            return False
        except OSError:  # no descriptor is free, or no memory: asking again at once would be all that is done
            self._pause(listener, _EXHAUSTED_S)
            return False
        accepted.setblocking(False)
        self._connections.begin()
        opening = self._loop.create_task(self._take(accepted))
        self._opening.add(opening)
        opening.add_done_callback(self._opened)
        return True

    def _opened(self, opening: "asyncio.Task[object]") -> None:
        self._opening.discard(opening)
        if not opening.cancelled() and opening.exception() is not None:
            self._connections.failed()
