"""Large bodies are received where they will be read: the kernel's copy is the only one."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httptools

# A rest of a body of at least this many bytes is worth it.
LARGE: Final = 128 << 10
# Of a request on a connection that has brought a large one: its head, and little of the body, which is copied.
_HEAD: Final = 16 << 10


class BodyReceiver(asyncio.BufferedProtocol):
    """Stands between the transport and the protocol of a connection that brings large bodies, and stays there.

    What is no body goes on to the protocol as ever.
    """

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self._transport = transport
        self._head = memoryview(bytearray(_HEAD))
        self._room: memoryview | None = None
        self._at = 0
        self._done: Callable[[memoryview], None] | None = None

    def expect(self, room: memoryview, at: int, done: Callable[[memoryview], None]) -> None:
        """The rest of a body comes next.

        Args:
            room: For the whole body.
            at: How much of it is there.
            done: Called with the room when it is full; not at all when the connection ends before.
        """
        self._room, self._at, self._done = room, at, done
        if self._transport.get_protocol() is not self:
            reading = self._transport.is_reading()
            if reading:  # how it reads is settled when it begins to
                self._transport.pause_reading()
            self._transport.set_protocol(self)
            if reading:
                self._transport.resume_reading()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where the next bytes go: never more of them than the body has."""
        return self._head if self._room is None else self._room[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        room, done = self._room, self._done
        if room is None or done is None:
            self._protocol.data_received(bytes(self._head[:nbytes]))
            return
        self._at += nbytes
        if self._at == len(room):
            self._room = self._done = None
            done(room)

    def eof_received(self) -> bool | None:
        """The client sends no more."""
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        self._room = self._done = None
        self._protocol.connection_lost(exc)


def new_parser(protocol: Any) -> httptools.HttpRequestParser:
    """A parser as uvicorn makes one for a connection."""
    parser = httptools.HttpRequestParser(protocol)
    if hasattr(parser, "set_dangerous_leniencies"):  # httptools 0.6.3: answer a pipelined request before a close
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
