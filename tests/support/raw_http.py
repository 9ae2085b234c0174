"""HTTP as bytes on a socket: for requests that no client library would send."""

import contextlib
import json
import socket
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RawAnswer:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def document(self) -> Any:
        return json.loads(self.body)


def post(path: str, body: bytes, *fields: str) -> bytes:
    """A request with a right Content-Length."""
    head = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *fields]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def chunked(path: str, chunks: bytes, *fields: str) -> bytes:
    """A request whose body is framed by the caller."""
    head = [f"POST {path} HTTP/1.1", "host: x", "transfer-encoding: chunked", *fields]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + chunks


def exchange(port: int, stream: bytes, *, timeout_s: float = 20) -> list[RawAnswer]:
    """Every answer to ``stream`` until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(stream)
        return parsed(until_closed(connection, timeout_s))


def until_closed(connection: socket.socket, timeout_s: float = 20) -> bytes:
    """What comes until the other side closes."""
    data, deadline = b"", time.monotonic() + timeout_s
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(1 << 16):
            data += more
            assert time.monotonic() < deadline, "the connection stays open"
    return data


def next_answers(connection: socket.socket, count: int) -> list[RawAnswer]:
    """The next answers of a connection that may stay open."""
    data = b""
    while True:
        with contextlib.suppress(AssertionError):
            answers = parsed(data)
            if len(answers) >= count:
                return answers[:count]
        more = connection.recv(1 << 20)
        assert more, f"closed after {len(data)} bytes: {data[:200]!r}"
        data += more


def parsed(data: bytes) -> list[RawAnswer]:
    """Answers that follow each other; all of them are whole."""
    answers = []
    while data:
        head, blank, rest = data.partition(b"\r\n\r\n")
        assert blank, f"half a head: {head!r}"
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        size = int(headers.get("content-length", 0))
        assert len(rest) >= size, f"half a body: {rest!r}"
        answers.append(RawAnswer(int(lines[0].split()[1]), headers, rest[:size]))
        data = rest[size:]
    return answers
