"""A bounded load of client threads, each of whose requests has a known fate."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Load:
    """What became of the requests so far.

    Attributes:
        lost: Requests on an open connection that got no answer, with the reason.
        refused: Connections that were never made: no request was accepted.
        slowest_s: The longest that one connection took to be made, or one request to be answered.
    """

    port: int
    body: bytes
    path: str
    answers: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    slowest_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return sum(self.answers.values())

    def wait_until_answered(self, count: int, timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while self.answered < count:
            assert time.monotonic() < deadline, f"{self.answered} answers only; lost: {self.lost[:3]}"
            time.sleep(0.005)

    def wait_until_over(self) -> None:
        """Until every client has ended; ``stop`` is set, or nobody listens any more."""
        for thread in self.threads:
            thread.join(timeout=30)
        assert not any(thread.is_alive() for thread in self.threads)

    def keep_alive_client(self) -> None:
        """One connection for as long as the server keeps it."""
        self._client({})

    def reconnecting_client(self) -> None:
        """A connection for each request."""
        self._client({"Connection": "close"})

    def _client(self, headers: dict[str, str]) -> None:
        going_on = True
        while going_on and not self.stop.is_set():
            connection = self._connected()
            if connection is None:
                return
            with closing(connection):
                ended: bool | None = False
                while ended is False and not self.stop.is_set():
                    ended = self._ask(connection, headers)
            going_on = ended is not None

    def _connected(self) -> http.client.HTTPConnection | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        started = time.monotonic()
        try:
            connection.connect()
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
        except OSError:
            connection.close()
            self.refused += 1
            return None
        return connection

    def _ask(self, connection: http.client.HTTPConnection, headers: dict[str, str]) -> bool | None:
        """Whether the server closes the connection after its answer; None when there was none."""
        started = time.monotonic()
        try:
            connection.request("POST", self.path, self.body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self.lost.append(repr(error))
            return None
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)
        self.answers[response.status] += 1
        return response.will_close


@contextmanager
def steady_load(port: int, body: dict[str, Any], *, path: str, keep_alive: int, reconnecting: int) -> Iterator[Load]:
    """Client threads that ask as fast as they are answered, until the end of the block or until nobody listens."""
    load = Load(port, json.dumps(body).encode(), path)
    clients: list[Callable[[], None]] = [load.keep_alive_client] * keep_alive + [
        load.reconnecting_client
    ] * reconnecting
    load.threads = [threading.Thread(target=client) for client in clients]
    for thread in load.threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop.set()
        load.wait_until_over()
