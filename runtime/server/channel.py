"""Messages between the supervisor and a worker: pickled objects over the pair of sockets that both were born with.

No path and no port leads to it: only the two processes, one forked from the other, hold an end.
"""

import pickle
import socket
import struct
from typing import Any, Final

_LENGTH: Final = struct.Struct("!I")
_CHUNK: Final = 1 << 16


class Channel:
    """One end; never blocks."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self.closed = False

    def fileno(self) -> int:
        """For whoever waits for it."""
        return self._end.fileno()

    @property
    def unsent(self) -> bool:
        """Whether a part of what was sent waits for the other side to read; ``flush`` goes on with it."""
        return bool(self._outgoing)

    def send(self, message: object) -> None:
        """Put a message on its way; one to a side that is gone is lost."""
        content = pickle.dumps(message)
        self._outgoing += _LENGTH.pack(len(content)) + content
        self.flush()

    def flush(self) -> None:
        """Send what is left, as far as the other side takes it."""
        while self._outgoing:
            try:
                sent = self._end.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError:  # the other side has died; its end of the channel tells
                self._outgoing.clear()
                return
            del self._outgoing[:sent]

    def receive(self) -> list[Any]:
        """The messages that have come; ``closed`` tells afterwards whether there can be more."""
        while not self.closed:
            try:
                chunk = self._end.recv(_CHUNK)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            self.closed = not chunk
            self._incoming += chunk
        return self._whole()

    def close(self) -> None:
        """Let go of this end."""
        self._end.close()
        self.closed = True

    def _whole(self) -> list[Any]:
        messages = []
        while len(self._incoming) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._incoming)
            end = _LENGTH.size + length
            if len(self._incoming) < end:
                break
            messages.append(pickle.loads(self._incoming[_LENGTH.size : end]))  # noqa: S301 - of our own process
            del self._incoming[:end]
        return messages


def pair() -> tuple[Channel, Channel]:
    """Both ends."""
    mine, other = socket.socketpair()
    return Channel(mine), Channel(other)
