"""Requests at a rate of their own, whatever the server does: clients in one event loop, each with a connection.

A request that finds no free connection opens another, up to a limit; where that is reached it counts as not sent.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_TICK_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request.

    Attributes:
        status: 0 where the connection was lost.
        due_s: When it was to be sent; ``seconds`` are from there to its answer.
        retry_after: Whether the answer says when to ask again.
    """

    status: int
    due_s: float
    seconds: float
    retry_after: bool


@dataclass(slots=True)
class Outcomes:
    """What became of the requests."""

    sent: list[Outcome] = field(default_factory=list)
    unsent: int = 0

    def latencies_s(self, status: int) -> list[float]:
        """Of the answers with this status, in rising order."""
        return sorted(each.seconds for each in self.sent if each.status == status)

    def good(self, *, patience_s: float, from_s: float, until_s: float) -> int:
        """Answers of 200 that came within a client's patience and in a stretch of time."""
        return sum(
            each.status == 200 and each.seconds <= patience_s and from_s <= each.due_s + each.seconds < until_s
            for each in self.sent
        )


class _Connection(asyncio.Protocol):
    """One connection with at most one request on it."""

    def __init__(self, load: "OpenLoop") -> None:
        self._load = load
        self._data = b""
        self._due_s: float | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def ask(self, due_s: float) -> None:
        assert self.transport is not None
        self._due_s, self._data = due_s, b""
        self.transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, blank, rest = self._data.partition(b"\r\n\r\n")
        if not blank or len(rest) < _length(head) or self._due_s is None:
            return
        self._end(int(head[9:12]), b"retry-after" in head.lower())
        self._load.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due_s is not None:
            self._end(0, False)
        self._load.lost(self)

    def _end(self, status: int, retry_after: bool) -> None:
        due_s, self._due_s = self._due_s or 0.0, None
        self._load.outcomes.sent.append(Outcome(status, due_s, time.perf_counter() - due_s, retry_after))


class OpenLoop:
    """Load on one server.

    Args:
        request: Bytes of the request that all send.
        connections: At most.
    """

    def __init__(self, port: int, request: bytes, *, connections: int) -> None:
        self.request = request
        self.outcomes = Outcomes()
        self._port = port
        self._most = connections
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._opening = 0

    def free(self, connection: _Connection) -> None:
        """It may carry the next request."""
        if connection.transport is not None and not connection.transport.is_closing():
            self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        """It is gone."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def run(self, rate: float, seconds: float) -> None:
        """Send at ``rate`` a second; answers that come later are waited for for some seconds more."""
        began, sent = time.perf_counter(), 0
        while (now := time.perf_counter() - began) < seconds:
            while sent < now * rate:
                self._send(began + sent / rate)
                sent += 1
            await asyncio.sleep(_TICK_S)

    async def saturate(self, clients: int, seconds: float) -> float:
        """Answers of 200 a second when ``clients`` ask as soon as they are answered."""
        began, before = time.perf_counter(), len(self.outcomes.sent)
        while (now := time.perf_counter()) - began < seconds:
            while self._idle or len(self._all) + self._opening < clients:
                self._send(time.perf_counter())
            await asyncio.sleep(0.0005)
        good = sum(each.status == 200 for each in self.outcomes.sent[before:])
        return good / (now - began)

    async def ask(self, *, timeout_s: float = 30) -> Outcome:
        """What became of one request, on a connection that is free or new."""
        count, began = len(self.outcomes.sent), time.perf_counter()
        self._send(began)
        while len(self.outcomes.sent) == count and time.perf_counter() - began < timeout_s:
            await asyncio.sleep(0.001)
        return self.outcomes.sent[count]

    async def close(self) -> None:
        """Let every connection go."""
        for connection in list(self._all):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0.05)

    def _send(self, due_s: float) -> None:
        if self._idle:
            self._idle.pop().ask(due_s)
        elif len(self._all) + self._opening < self._most:
            self._opening += 1
            asyncio.ensure_future(self._open(due_s))  # noqa: RUF006 - ends by itself
        else:
            self.outcomes.unsent += 1

    async def _open(self, due_s: float) -> None:
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        except OSError:
            self.outcomes.sent.append(Outcome(0, due_s, time.perf_counter() - due_s, False))
            return
        finally:
            self._opening -= 1
        self._all.add(connection)
        connection.ask(due_s)


def post(path: str, body: bytes) -> bytes:
    """The bytes of a request."""
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def percentile(ordered: list[float], share: float) -> float:
    """Of values in rising order; NaN where there is none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def _length(head: bytes) -> int:
    return next((int(value) for name, value in _fields(head) if name == b"content-length"), 0)


def _fields(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        yield name.lower(), value.strip()
